"""Runs compared by a person in MLflow's own pages: a real server, a real browser.

``SCREENSHOTS=sqlite:////path/of/mlflow.db pytest tests/test_compare.py`` draws docs/mlflow/*.png
anew from the runs of that database, instead of from made-up ones.
"""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from conftest import ROOT

from modelmill.files import write_json
from modelmill.models import Spec
from modelmill.reference import Reference
from modelmill.tracking import runs
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SCREENSHOTS = os.environ.get("SCREENSHOTS")
EVIL = "<script>document.title = 'taken'</script><b onclick=x>bold</b>"
REFERENCE = Reference(metric="accuracy", goal=0.9, published=0.92, source="A <b>")
COLUMNS = ["best_validation_accuracy", "test_accuracy", "fit.learning_rate"]
WAIT = 90.0


def record(root, name, batch_size, rate):
    """Leaves what training and evaluating a model leave, and records it."""
    fit = {"batch_size": batch_size, "learning_rate": rate, "optimizer": {"name": "sgd"}}
    settings = {"model": name, "seed": 1, "dataset": "mnist", "task": "classification"}
    settings |= {"arch": "linear", "net": {"bias": True}, "fit": fit}
    card = Card(settings, Spec.examples((28, 28), 10), "d" * 64, name, 7850)
    model, figures = root / "data/models" / name, root / "data/figures" / name
    for folder in (model, figures):
        folder.mkdir(parents=True)
    (model / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
    lines = ["step,epoch,examples,learning_rate,loss,validation_accuracy"]
    lines += [
        f"{n * 10},{n},{n * 10 * batch_size},{rate},{1 / n},{1 - rate / n}" for n in range(1, 6)
    ]
    (model / artifacts.HISTORY).write_text("\n".join(lines), encoding="utf-8")
    artifacts.save_evaluation(figures, card, {"split": "test"}, {"accuracy": 1 - rate})
    write_json(root / "data/metrics" / f"{name}.json", {"accuracy": 1 - rate})
    runs.record(runs.connect(), root, name, "quick", EVIL, REFERENCE, False, True)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    if SCREENSHOTS:
        yield SCREENSHOTS
        return
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        record(root, "slow", 50, 0.125)
        record(root, "quick", 100, 0.25)
        yield runs.tracking_uri()


@pytest.fixture(scope="module")
def address(uri):
    """Where MLflow's pages are, as `make ui` shows them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", uri]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
    try:
        deadline = time.monotonic() + WAIT
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 9)
        server.wait()


@pytest.fixture(scope="module")
def browser(address, uri):
    """The runs on one data set, without the assistant that MLflow opens beside them."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1720, "height": 720})
        tab.set_default_timeout(WAIT * 1000 / 3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", uri)
            experiment = runs.connect().get_experiment_by_name("mnist").experiment_id
        runs_page = f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        tab.goto(runs_page)
        tab.get_by_role("button", name="Close").click()
        yield tab, runs_page
        browser.close()


@pytest.fixture
def tab(browser):
    """The page of the runs."""
    tab, runs_page = browser
    tab.goto(runs_page + "&compareRunsMode=TABLE")
    tab.get_by_role("checkbox", name="Press Space to toggle row selection").first.wait_for()
    return tab


def show(tab, name):
    """Keeps a picture of the page where that was asked for."""
    if SCREENSHOTS:
        tab.wait_for_timeout(1500)  # what moves has come to rest
        tab.screenshot(path=ROOT / "docs/mlflow" / f"{name}.png")


def test_the_table_of_runs_has_the_metrics_that_were_chosen(tab):
    tab.get_by_role("button", name="Columns", exact=True).click()
    search = tab.get_by_placeholder("Search columns")
    for column in COLUMNS:
        search.fill(column)
        entries = tab.get_by_role("dialog").locator(".du-bois-light-tree-treenode:visible")
        found = entries.filter(has_text=column).last
        found.locator(".du-bois-light-tree-checkbox").click()
    tab.keyboard.press("Escape")
    for column in COLUMNS:
        tab.get_by_role("columnheader", name=column).first.wait_for()
    if not SCREENSHOTS:
        tab.get_by_role("gridcell", name="0.975", exact=True).wait_for()  # 1 - 0.125 / 5
    show(tab, "runs")


def test_two_runs_are_compared_by_what_differs(tab):
    rows = tab.get_by_role("checkbox", name="Press Space to toggle row selection")
    for index in range(2):
        rows.nth(index).check()
    tab.get_by_test_id("runs-compare-button").click()
    tab.get_by_text("Comparing 2 Runs").wait_for()
    tab.locator(".js-plotly-plot .parcoords").first.wait_for()
    tab.get_by_role("switch", name="Show diff only").first.click()
    rate = tab.get_by_role("row").filter(has_text="fit.learning_rate")
    rate.first.wait_for()
    assert tab.get_by_role("row").filter(has_text="fit.optimizer.name").count() == 0
    tab.get_by_role("link", name="best_validation_accuracy").wait_for()
    rate.first.scroll_into_view_if_needed()
    show(tab, "differences")


@pytest.mark.parametrize("axis", ["epoch", "examples"])
def test_curves_have_epochs_or_examples_below(tab, axis):
    tab.goto(tab.url.partition("?")[0] + "?workflowType=machine_learning&compareRunsMode=CHART")
    tab.get_by_placeholder("Search metric charts").fill("^validation_accuracy$")
    tab.locator(".js-plotly-plot path.js-line").first.wait_for()  # the page is redrawn until then
    menus = tab.get_by_test_id("experiment-view-compare-runs-card-menu")
    sync_api.expect(menus).to_have_count(1)
    menus.click()
    tab.get_by_role("menuitem", name="Configure").click()
    dialog = tab.get_by_role("dialog", name="Edit chart")
    dialog.get_by_role("radio", name="Metric").check(force=True)
    dialog.get_by_role("combobox").first.click(force=True)
    tab.locator(f".du-bois-light-select-item-option[title={axis}]").click()
    dialog.locator(".js-plotly-plot .xtitle").get_by_text(axis).wait_for()
    lines = dialog.locator(".js-plotly-plot .scatterlayer .trace path.js-line")
    lines.first.wait_for()
    assert lines.count() >= 2
    show(tab, "curves")
    dialog.get_by_role("button", name="Save changes").click()


def test_markup_in_a_description_is_shown_and_not_run(tab):
    if SCREENSHOTS:
        pytest.skip("the runs are real ones")
    tab.get_by_role("link", name="slow").first.click()
    tab.get_by_text(EVIL).first.wait_for()
    assert tab.title() != "taken"
    assert tab.get_by_role("link", name="Figures").get_attribute("href").endswith("/figures")
