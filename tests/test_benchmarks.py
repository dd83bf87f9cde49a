"""The speed table: what it counts, and what it says of numbers known by hand."""

import json
import sys

import pytest
from conftest import ROOT

from benchmarks import training, whole_run
from modelmill.report import table


def test_operations_of_dense_layers_by_hand():
    linear, mlp = ({}, {"hidden_units": [5]})
    assert training.flops("linear", linear, 10) == 4 * 784 * 10
    assert training.flops("mlp", mlp, 10) == 4 * 784 * 5 + 6 * 5 * 10


def test_operations_of_a_convolution_by_hand():
    blocks = [{"filters": 2, "kernel": 3, "pool": 2}, {"filters": 3, "kernel": 5, "pool": 3}]
    expected = 4 * 28 * 28 * 9 * 1 * 2 + 6 * 14 * 14 * 25 * 2 * 3  # then 5 x 5 x 3
    expected += 6 * 75 * 7 + 6 * 7 * 10
    assert training.flops("convnet", {"blocks": blocks, "hidden_units": 7}, 10) == expected


def test_operations_of_recurrent_models_by_hand():
    reader = {"cell": "lstm", "units": 3}
    assert training.flops("row_recurrent", reader, 10) == (
        28 * (4 * 28 * 12 + 6 * 3 * 12) + 6 * 3 * 10
    )
    model = {"cell": "rnn", "embedding": 5, "units": 3, "layers": 2}
    assert training.flops("recurrent_lm", model, 7) == 6 * (5 * 3 + 3 * 3 + 3 * 3 + 3 * 3 + 3 * 7)


def row(ours, keras, torch):
    rates = {"modelmill": ours, "keras_fit": keras, "torch": torch}
    ranges = {who: [rate, rate] for who, rate in rates.items()}
    return {"unit": "words/s", **rates, "gflops": 50.0, "gemm_gflops": 200.0, "ranges": ranges}


def test_means_are_geometric_and_the_table_names_the_fastest_other():
    rows = {"one": row(8000, 1000, 4000), "two": row(2000, 1000, 500)}
    assert training.ratios(rows, "keras_fit") == pytest.approx(4)
    assert training.ratios(rows, "torch") == pytest.approx(8**0.5)
    lines = training.table(rows)
    assert lines[2].endswith("| 2.00 × | 50 (25%) |")
    assert lines[3].endswith("| 2.00 × | 50 (25%) |")
    assert "TensorFlow 1" not in lines[0]
    assert lines[-1] == "Geometric means: 4.00 × Keras `fit`, 2.83 × PyTorch eager."


def test_the_document_shows_what_the_published_reports_say():
    report = json.loads((ROOT / training.REPORT).read_text(encoding="utf-8"))
    document = (ROOT / training.PAGE).read_text(encoding="utf-8")
    assert list(report["rows"]) == list(training.ROWS)
    assert table.insert(document, "bench", training.markdown(report)) == document
    times = json.loads((ROOT / whole_run.REPORT).read_text(encoding="utf-8"))
    assert table.insert(document, "times", whole_run.markdown(times)) == document


def test_the_time_of_a_run_is_divided_among_its_stages():
    lines = [
        (1.0, "'data/raw/x.dvc' didn't change, skipping\n"),
        (2.0, "Running stage 'download@mnist':\n"),
        (3.0, "> modelmill download mnist\n"),
        (5.0, "Updating lock file 'dvc.lock'\n"),
        (6.0, "Running stage 'train@a':\n"),
        (9.0, "Updating lock file 'dvc.lock'\n"),
        (9.5, "Running stage 'train@b':\n"),
        (19.5, "Updating lock file 'dvc.lock'\n"),
        (20.0, ""),
    ]
    seconds, numbers = whole_run.by_kind(lines)
    assert seconds == {"between stages": 2 + 1 + 0.5 + 0.5, "download": 3, "train": 3 + 10}
    assert numbers == {"between stages": 0, "download": 1, "train": 2}


@pytest.mark.long
def test_a_row_is_measured_beside_others(seed, tmp_path):
    clone = seed.copied(tmp_path / "clone")
    clone.repro("preprocess@mnist")
    command = (sys.executable, "-m", "benchmarks.training", "--only", "softmax", "--quick")
    printed = clone.run(*command)
    assert "| softmax, examples/s |" in printed
    assert "Keras `fit`" in printed
    assert "JAX is left out: it is not installed" in printed
    assert not clone.git("status", "--short", "docs")
