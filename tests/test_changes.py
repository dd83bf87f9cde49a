"""What runs again when something is changed, in a clone with a few of the models."""

import json
import re

import pytest
from clone import Clone

from modelmill import params

MODELS, DATASETS = ("mnist_softmax", "mnist_mlp", "char_rnn"), ("mnist", "ptb", "shakespeare")


@pytest.fixture(scope="module")
def clone(tmp_path_factory, dvc_cache):
    """A clone in which everything has been run once."""
    clone = Clone(tmp_path_factory.mktemp("clone"), dvc_cache)
    clone.keep("model", MODELS)
    clone.keep("dataset", DATASETS)
    clone.repro()
    clone.commit()
    return clone


@pytest.fixture(autouse=True)
def restored(clone):
    """Leaves the clone as it was first run."""
    yield
    clone.git("checkout", "-q", ".")
    clone.git("clean", "-qfd")
    clone.compose("profile=smoke")
    clone.run("dvc", "checkout", "--force", "--quiet")


def test_editing_fit_trains_and_evaluates_that_model_only_and_back_runs_nothing(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.5", "learning_rate: 0.25")
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == {"train@mnist_softmax", "evaluate@mnist_softmax"}
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.25", "learning_rate: 0.5")
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == set()


def test_editing_eval_only_evaluates(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "split: test", "split: validation")
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == {"evaluate@mnist_softmax"}


def test_editing_an_architecture_runs_its_models_only(clone):
    with (clone.path / "src/modelmill/models/mlp.py").open("a") as file:
        file.write("\n# edited\n")
    assert clone.repro("evaluate") == {"train@mnist_mlp", "evaluate@mnist_mlp"}


def test_training_again_gives_the_same_bytes_and_evaluates_nothing(clone):
    before = {name: clone.bytes(name) for name in ("char_rnn", "mnist_softmax")}
    for name, files in before.items():
        clone.repro("--force", "--single-item", f"train@{name}")
        assert clone.bytes(name) == files
    assert clone.repro("evaluate") == set()


def test_a_stale_params_file_stops_the_pipeline_and_names_the_key(clone):
    clone.edit("conf/model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    printed = clone.run("dvc", "repro", "evaluate@char_rnn", code=255)
    assert "models.char_rnn.fit.clip_norm: conf/ says 4.0, params.yaml says 5.0" in printed
    assert "pipelines.compose profile=smoke" in printed


def test_an_experiment_may_add_a_model_that_is_not_run_by_default(clone):
    clone.compose("profile=smoke", "+experiment=ptb_medium")
    assert params.load(clone.path / "params.yaml").models["ptb_medium"].net.units == 650
    planned = clone.run("dvc", "repro", "--dry", "train@ptb_medium")
    assert "Running stage 'train@ptb_medium'" in planned


def test_a_new_model_is_one_conf_file_and_one_line(clone):
    conf = clone.path / "conf/model"
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    (conf / "my_model.yaml").write_text(text.replace("learning_rate: 0.5", "learning_rate: 0.1"))
    clone.edit(
        "conf/config.yaml", "      - mnist_softmax\n", "      - mnist_softmax\n      - my_model\n"
    )
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == {"train@my_model", "evaluate@my_model"}


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
    assert clone.repro("evaluate") == {"train@my_model", "evaluate@my_model"}
    assert (
        json.loads((clone.path / "data/models/my_model/model.json").read_text())["settings"]["net"][
            "scale"
        ]
        == 0.5
    )


def test_an_experiment_is_applied_with_its_results(clone):
    rate, target = "models.mnist_softmax.fit.learning_rate", "evaluate@mnist_softmax"
    changes = ["-S", "profile=smoke", "-S", f"{rate}=0.2"]
    clone.run("dvc", "exp", "run", "--name", "tried", *changes, target)
    results = clone.bytes("mnist_softmax")
    clone.git("checkout", "-q", ".")
    clone.run("dvc", "checkout", "--force", "--quiet")
    assert clone.bytes("mnist_softmax") != results
    clone.run("dvc", "exp", "apply", "tried")
    assert clone.bytes("mnist_softmax") == results
    assert re.search(rf"{rate} +0.5 +0.2", clone.run("dvc", "params", "diff"))
