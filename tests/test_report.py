"""The page says what the results say, escapes what it is given, and works in a browser, offline."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, photograph
from PIL import Image

from modelmill import params
from modelmill.datasets import processed
from modelmill.files import write_json
from modelmill.models import Input, Spec
from modelmill.parts import part
from modelmill.report import charts, compare, content, moment, seeds, stages
from modelmill.report.moment import Change, Moment
from modelmill.report.page import write
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.history import HISTORY

EVIL = "</script><script>document.title = 'taken'</script><b onclick=x>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def everything():
    """The models there are, one of them described by somebody with bad intentions."""
    everything = params.load(ROOT / "params.yaml")
    char_rnn = everything.models["char_rnn"].model_copy(update={"about": EVIL})
    return everything.model_copy(update={"models": everything.models | {"char_rnn": char_rnn}})


@pytest.fixture(scope="module")
def root(everything, tmp_path_factory):
    """A repository in which all models but ptb_small have been run, one for 5,000 laps."""
    root = tmp_path_factory.mktemp("root")
    for name in ("dvc.yaml", "requirements.lock", "docs/results/full.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for name in everything.datasets:
        (root / "data/processed" / name).mkdir(parents=True)
        meta = root / "data/processed" / name / processed.META
        meta.write_text('{"digest": "d", "arrays": {}, "splits": {}}', encoding="utf-8")
    for number, name in enumerate(sorted(set(everything.models) - {"ptb_small"})):
        _run(everything, root / "data", name, number)
    _over_seeds(everything, root, "line_sgd")
    sample = root / "data/evaluations/char_rnn/sample.txt"
    sample.write_text(f"ROMEO:\n{EVIL}", encoding="utf-8")
    counts = root / "data/figures/mnist_softmax/confusion.csv"
    rows = ["actual,predicted,examples", "6,6,1900", "6,7,50", "7,6,100", "7,7,950"]
    counts.write_text("\n".join(rows), encoding="utf-8")
    return root


def _run(everything, data, name, number):
    """Writes what training and evaluating a model leave."""
    entry = everything.models[name]
    model, figures = data / "models" / name, data / "figures" / name
    model.mkdir(parents=True)
    figures.mkdir(parents=True)
    keys = {"dataset", "task", "arch", "net", "fit"}
    settings = {"model": name, "seed": everything.seed, **entry.model_dump(include=keys)}
    inputs = {key: Input((1,)) for key in part("models", entry.arch, name).INPUTS}
    card = Card(settings, Spec(inputs, 1), "d", name, 10 ** (number % 8))
    (model / artifacts.CARD).write_text(json.dumps(asdict(card)), encoding="utf-8")
    _history(5000 if name == "line_sgd" else 20).to_csv(model / HISTORY, index=False)
    metrics = {entry.reference.metric: 0.5 + number / 100}
    artifacts.save_evaluation(data / "evaluations" / name, card, entry.eval.model_dump(), metrics)
    write_json(data / "metrics" / f"{name}.json", metrics)
    size = (1440, 1080) if name == "mnist_softmax" else (120, 90)
    pictures = ("confusion", "curves", *["mistakes"] * (name == "line_sgd"))
    for picture in pictures:
        Image.linear_gradient("L").resize(size).save(figures / f"{picture}.png")


def _over_seeds(everything, root, name):
    """Writes what `modelmill replicate` says of a model whose figure is short of its goal."""
    metric = everything.models[name].reference.metric
    own = json.loads((root / f"data/metrics/{name}.json").read_text(encoding="utf-8"))[metric]
    known = {"settings": seeds.settings(everything, name, "d"), "values": {"1": own, "2": own}}
    known |= {"mean": own, "interval": [own, own]}
    known["bands"] = {"validation_loss": {"epoch": [1.0, 5000.0], "low": [1, 0.1], "high": [2, 1]}}
    write_json(root / seeds.PATH, {"models": {name: known}})


def _history(laps):
    epoch = np.arange(1, laps + 1)
    columns = {"step": epoch * 10, "epoch": epoch, "examples": epoch * 50, "learning_rate": 0.1}
    columns |= {"loss": 1 / epoch}
    return pd.DataFrame(columns | {"accuracy": 1 - 0.5 / epoch, "validation_loss": 1.1 / epoch})


@pytest.fixture(scope="module")
def page(everything, root):
    path = root / "index.html"
    write(path, everything, root)
    return path


def test_it_is_the_same_twice_small_and_asks_for_nothing_from_elsewhere(everything, root, page):
    again = root / "again.html"
    write(again, everything, root)
    assert again.read_bytes() == page.read_bytes()
    assert page.stat().st_size < 5_000_000
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'<(script|link|img)[^>]* (src|href)="(?!data:)\w', text)
    assert "default-src 'none'" in text


def test_text_from_models_and_data_is_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert EVIL not in text
    assert text.count("&lt;script&gt;document.title") >= 3  # in the table, as about, as sample


def test_a_model_may_be_called_as_a_part_of_the_page_is(everything, root, tmp_path):
    model, path = everything.models["ptb_small"], tmp_path / "index.html"
    parts = dict.fromkeys(("results", "table", "main", "settings", "pair"), model)
    write(path, everything.model_copy(update={"models": parts}), root)
    ids = re.findall(r' id="([^"]+)"', path.read_text(encoding="utf-8"))
    assert len(set(ids)) == len(ids) > len(parts)


def test_a_model_that_was_not_run_says_so(page):
    text = page.read_text(encoding="utf-8")
    part = text.partition('<h3 id="model-ptb_small">')[2].partition("</article>")[0]
    assert "not run" in part
    assert "dvc repro evaluate@ptb_small" in part
    assert "<figure" not in part


def test_the_table_has_ratio_and_the_time_of_a_training_that_gave_the_same(everything, root):
    shown = {model.name: model for model in content.models(everything, root, lambda card: 75.0)}
    published = everything.models["mnist_softmax"].reference.published
    cells = shown["mnist_softmax"].cells
    assert cells["ratio"].key == cells["ours"].key / published
    assert cells["time"].text == "1.2 min"
    assert shown["ptb_small"].cells["ours"].text == "not run"
    assert shown["ptb_small"].cells["ours"].key is None

    folder = root / "other"
    (folder / "docs/results").mkdir(parents=True)
    (folder / "data").symlink_to(root / "data")
    times = {"models": {name: {"value": 0.0, "seconds": 9.0} for name in everything.models}}
    times["models"]["mnist_softmax"]["value"] = cells["ours"].key
    (folder / content.PUBLISHED).write_text(json.dumps(times), encoding="utf-8")
    shown = {model.name: model for model in content.models(everything, folder, lambda card: None)}
    assert shown["mnist_softmax"].cells["time"].text == "9.0 s"
    assert shown["mnist_mlp"].cells["time"].text == "–"


def test_a_verdict_has_its_colour_and_a_part_of_the_schedule_has_none(page):
    text = page.read_text(encoding="utf-8")
    assert '<small class="part">20 % of full</small>' in text  # mnist_softmax, 200 of 1,000 steps
    assert '<small class="short">short</small>' in text  # line_sgd, in full


def test_seeds_are_an_interval_in_the_table_and_a_band_behind_the_curve(everything, root, page):
    shown = {model.name: model for model in content.models(everything, root, lambda card: None)}
    own = shown["line_sgd"].cells["ours"]
    assert own.note == f"mean {own.text},\n{own.text} to {own.text} (2)"
    assert own.note in page.read_text(encoding="utf-8")
    (loss,) = shown["line_sgd"].charts
    assert loss["spec"]["datasets"]["seeds"][1] == {"epoch": 5000, "low": 0.1, "high": 1}
    assert shown["mnist_mlp"].cells["ours"].note == ""
    assert "seeds" not in shown["mnist_mlp"].charts[0]["spec"]["datasets"]


def test_pictures_are_made_small_and_curves_are_drawn_anew(root):
    (figure,) = content.figures(root / "data/figures/mnist_softmax", "")
    assert (figure.title, figure.width, figure.height) == ("confusion", 960, 720)
    assert content.figures(root / "nowhere", "") == []


def test_long_histories_are_thinned_and_keep_their_last_lap():
    loss, accuracy = charts.curves(_history(2500), "accuracy")
    rows = loss["spec"]["datasets"]["laps"]
    assert len(rows) <= charts.POINTS
    assert rows[-1] == {"epoch": 2500, "training": 0.0004, "validation": 0.00044}
    assert accuracy["summary"] == "accuracy over 2.5e+03 epochs: training from 0.5 to 0.9998"
    assert [chart["metric"] for chart in charts.curves(_history(9), "slope_error")] == ["loss"]


def test_models_of_a_data_set_share_a_chart(everything, root):
    models = content.models(everything, root, lambda card: None)
    groups = {group.dataset: group for group in compare.groups(everything, models)}
    assert [len(group.models) for group in groups.values()] == [
        sum(model.dataset == name for model in everything.models.values())
        for name in everything.datasets
    ]
    assert groups["line_origin"].charts == groups["ptb"].charts == []  # of one model, and of none
    curves, cost = groups["mnist"].charts
    assert curves["summary"].startswith("mnist: validation curves of ")
    rows = curves["spec"]["datasets"]["laps"]
    assert {row["model"] for row in rows} == {model.name for model in groups["mnist"].models}
    assert rows[0] == {
        **{"model": groups["mnist"].models[0].name, "epoch": 1, "examples": 50},
        **{"accuracy": 0.5, "loss": 1.1},
    }
    # Only models that are judged by the same metric are held against one another.
    metrics = {name: model.reference.metric for name, model in everything.models.items()}
    judged = {row["model"] for row in cost["spec"]["datasets"]["laps"]}
    assert {metrics[name] for name in judged} == {"accuracy"}


def test_models_without_validation_data_share_a_chart_of_their_loss():
    laps = {"step": [1, 2], "epoch": [1, 2], "examples": [5, 10], "loss": [2.0, 1.0]}
    histories = {name: pd.DataFrame(laps) for name in ("one", "other")}
    results = {name: {"metric": "slope_error", "value": 0.1} for name in histories}
    chart = compare._curves("line", results, histories)
    assert chart["summary"] == "line: curves of 2 models"
    rows = chart["spec"]["datasets"]["laps"]
    assert [row["loss"] for row in rows] == [2.0, 1.0, 2.0, 1.0]


def test_the_classes_of_a_model_are_a_table(page):
    text = page.read_text(encoding="utf-8")
    part = text.partition('<h3 id="model-mnist_softmax">')[2].partition("</article>")[0]
    assert re.search(r"<th scope=\"row\">7</th>.*1,050.*0\.9500.*0\.9048", part, re.DOTALL)
    assert (
        "By class" not in text.partition('<h3 id="model-mnist_mlp">')[2].partition("</article>")[0]
    )


def test_the_graph_is_that_of_dvc_yaml(everything):
    levels = stages.levels(ROOT / "dvc.yaml", everything)
    kinds = {kind.name: kind for level in levels for kind in level}
    assert [[kind.name for kind in level] for level in levels] == [
        ["params", "fundamentals"],
        ["download"],
        ["preprocess"],
        ["train"],
        ["evaluate"],
        ["report"],
    ]
    assert kinds["train"].count == f"{len(everything.models)} models"
    assert kinds["train"].writes == ["data/models/*"]
    assert kinds["evaluate"].needs == ["preprocess", "train"]


def test_stages_that_a_person_added_are_in_the_graph(everything, tmp_path):
    for each, count in (("[a, b, c]", "3 stages"), ("${seeds}", "")):
        path = tmp_path / "dvc.yaml"
        path.write_text(f"stages:\n  mine:\n    foreach: {each}\n    do: {{cmd: a}}\n")
        ((kind,),) = stages.levels(path, everything)
        assert kind.count == count


def test_changes_are_those_of_the_models_metrics(everything):
    diff = {
        "data/metrics/mnist_mlp.json": {"accuracy": {"old": 0.5, "new": 0.75, "diff": 0.25}},
        "data/metrics/char_rnn.json": {"loss": {"new": 2.0}},
        "data/metrics/fundamentals.json": {"x": {"old": 1, "new": 2, "diff": 1}},
    }
    assert moment.changes(json.dumps(diff), everything) == [
        Change("mnist_mlp", "accuracy", 0.5, 0.75),
        Change("char_rnn", "loss", None, 2.0),
    ]
    assert moment.changes("{}", everything) == []
    assert moment.changes(None, everything) is None


@pytest.mark.parametrize(
    ("commit", "changes", "said"),
    [
        ("", None, "no commit to compare with"),
        ("0123456789ab", None, "<code>dvc metrics diff</code> fails"),
        ("0123456789ab", [], "No model's metrics differ"),
        ("0123456789ab", [Change("mnist_mlp", "accuracy", 0.5, 0.75)], "+0.25"),
    ],
)
def test_a_page_of_the_moment_has_changes_and_machine(
    commit, changes, said, everything, root, tmp_path
):
    now = Moment(commit, changes, {"machine": "2 cores of <x>"}, lambda card: None)
    write(tmp_path / "now.html", everything, root, now)
    text = (tmp_path / "now.html").read_text(encoding="utf-8")
    assert said in text
    assert "2 cores of &lt;x&gt;" in text


# --- in a browser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, page):
    """Opens the page; afterwards there must have been no error and no request but for itself."""
    complaints = []

    def open_page(**options):
        tab = chromium.new_page(**options)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url))
        tab.goto(page.as_uri())
        return tab

    yield open_page
    assert [line for line in complaints if not line.startswith((page.as_uri(), "data:"))] == []


def column(tab, dataset, index):
    """What a data set's rows are sorted by."""
    body = tab.locator("#table tbody", has=tab.locator(f".group:has-text('{dataset}')")).first
    cells = body.locator(f"tr:not(.group) > :nth-child({index + 1})")
    return cells.evaluate_all("cells => cells.map(cell => cell.dataset.key)")


def test_a_data_sets_models_are_sorted_by_pointer_and_by_keyboard(opened, everything):
    tab = opened()
    assert tab.title() == "modelmill: results"
    header = tab.locator("#table thead th").nth(2)
    header.locator("button").click()
    found = column(tab, "mnist", 2)
    assert header.get_attribute("aria-sort") == "ascending"
    assert found == sorted(found, key=float)
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert column(tab, "mnist", 2) == [*reversed(found)]
    tab.locator("#table thead button").first.press("Space")
    assert header.get_attribute("aria-sort") == "none"
    names = sorted(name for name, of in everything.models.items() if of.dataset == "mnist")
    assert column(tab, "mnist", 0) == names


def test_the_table_shows_only_what_is_asked_for(opened):
    tab = opened()
    tab.locator("#filter").fill("mnist lstm")
    assert tab.locator("#table tbody tr:visible a").all_inner_texts() == [
        *("mnist_lstm", "mnist_lstm_long", "mnist_row_lstm"),
    ]
    assert tab.locator("#sorted").inner_text() == "3 models shown"
    tab.locator("#filter").fill("")
    assert tab.locator("#table tbody tr:visible a:has-text('ptb_small')").count() == 1


def test_two_models_are_held_against_one_another(opened):
    tab = opened()
    one, other = (tab.locator("article[aria-labelledby=pair] select").nth(n) for n in (0, 1))
    one.select_option("mnist_lstm")
    other.select_option("mnist_lstm_long")
    rows = tab.locator("#differences tbody tr").all_inner_texts()
    differing = [row.split("\t") for row in rows if len(set(row.split("\t")[1:])) == 2]
    assert ["fit.length", "500 steps", "1 epochs"] in differing
    assert differing == [row.split("\t") for row in rows[: len(differing)]]  # they come first
    assert tab.locator(".pair .picture").count() == 2


def test_curves_of_a_data_set_change_with_what_is_chosen(opened):
    tab = opened()
    chart = tab.locator("article[aria-labelledby=compare-mnist] .chart").first
    chart.scroll_into_view_if_needed()
    line = chart.locator("path[aria-roledescription='line mark']").first
    line.wait_for()
    before = line.get_attribute("d")
    chart.get_by_label("metric").select_option("loss")
    tab.wait_for_function(
        "([path, before]) => path.getAttribute('d') !== before",
        arg=[line.element_handle(), before],
    )


def test_curves_are_drawn_follow_the_pointer_and_zoom(opened):
    tab = opened(color_scheme="dark")
    chart = tab.locator("article:has(#model-mnist_softmax) .chart").first
    chart.scroll_into_view_if_needed()
    lines = chart.locator("path[aria-roledescription='line mark']")
    lines.first.wait_for()
    assert lines.count() == 2
    box = lines.first.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 100

    chart.locator("svg").hover()
    tip = tab.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "validation" in tip.inner_text()

    before = lines.first.get_attribute("d")
    chart.get_by_role("button", name="Zoom in on the end").press("Enter")
    tab.wait_for_function(
        "([path, before]) => path.getAttribute('d') !== before",
        arg=[lines.first.element_handle(), before],
    )
    chart.get_by_role("button", name="all").click()


def test_a_phone_scrolls_down_only_and_pictures_can_be_enlarged(opened):
    tab = opened(viewport={"width": 375, "height": 700})
    tab.locator("#model-mnist_softmax").scroll_into_view_if_needed()
    tab.locator("article:has(#model-mnist_softmax) .chart svg").first.wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    tab.locator("article:has(#model-line_sgd) .picture").first.click()
    first = tab.locator("dialog[open] img").get_attribute("alt")
    tab.keyboard.press("ArrowRight")
    second = tab.locator("dialog[open] img").get_attribute("alt")
    assert first != second
    tab.get_by_role("button", name="Previous").click()
    assert tab.locator("dialog[open] img").get_attribute("alt") == first
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_page_fits_the_screen(chromium, page, pytestconfig, width, height, scheme):
    """With --screenshots it is the page of this repository, and the documentation's pictures."""
    folder = pytestconfig.getoption("--screenshots")
    size = {"width": width, "height": height}
    tab = chromium.new_page(viewport=size, color_scheme=scheme)
    tab.goto((ROOT / "report.html" if folder else page).as_uri())
    tab.locator("#table tbody tr").first.wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    if width == 1440:
        cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        assert tab.evaluate(f"{cut}.length") == 0
    if folder:
        photograph(tab, folder / f"page_{width}_{scheme}.png")


def test_names_and_structure_are_there_for_a_screen_reader(opened):
    tab = opened()
    assert tab.locator("main, header, nav[aria-label]").count() == 3
    assert tab.locator("h1").count() == 1
    assert tab.locator("img:not([alt])").count() == 0
    assert tab.locator("[role=img]:not([aria-label])").count() == 0
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the results"
