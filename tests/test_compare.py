"""Runs compared by a person in MLflow's own pages: `make ui`, in a real browser."""

import dataclasses
import json
import os
import shutil
import sys

import psutil
import pytest
import requests
from conftest import ROOT, listening, photograph, serving

from modelmill import params
from modelmill.files import write_json
from modelmill.models import Spec
from modelmill.reference import Reference
from modelmill.tracking import experiments, runs, store
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.history import HISTORY

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUERY = "workflowType=machine_learning&viewStateShareKey=modelmill"
FLAGS += ["--disable-component-update", "--disable-sync"]
EVIL = "<script>document.title = 'taken'</script><b onclick=x>bold</b>"
META = {
    "splits": {"train": [0, 55000], "test": [55000, 65000]},
    "arrays": {"x": {"shape": [65000, 28, 28], "dtype": "uint8"}},
    "scale": 1 / 255,
    "digest": "d" * 64,
}
REFERENCE = Reference(metric="accuracy", goal=0.9, published=0.92, source="A <b>")


def record(root, name, batch_size, rate):
    """Records what training and evaluating a model leave; returns its page and the run's id."""
    fit = {"batch_size": batch_size, "learning_rate": rate, "optimizer": {"name": "sgd"}}
    fit["length"] = "1 epochs"
    net = {"bias": True, "initializer": {"name": "constant", "value": 0.0}}
    settings = {"model": name, "seed": 1, "dataset": "mnist", "task": "classification"}
    settings |= {
        "arch": "linear",
        "net": net,
        "fit": fit,
    }
    card = Card(settings, Spec.examples((28, 28), 10), "d" * 64, name, 7850)
    model, figures = root / "data/models" / name, root / "data/figures" / name
    for folder in (model, figures):
        folder.mkdir(parents=True)
    (model / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
    lines = ["step,epoch,examples,learning_rate,loss,validation_accuracy"]
    lines += [
        f"{n * 10},{n},{n * 10 * batch_size},{rate},{1 / n},{1 - rate / n}" for n in range(1, 6)
    ]
    (model / HISTORY).write_text("\n".join(lines), encoding="utf-8")
    artifacts.save_evaluation(
        root / "data/evaluations" / name, card, {"split": "test"}, {"accuracy": 1 - rate}
    )
    write_json(root / "data/metrics" / f"{name}.json", {"accuracy": 1 - rate})
    write_json(root / "data/processed/mnist/meta.json", META)
    client = store.connect()
    everything = params.load(ROOT / "params.yaml")
    experiments.describe(client, experiments.Experiment.of(everything, "mnist"))
    runs.record(client, root, name, "quick", EVIL, REFERENCE, False, True)
    run_id = runs.find(client, card)
    return f"#/experiments/{client.get_run(run_id).info.experiment_id}/runs/{run_id}", run_id


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with MLflow's records of two runs, and what `record` returned of each."""
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return root, record(root, "slow", 50, 0.125), record(root, "quick", 100, 0.25)


@pytest.fixture(scope="module")
def ui(recorded, pytestconfig):
    """The server of `make ui`: its process and its port."""
    root = ROOT if pytestconfig.getoption("--screenshots") else recorded[0]
    environment = {**os.environ, "DVC_ROOT": str(root)}
    command = [sys.executable, "-m", "pipelines", "ui", "--port"]
    options = {"cwd": ROOT, "env": environment}
    with serving(lambda port: [*command, str(port)], "/health", **options) as found:
        yield found


@pytest.fixture(scope="module")
def tab(ui):
    """A tab of a browser, and the address of the pages."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1720, "height": 1080})
        tab.set_default_timeout(0)  # what is waited for comes, however slowly
        yield tab, f"http://127.0.0.1:{ui[1]}/"
        browser.close()


def test_the_ui_listens_here_alone_and_refuses_foreign_hosts(ui):
    server, port = ui
    assert listening(server) == {"127.0.0.1"}
    address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(address).status_code == 200
    assert requests.get(address, headers={"Host": "evil.example"}).status_code == 403


def test_the_address_is_of_the_runs_and_one_process_answers(ui, recorded):
    server, port = ui
    line = server.stdout.readline()
    number = recorded[1][0].split("/")[2]
    page = f"http://127.0.0.1:{port}/#/experiments/{number}/runs?{QUERY}"
    assert line == f"mnist: {page} (Ctrl-C ends)\n"
    assert psutil.Process(server.pid).children(recursive=True) == []


def test_the_address_opens_the_runs_in_columns_the_best_first(ui, tab, recorded, pytestconfig):
    """With --screenshots it is a picture of this repository's runs on MNIST."""
    folder = pytestconfig.getoption("--screenshots")
    tab, address = tab
    if folder:
        lines = iter(ui[0].stdout.readline, "")
        page = next(line.split()[1] for line in lines if line.startswith("mnist:"))
    else:
        page = address + recorded[1][0].partition("/runs/")[0] + "/runs?" + QUERY
    tab.goto(page)
    heads = ("Created", "Duration", "test_accuracy", "best_validation_accuracy")
    places = [place(tab.get_by_text(name, exact=True))["x"] for name in heads]
    assert places == sorted(places)
    if folder:
        tab.get_by_role("button", name="Close").first.click()  # what MLflow has beside the table
        photograph(tab, folder / "mlflow_runs.png")
        return
    links = [tab.get_by_role("link", name=name, exact=True) for name in ("slow", "quick")]
    better, worse = (place(link)["y"] for link in links)
    assert better < worse


def place(element):
    element.first.wait_for()
    return element.first.bounding_box()


def test_the_data_set_of_a_run_has_its_arrays_and_sizes(tab, recorded):
    tab, address = tab
    tab.goto(address + recorded[1][0])
    tab.get_by_text("mnist (ddddd").first.click()
    for text in ("uint8 × 28 × 28", "55000", "10000"):
        tab.get_by_text(text, exact=True).first.wait_for()
    tab.keyboard.press("Escape")  # what lies over the page


def test_markup_in_a_description_is_shown_and_not_run(tab, recorded):
    tab, address = tab
    tab.goto(address + recorded[1][0])
    tab.get_by_text(EVIL).first.wait_for()
    assert tab.title() != "taken"
    assert tab.get_by_role("link", name="Figures").get_attribute("href").endswith("/figures")


def test_two_runs_are_compared_by_metrics_and_settings(tab, recorded, pytestconfig, monkeypatch):
    """With --screenshots it is a picture of two of this repository's runs."""
    folder = pytestconfig.getoption("--screenshots")
    tab, address = tab
    if folder:
        monkeypatch.setenv("DVC_ROOT", str(ROOT))
        client = store.connect()
        number = client.get_experiment_by_name("mnist").experiment_id
        one, other = (
            client.search_runs([number], f"run_name = '{name}'")[0].info.run_id
            for name in ("mnist_convnet", "mnist_convnet_long")
        )
    else:
        (page, one), (_, other) = recorded[1:]
        number = page.split("/")[2]
    tab.goto(f'{address}#/compare-runs?runs=["{one}","{other}"]&experiments=["{number}"]')
    for name in ("best_validation_accuracy", "test_accuracy", "fit.learning_rate"):
        tab.get_by_text(name, exact=True).first.wait_for()
    if folder:
        tab.get_by_role("button", name="Close").first.click()  # what MLflow has beside the tables
        for switch in tab.get_by_role("switch").all():
            switch.click()  # show only what differs
        tab.get_by_text("Run details", exact=True).evaluate("heading => heading.scrollIntoView()")
        photograph(tab, folder / "mlflow_comparison.png")
        return
    for value in ("0.975", "0.875", "0.125"):  # 1 - 0.125 / 5, and so on
        tab.get_by_text(value, exact=True).first.wait_for()
