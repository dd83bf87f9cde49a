"""The whole pipeline as `dvc repro` runs it, with two models in the smoke profile.

What every model of conf/ does is in test_all_models.py; what runs again when, in test_changes.py.
"""

import json
from pathlib import Path

from clone import DATASETS, FILES, MODELS


def test_every_stage_ran_and_wrote_what_it_promises(seed):
    stages = {f"{stage}@{name}" for stage in ("download", "preprocess") for name in DATASETS}
    stages |= {f"{stage}@{name}" for stage in ("train", "evaluate") for name in MODELS}
    assert seed.ran == stages | {"params", "fundamentals", "report"}
    data = seed.path / "data"
    for name in MODELS:
        metrics = json.loads((data / f"metrics/{name}.json").read_text())
        assert metrics["loss"] > 0
        assert metrics["parameters"] > 0
        assert all((data / f"models/{name}/{file}").stat().st_size for file in FILES)
        assert (data / f"figures/{name}/curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((data / "metrics/mnist_softmax.json").read_text())["examples"] == 1000
    assert json.loads((data / "metrics/fundamentals.json").read_text())["hello_world"] == {
        "sum": [5]
    }
    assert "mnist_softmax" in (data / "report/index.html").read_text(encoding="utf-8")


def test_nothing_runs_a_second_time(seed):
    assert seed.stale() == set()


def test_every_training_is_one_complete_run_in_mlflow(seed):
    runs = {run["tags"]["model"]: run for run in seed.runs()}
    assert set(runs) == set(MODELS)
    for run in runs.values():
        assert run["status"] == "FINISHED"
        assert run["tags"]["profile"] == "smoke"
        assert {"test_loss", "loss", "train_seconds"} <= set(run["metrics"])


def test_the_usual_commands_of_dvc_work(seed, tmp_path):
    assert "accuracy" in seed.run("dvc", "metrics", "show")
    said = seed.run("dvc", "plots", "show", "-o", str(tmp_path)).strip()
    shown = Path(said.removeprefix("file://")).read_text(encoding="utf-8")
    for name in ("mnist_softmax/confusion.csv", "mnist_softmax/weights.png"):
        assert f"data/figures/{name}" in shown
    for model in MODELS:
        assert f"data/curves/{model}/loss.csv" in shown
    assert '"curve": "validation"' in shown


def test_the_results_are_shown_as_a_table(seed, capsys):
    seed.call("results")
    assert "mnist_softmax" in capsys.readouterr().out


def test_what_a_model_wrote_after_each_lap_is_kept(seed):
    texts = seed.path / "data/evaluations/char_rnn"
    assert (texts / "sample.txt").read_text().startswith("The ")
    text = (texts / "samples_by_epoch.txt").read_text()
    assert text.count("=== epoch ") == text.count("\n\nThe ") >= 1
