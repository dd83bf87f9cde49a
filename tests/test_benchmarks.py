"""The speed table: what it counts, and what it says of numbers known by hand."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import training, whole_run
from modelmill.datasets.processed import describe
from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.plain_yaml import yaml_data
from modelmill.report import table
from pipelines.compose import compose


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


def test_operations_of_contrastive_divergence_by_hand():
    assert training.flops("rbm", {"hidden_units": 5}, 10) == (3 + 2) * 2 * 784 * 5
    assert training.flops("rating_rbm", {"hidden_units": 5}, 15) == (3 + 2) * 2 * 15 * 5


def row(**rates):
    ranges = {who: [rate, rate] for who, rate in rates.items()}
    return {"unit": "words/s", **rates, "gflops": 50.0, "gemm_gflops": 200.0, "ranges": ranges}


def test_means_are_geometric_and_the_table_names_the_fastest_other():
    rows = {
        "softmax": row(modelmill=8000, keras_fit=1000, torch=4000),
        "mlp": row(modelmill=2000, keras_fit=1000, torch=500),
    }
    assert training.ratios(rows, "keras_fit") == pytest.approx(4)
    assert training.ratios(rows, "torch") == pytest.approx(8**0.5)
    lines = training.table(rows)
    assert lines[2].endswith("| 2.00 × | 50 (25%) |")
    assert lines[3].endswith("| 2.00 × | 50 (25%) |")
    assert "TensorFlow 1" not in lines[0]
    assert lines[-1].endswith("rows: 4.00 × Keras `fit`, 2.83 × PyTorch eager.")


def test_models_without_labels_are_in_no_mean():
    alone = row(modelmill=6000, torch=1000, sklearn=2000)
    lines = training.table(
        {"softmax": row(modelmill=8000, keras_fit=1000, torch=4000), "rbm": alone}
    )
    assert lines[2].endswith("| 4k (4k–4k) | – | 2.00 × | 50 (25%) |")
    assert lines[3] == (
        "| rbm, words/s | 6k (6k–6k) | – | 1k (1k–1k) | 2k (2k–2k) | 3.00 × | 50 (25%) |"
    )
    assert lines[-1].endswith("rows: 8.00 × Keras `fit`, 2.00 × PyTorch eager.")
    assert training.table({"rbm": alone})[-1].startswith("| rbm")


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
    stages = whole_run.by_stage(lines)
    assert stages == {"between stages": 4, "download@mnist": 3, "train@a": 3, "train@b": 10}
    seconds, numbers = whole_run.by_kind(stages)
    assert seconds == {"between stages": 2 + 1 + 0.5 + 0.5, "download": 3, "train": 3 + 10}
    assert numbers == {"between stages": 0, "download": 1, "train": 2}


def test_the_time_of_stages_side_by_side_by_hand():
    awaited = {"data": [], "short": ["data"], "long": ["data"], "last": ["short", "long"]}
    seconds = {"data": 1, "short": 2, "long": 5, "last": 1, "between stages": 9}
    assert whole_run.side_by_side(awaited, seconds, 1) == 9
    assert whole_run.side_by_side(awaited, seconds, 2) == 1 + 5 + 1
    assert (
        whole_run.side_by_side(awaited | {"other": []}, seconds | {"other": 4}, 2) == 1 + 2 + 5 + 1
    )


def test_the_machine_in_numpy_learns_ratings_and_leaves_unknown_ones_alone(monkeypatch):
    monkeypatch.syspath_prepend(training.HERE / "contenders")
    from run_numpy import Rbm

    optimizer = {"momentum": 0.9, "weight_decay": 0.0}
    rbm = Rbm(10, 5, {"hidden_units": 20}, {"learning_rate": 0.1, "optimizer": optimizer})
    stars = np.add.outer(np.arange(8) % 2, np.arange(10)) % 5  # of two kinds of films
    v = np.eye(5, dtype=np.float32)[stars]
    v[:, 7:] = 0
    v = v.reshape(8, 50)
    for _ in range(300):
        rbm.learn(v)
    dreamt = rbm.dream(v, rbm.hidden(v))
    assert (dreamt * v).sum() > 0.9 * v.sum()
    assert not dreamt[:, 35:].any()


def test_scikit_learn_goes_through_whole_epochs_and_says_how_many_steps_they_had(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(training.HERE / "contenders")
    import run_sklearn

    prepare(tmp_path / "data/processed/mnist_binary", (4, 4), 2)
    composed = yaml_data(compose(["profile=full"], ROOT / "conf"))
    monkeypatch.chdir(tmp_path)
    told = training.workload("rbm", composed)
    assert told["model"]["fit"]["chains"] == "data"
    told["model"]["net"]["hidden_units"] = 5
    train = run_sklearn.prepare(told)
    assert train(3) == 3
    assert train(90) == 2 * 89


def test_data_of_another_profile_are_not_measured(tmp_path, monkeypatch):
    prepare(tmp_path / "data/processed/mnist", (4, 4), 256)
    composed = yaml_data(compose(["profile=full"], ROOT / "conf"))
    given = composed["datasets"]["mnist"]
    keys = {"datasets.mnist.options": given["options"] | {"validation": 7}}
    stage = {"params": {"params.yaml": keys}}
    write_json(tmp_path / "dvc.lock", {"stages": {"preprocess@mnist": stage}})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelmillError, match="run `modelmill compose profile=full` and `dvc repro"):
        training.workload("softmax", composed)


@pytest.mark.long
def test_a_row_is_measured_beside_others(tmp_path):
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    prepare(tmp_path / "data/processed/mnist", (28, 28), 256)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", "--only", "softmax", "--quick"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| softmax, examples/s |" in done.stdout
    assert "Keras `fit`" in done.stdout
    assert "JAX is left out: it is not installed" in done.stderr
    assert not (tmp_path / "docs").exists()


def prepare(folder, shape, levels):
    """Pictures of noise, as many as make a long epoch: Keras takes its time between two."""
    folder.mkdir(parents=True)
    x = np.random.default_rng(0).integers(levels, size=(9000, *shape), dtype=np.uint8)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", np.arange(9000, dtype=np.uint8) % 10)
    splits = {"train": (0, 8900), "validation": (8900, 9000)}
    facts = {"input_shape": list(shape), "outputs": 10, "class_names": [*"0123456789"]}
    describe(folder, splits, scale=1 / (levels - 1), **facts)
