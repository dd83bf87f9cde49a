"""The whole pipeline in the smoke profile, in a clone of its own.

A model of every architecture, task and data set; with ``--long`` all the others as well.
"""

import json
import math
import sys
from pathlib import Path

import pytest
from clone import FILES, Clone
from conftest import ROOT

from modelmill import params

CONFIG = (ROOT / "conf/config.yaml").read_text(encoding="utf-8")
PICTURES = {
    "fundamentals": "activations convolution_1d convolution_2d edges lstm",
    "line_gd": "curves line line_over_time",
    "iris_logistic": "confusion curves regions",
    "mnist_softmax": "confusion curves mistakes weights",
    "mnist_mlp": "confusion curves filters mistakes",
    "mnist_cnn": "confusion curves feature_maps filters mistakes",
    "mnist_lstm": "confusion curves mistakes reading",
    "mnist_denoising_autoencoder": "curves reconstructions",
    "ptb_small": "curves perplexity",
    "char_rnn": "curves perplexity",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory, dvc_cache):
    """A clone in which everything has been run once."""
    clone = Clone(tmp_path_factory.mktemp("clone"), dvc_cache)
    clone.keep("model", [name for name in PICTURES if name != "fundamentals"])
    clone.ran = clone.repro("--force")  # whatever the cache has
    clone.commit()
    return clone


@pytest.fixture(scope="module")
def everything(clone):
    return params.load(clone.path / "params.yaml")


def test_every_stage_ran_and_wrote_what_it_promises(clone, everything):
    stages = {
        f"{stage}@{name}" for stage in ("download", "preprocess") for name in everything.datasets
    }
    stages |= {f"{stage}@{name}" for stage in ("train", "evaluate") for name in everything.models}
    stages.add("fundamentals")
    assert clone.ran == stages
    data = clone.path / "data"
    for name, model in everything.models.items():
        metrics = json.loads((data / f"metrics/{name}.json").read_text())
        assert math.isfinite(metrics[model.reference.metric])
        assert metrics["parameters"] > 0
        assert all((data / f"models/{name}/{file}").stat().st_size for file in FILES)
        assert (data / f"figures/{name}/curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((data / "metrics/mnist_softmax.json").read_text())["examples"] == 1000
    assert json.loads((data / "metrics/fundamentals.json").read_text())["hello_world"] == {
        "sum": [5]
    }
    assert "mnist_softmax" in (data / "report/index.html").read_text(encoding="utf-8")
    assert (data / "figures/char_rnn/sample.txt").read_text().startswith("The ")


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_that_suit_a_model_are_drawn(clone, name):
    folder = clone.path / "data/figures" / name
    assert {path.stem for path in folder.glob("*.png")} == set(PICTURES[name].split())


def test_what_a_model_wrote_after_each_epoch_is_kept(clone):
    text = (clone.path / "data/figures/char_rnn/samples_by_epoch.txt").read_text()
    assert text.count("=== epoch ") == text.count("\n\nThe ") >= 1


def test_every_training_is_one_complete_run_in_mlflow(clone, everything):
    runs = {
        run["tags"]["model"]: run for run in clone.runs() if not run["tags"].get("dvc_experiment")
    }
    assert set(runs) == set(everything.models)
    for run in runs.values():
        assert run["status"] == "FINISHED"
        assert run["tags"]["profile"] == "smoke"
        assert {"test_loss", "loss", "train_seconds"} <= set(run["metrics"])


def test_nothing_runs_a_second_time(clone):
    assert clone.repro() == set()
    assert "up to date" in clone.run("dvc", "status")


def test_the_usual_commands_of_dvc_work(clone):
    assert "accuracy" in clone.run("dvc", "metrics", "show")
    clone.run("dvc", "metrics", "diff")
    page = clone.run("dvc", "plots", "show", "-o", "plots").strip().removeprefix("file://")
    assert "history.csv" in Path(page).read_text(encoding="utf-8")
    table = clone.run(sys.executable, "-m", "pipelines.results")
    assert "mnist_softmax" in table


@pytest.mark.long
def test_all_other_models_run_as_well(clone, everything):
    clone.edit("conf/config.yaml", (clone.path / "conf/config.yaml").read_text(), CONFIG)
    clone.compose("profile=smoke", "+experiment=ptb_medium")
    ran = clone.repro()
    models = params.load(clone.path / "params.yaml").models
    others = models.keys() - everything.models.keys()
    assert len(others) >= 8
    assert ran == {f"{stage}@{name}" for stage in ("train", "evaluate") for name in others}
    for name in others:
        metrics = json.loads((clone.path / f"data/metrics/{name}.json").read_text())
        assert math.isfinite(metrics[models[name].reference.metric])
    assert "up to date" in clone.run("dvc", "status")
