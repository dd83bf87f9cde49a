"""The whole pipeline in the smoke profile, in a clone of its own: what runs, and what again."""

import json
import sys
from pathlib import Path

import pytest
from clone import FILES, Clone
from conftest import ROOT

from modelmill import params


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which everything has been run once."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.ran = clone.repro()
    clone.commit()
    return clone


@pytest.fixture
def restored(clone):
    """For a test that changes something in the clone: leaves it as it was first run."""
    yield
    clone.git("checkout", "-q", ".")
    clone.git("clean", "-qfd")
    clone.compose("profile=smoke")
    clone.run("dvc", "checkout", "--force", "--quiet")


restores = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


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
        assert metrics[model.reference.metric] > 0
        assert metrics["parameters"] > 0
        assert all((data / f"models/{name}/{file}").stat().st_size for file in FILES)
        assert (data / f"figures/{name}/curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((data / "metrics/mnist_softmax.json").read_text())["examples"] == 1000
    assert json.loads((data / "metrics/fundamentals.json").read_text())["hello_world"] == {
        "sum": [5]
    }
    assert (data / "figures/char_rnn/sample.txt").read_text().startswith("The ")


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


@restores
def test_editing_fit_trains_and_evaluates_that_model_only_and_back_runs_nothing(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.5", "learning_rate: 0.25")
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@mnist_softmax", "evaluate@mnist_softmax"}
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.25", "learning_rate: 0.5")
    clone.compose("profile=smoke")
    assert clone.repro() == set()


@restores
def test_editing_eval_only_evaluates(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "split: test", "split: validation")
    clone.compose("profile=smoke")
    assert clone.repro() == {"evaluate@mnist_softmax"}


@restores
def test_editing_an_architecture_runs_its_models_only(clone, everything):
    with (clone.path / "src/modelmill/models/mlp.py").open("a") as file:
        file.write("\n# edited\n")
    affected = [name for name, model in everything.models.items() if model.arch == "mlp"]
    expected = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in affected}
    assert clone.repro() == expected


@restores
def test_training_again_gives_the_same_bytes_and_evaluates_nothing(clone):
    before = {name: clone.bytes(name) for name in ("char_rnn", "mnist_softmax")}
    for name, files in before.items():
        clone.repro("--force", "--single-item", f"train@{name}")
        assert clone.bytes(name) == files
    assert clone.repro() == set()


@restores
def test_a_stale_params_file_stops_the_pipeline_and_names_the_key(clone):
    clone.edit("conf/model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    printed = clone.run("dvc", "repro", "evaluate@char_rnn", code=255)
    assert "models.char_rnn.fit.clip_norm: conf/ says 4.0, params.yaml says 5.0" in printed
    assert "pipelines.compose profile=smoke" in printed


@restores
def test_an_experiment_may_add_a_model_that_is_not_run_by_default(clone):
    clone.compose("profile=smoke", "+experiment=ptb_medium")
    assert clone.repro() == {"train@ptb_medium", "evaluate@ptb_medium"}
    card = json.loads((clone.path / "data/models/ptb_medium/model.json").read_text())
    assert card["settings"]["net"]["units"] == 650


@restores
def test_a_new_model_is_one_conf_file_and_one_line(clone):
    conf = clone.path / "conf/model"
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    (conf / "my_model.yaml").write_text(text.replace("learning_rate: 0.5", "learning_rate: 0.1"))
    clone.edit(
        "conf/config.yaml", "      - mnist_softmax\n", "      - mnist_softmax\n      - my_model\n"
    )
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@my_model", "evaluate@my_model"}


@restores
def test_a_new_architecture_is_one_more_file(clone):
    models, conf = clone.path / "src/modelmill/models", clone.path / "conf/model"
    code = (models / "linear.py").read_text()
    (models / "scaled.py").write_text(
        code.replace("    bias: bool\n", "    bias: bool\n    scale: float\n").replace(
            "keras.Model(inputs, outputs)", "keras.Model(inputs, outputs * net.scale)"
        )
    )
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    text = text.replace("arch: linear", "arch: scaled").replace(
        "  bias: true", "  bias: true\n  scale: 0.5"
    )
    (conf / "my_model.yaml").write_text(text)
    clone.edit(
        "conf/config.yaml", "      - mnist_softmax\n", "      - mnist_softmax\n      - my_model\n"
    )
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@my_model", "evaluate@my_model"}
    assert (
        json.loads((clone.path / "data/models/my_model/model.json").read_text())["settings"]["net"][
            "scale"
        ]
        == 0.5
    )
