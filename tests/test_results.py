"""The results tell what was measured, and only replace their own part of a document."""

import dataclasses
import json
import math
from types import MappingProxyType

import pytest
from conftest import ROOT

from modelmill import params
from modelmill.datasets import processed
from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.models import Input, Spec
from modelmill.parts import part
from modelmill.report import seeds, table
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.history import HISTORY


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


@pytest.fixture
def evaluated(everything, tmp_path):
    """Writes what training and evaluating a model leave, with some settings changed."""
    root = tmp_path / "data"
    for name in everything.datasets:
        folder = root / "processed" / name
        folder.mkdir(parents=True)
        (folder / processed.META).write_text('{"digest": "d", "arrays": {}, "splits": {}}')

    def write(
        name, metrics, data="d", evaluated_with=MappingProxyType({}), ran=(1000, 1.5), **changes
    ):
        keys = {"dataset", "task", "arch", "net", "fit"}
        settings = {"model": name, "seed": everything.seed}
        settings |= everything.models[name].model_dump(include=keys) | changes
        model = root / "models" / name
        model.mkdir(parents=True)
        arch = part("models", everything.models[name].arch, name)
        inputs = {key: Input((1,)) for key in arch.INPUTS}
        card = Card(settings, Spec(inputs, 1), data, "f", 7850)
        (model / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(card)))
        step, epoch = ran
        (model / HISTORY).write_text(f"step,epoch,loss\n1,0.001,2.0\n{step},{epoch},1.0\n")
        options = everything.models[name].eval.model_dump() | evaluated_with
        artifacts.save_evaluation(root / "evaluations" / name, card, options, metrics)
        write_json(root / "metrics" / f"{name}.json", metrics)

    return write


def collect(everything, tmp_path):
    return table.collect(everything, tmp_path, lambda card: 75.0)


def test_a_result_is_what_was_trained_and_evaluated(everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.9123, "loss": 0.3})
    assert collect(everything, tmp_path)["mnist_softmax"] == {
        "metric": "accuracy",
        "split": "test",
        "value": 0.9123,
        "better": "higher",
        "goal": 0.91,
        "published": 0.92,
        "source": "Deep Learning with TensorFlow",
        "parameters": 7850,
        "epochs": 1.5,
        "trained_by": "sgd 0.5, batches of 50",
        "share": 1.0,
        "seconds": 75.0,
    }


@pytest.mark.parametrize(
    "other", [{"seed": 2}, {"data": "e"}, {"evaluated_with": {"split": "validation"}}]
)
def test_what_has_other_settings_or_data_is_no_result(other, everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.9123}, **other)
    result = collect(everything, tmp_path)["mnist_softmax"]
    assert (result["value"], table.shown_value(result)) == (None, "of other settings")


def test_metrics_and_figures_of_different_evaluations_are_no_result(
    everything, evaluated, tmp_path
):
    evaluated("mnist_softmax", {"accuracy": 0.9123})
    write_json(tmp_path / "data/metrics/mnist_softmax.json", {"accuracy": 0.95})
    assert collect(everything, tmp_path)["mnist_softmax"]["value"] is None


def test_a_row_a_model_with_goal_and_verdict(everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.91})
    evaluated("ptb_small", {"perplexity": 120.0}, ran=(20000, 13.0))
    evaluated("iris_logistic", {"accuracy": 0.9})
    evaluated("mnist_denoising_autoencoder", {"total_squared_error": 54605.3}, ran=(43000, 100.0))
    rows = {row["model"]: row for row in table.rows(collect(everything, tmp_path))}
    assert list(rows) == list(everything.models)
    assert list(rows["mnist_softmax"].values()) == [
        "mnist_softmax",
        "7,850",
        "1.5",
        "sgd 0.5, batches of 50",
        "1.2 min",
        "test accuracy",
        "0.9100",
        "",
        "≥ 0.9100",
        "one run",
        "0.9200 (Deep Learning with TensorFlow)",
    ]
    shown = {name: (row["ours"], row["goal"], row[""]) for name, row in rows.items()}
    assert shown["ptb_small"] == ("120.00", "≤ 115.90", "one run")
    assert shown["iris_logistic"] == ("0.9000", "", "")
    assert shown["mnist_denoising_autoencoder"] == ("54,605.3", "≤ 56,300.0", "one run")
    assert shown["line_gd"] == ("not run", "≤ 0.0200", "")


def test_a_row_says_whether_a_net_was_pretrained_and_with_how_many_labels(
    everything, evaluated, tmp_path
):
    evaluated("mnist_dbn_1000", {"accuracy": 0.91})
    evaluated("mnist_dbn_random_1000", {"accuracy": 0.88})
    rows = {row["model"]: row["trained by"] for row in table.rows(collect(everything, tmp_path))}
    fine_tuned = rows["mnist_dbn_random_1000"]
    assert fine_tuned.endswith(", 1,000 labels")
    assert rows["mnist_dbn_1000"] == f"pre-training, {fine_tuned}"


def test_a_metric_that_this_evaluation_does_not_give_is_named(everything, evaluated, tmp_path):
    evaluated("mnist_denoising_autoencoder", {"loss": 5.4})
    problem = collect(everything, tmp_path)["mnist_denoising_autoencoder"]["problem"]
    assert problem == (
        "models.mnist_denoising_autoencoder.reference.metric: its evaluation gives no "
        "'total_squared_error', only loss"
    )


def test_what_ran_in_part_is_neither_pass_nor_short(everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.95}, ran=(100, 0.1))  # of 1,000 steps
    evaluated("ptb_small", {"perplexity": 150.0}, ran=(750, 0.5))  # of 13 epochs
    evaluated("mnist_mlp", {"accuracy": 0.95, "examples": 10000}, ran=(43000, 100.0))
    rows = {row["model"]: row for row in table.rows(collect(everything, tmp_path))}
    shown = [rows[name][""] for name in ("mnist_softmax", "ptb_small", "mnist_mlp")]
    assert shown == ["10 % of full", "3.85 % of full", "short"]
    assert rows["ptb_small"]["goal"] == "≤ 115.90"


def of_seeds(everything, values, **changes):
    """What docs/results/seeds.json says of mnist_softmax."""
    from modelmill.sweeps.spread import spread

    mean, _, interval = spread(values)
    settings = seeds.settings(everything, "mnist_softmax", "d")
    known = {"settings": settings, "mean": mean, "interval": interval, "bands": {}}
    known["values"] = {str(seed): value for seed, value in enumerate(values, start=1)}
    return {"models": {"mnist_softmax": known | changes}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.9099, 0.9101, 0.9103], "reached"),
        ([0.9099, 0.9090, 0.9108], "on par"),
        ([0.9089, 0.9091, 0.9093], "short"),
    ],
)
def test_a_goal_is_judged_by_the_mean_over_seeds_and_its_interval(
    values, said, everything, evaluated, tmp_path
):
    evaluated("mnist_softmax", {"accuracy": values[0], "examples": 10_000})
    write_json(tmp_path / seeds.PATH, of_seeds(everything, values))
    (row,) = table.rows({"": collect(everything, tmp_path)["mnist_softmax"]})
    assert row[""] == said
    assert row[table.SEEDS].endswith("(3)")


def test_an_interval_is_students():
    from modelmill.sweeps.spread import spread

    mean, deviation, interval = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)  # t for 4 degrees of freedom, from a table
    assert (mean, deviation) == pytest.approx((3.0, math.sqrt(2.5)))
    assert interval == pytest.approx([3 - half, 3 + half])


def test_one_run_is_judged_beyond_a_standard_error(everything, evaluated, tmp_path):
    for accuracy, said in {0.9127: "one run", 0.9129: "reached", 0.9071: "short"}.items():
        result = {"value": accuracy, "goal": 0.91, "better": "higher", "standard_error": 0.0028}
        assert table.verdict(result) == said
    evaluated("mnist_softmax", {"accuracy": 1.0, "examples": 10_000})  # which is no certainty
    result = collect(everything, tmp_path)["mnist_softmax"]
    assert result["standard_error"] == pytest.approx(math.sqrt(0.91 * 0.09 / 10_000))


def test_a_table_in_markdown_has_its_columns_whatever_is_in_a_cell():
    assert table.line(["a | b", "two\nlines"]) == r"| a \| b | two lines |"


def test_without_models_the_table_is_empty():
    assert table.plain({}).startswith("Empty DataFrame\nColumns: [model, ")


def test_seeds_of_other_settings_are_not_applied_and_named(everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.9099, "examples": 10_000})
    values = [0.9099, 0.9101, 0.9103]
    other = of_seeds(everything, values, settings="of another profile")
    for known in (other, of_seeds(everything, values[1:])):  # nor those the run is none of
        write_json(tmp_path / seeds.PATH, known)
        (row,) = table.rows({"": collect(everything, tmp_path)["mnist_softmax"]})
        assert (row[table.SEEDS], row[""]) == ("of other settings", "one run")


def test_a_training_that_stopped_of_itself_is_held_against_its_goal(
    everything, evaluated, tmp_path
):
    evaluated("iris_logistic", {"accuracy": 0.6, "examples": 30}, ran=(500, 500.0))
    entry = everything.models["iris_logistic"]
    reference = entry.reference.model_copy(update={"goal": 0.95})
    model = entry.model_copy(update={"reference": reference})
    changed = everything.model_copy(update={"models": {"iris_logistic": model}})
    assert [row[""] for row in table.rows(collect(changed, tmp_path))] == ["short"]


def test_a_report_has_every_model_or_names_those_it_lacks(everything, evaluated, tmp_path):
    evaluated("mnist_softmax", {"accuracy": 0.91})
    found = collect(everything, tmp_path)
    with pytest.raises(
        ModelmillError, match=r"no results .*: line_sgd, line_gd, .*; run `dvc repro`"
    ):
        table.report(found, "abc")
    report = table.report({"mnist_softmax": found["mnist_softmax"]}, "abc")
    assert json.loads(json.dumps(report)) == report
    assert " cores of " in report["machine"]


def test_a_table_replaces_only_what_is_between_its_marks():
    begin, end = "<!-- new: begin -->", "<!-- new: end -->"
    document = f"before\n{begin}\nold\n{end}\n<!-- other: begin --> after\n"
    once = table.insert(document, "new", "table")
    assert once == f"before\n{begin}\ntable\n{end}\n<!-- other: begin --> after\n"
    assert table.insert(once, "new", "table") == once


@pytest.mark.parametrize("marks", [[], ["begin"], ["end", "begin"], ["begin", "begin", "end"]])
def test_a_document_without_both_marks_is_left_alone(marks):
    document = "".join(f"<!-- new: {mark} -->" for mark in marks)
    with pytest.raises(ModelmillError, match="there must be one line"):
        table.insert(document, "new", "table")


def test_the_document_shows_what_the_published_report_says(everything):
    report = json.loads((ROOT / "docs/results/full.json").read_text(encoding="utf-8"))
    document = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert table.insert(document, "results", table.markdown(report)) == document
    assert report["models"].keys() <= everything.models.keys()  # a new one is not run in full yet
    for name, result in report["models"].items():
        reference = everything.models[name].reference
        assert result["goal"] == reference.goal
        assert result["published"] == reference.published
