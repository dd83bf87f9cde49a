"""What runs again when something is changed: asked of DVC, and twice really run."""

import json

import pytest
from clone import MODELS

from modelmill import params
from modelmill.errors import ModelmillError

SOFTMAX = "conf/model/mnist_softmax.yaml"


@pytest.fixture(scope="module")
def clone(seed, tmp_path_factory):
    return seed.copied(tmp_path_factory.mktemp("clone"))


@pytest.fixture(autouse=True)
def restored(clone):
    """Leaves the clone as it was."""
    yield
    clone.git("checkout", "-q", ".")
    clone.git("clean", "-qfd")


@pytest.mark.fault("an edit of the code while a model is trained", "the result is not kept")
def test_code_that_changes_while_a_model_is_trained_is_not_recorded_with_it(clone):
    before = clone.trained("mnist_softmax")
    checked = "        artifacts.require_same_code(card)\n"
    change = '        Path("src/modelmill/models/linear.py").write_text("another")\n'
    clone.edit("pipelines/train.py", checked, change + checked)
    printed = clone.run("modelmill", "train", "mnist_softmax", code=2)
    assert "the code changed while mnist_softmax was trained" in printed
    assert clone.trained("mnist_softmax") == before


def test_a_stage_run_by_hand_does_as_params_say_or_nothing(clone):
    clone.edit(SOFTMAX, "learning_rate: 0.5", "learning_rate: 0.25")
    clone.compose("profile=smoke")
    with pytest.raises(ModelmillError, match=r"with other settings .* `dvc repro train@mnist"):
        clone.call("evaluate", "mnist_softmax")
    clone.edit("conf/dataset/mnist.yaml", "validation: 5000", "validation: 1000")
    clone.compose("profile=smoke")
    with pytest.raises(ModelmillError, match=r"data/processed/mnist was not prepared as params"):
        clone.call("train", "mnist_softmax")


def changed(clone):
    """The stages to run again, but for the check of params.yaml and for what is made of it."""
    clone.compose("profile=smoke")
    return clone.stale() - {"params", "report"}


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        (SOFTMAX, "learning_rate: 0.5", "learning_rate: 0.25", {"train@mnist_softmax"}),
        (SOFTMAX, "split: test", "split: validation", {"evaluate@mnist_softmax"}),
        (SOFTMAX, "goal: 0.91", "goal: 0.92", set()),
        ("conf/dataset/mnist.yaml", "validation: 5000", "validation: 1000", {"preprocess@mnist"}),
        ("conf/config.yaml", "seed: 1", "seed: 2", {f"train@{name}" for name in MODELS}),
        ("README.md", "model", "Model", set()),
    ],
)
def test_an_edit_makes_stale_what_depends_on_it(clone, file, old, new, stages):
    clone.edit(file, old, new)
    assert changed(clone) == stages
    clone.edit(file, new, old)
    assert changed(clone) == set()


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("models/linear.py", {"train@mnist_softmax", "evaluate@mnist_softmax"}),
        ("models/recurrent_lm.py", {"train@char_rnn", "evaluate@char_rnn"}),
        ("models/mlp.py", set()),
        ("datasets/text.py", {"download@shakespeare", "preprocess@shakespeare"}),
    ],
)
def test_editing_code_makes_stale_what_runs_it(clone, file, stages):
    with (clone.path / "src/modelmill" / file).open("a") as code:
        code.write("\n# edited\n")
    assert changed(clone) == stages


def test_a_stale_params_file_stops_the_pipeline_and_names_the_key(clone):
    clone.edit("conf/model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    printed = clone.run("dvc", "repro", "evaluate@char_rnn", code=255)
    assert "models.char_rnn.fit.clip_norm: conf/ says 4.0, params.yaml says 5.0" in printed
    assert "modelmill compose profile=smoke" in printed


def test_an_experiment_may_add_a_model_that_is_not_run_by_default(clone):
    clone.keep("dataset", ["mnist", "shakespeare", "ptb"])
    clone.compose("profile=smoke", "+experiment=ptb_medium")
    assert params.load(clone.path / "params.yaml").models["ptb_medium"].net.units == 650
    assert "train@ptb_medium" in clone.stale("train@ptb_medium")


@pytest.mark.long
def test_training_again_gives_the_same_bytes(seed, tmp_path):
    clone = seed.copied(tmp_path)
    clone.run("modelmill", "train", "char_rnn")
    assert clone.trained("char_rnn") == seed.trained("char_rnn")
    assert clone.stale("evaluate") == set()


# --- really run ------------------------------------------------------------------------------


def test_after_an_edit_that_model_is_trained_and_evaluated_and_back_nothing(seed, tmp_path):
    clone = seed.copied(tmp_path)
    clone.edit(SOFTMAX, "learning_rate: 0.5", "learning_rate: 0.25")
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == {"train@mnist_softmax", "evaluate@mnist_softmax"}
    assert clone.trained("mnist_softmax") != seed.trained("mnist_softmax")
    clone.edit(SOFTMAX, "learning_rate: 0.25", "learning_rate: 0.5")
    clone.compose("profile=smoke")
    assert clone.repro("evaluate") == set()
    assert clone.trained("mnist_softmax") == seed.trained("mnist_softmax")


def test_a_new_model_of_a_new_architecture_is_two_files_and_a_line(seed, tmp_path):
    clone = seed.copied(tmp_path)
    models, conf = clone.path / "src/modelmill/models", clone.path / "conf/model"
    code = (models / "linear.py").read_text()
    (models / "scaled.py").write_text(
        code.replace('b start."""\n', 'b start."""\n\n    scale: float\n').replace(
            "keras.Model([inputs], outputs)", "keras.Model([inputs], outputs * net.scale)"
        )
    )
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    text = text.replace("arch: linear", "arch: scaled").replace(
        "  bias: true", "  bias: true\n  scale: 0.5"
    )
    (conf / "my_model.yaml").write_text(text)
    clone.keep("model", [*MODELS, "my_model"])
    clone.run("modelmill", "compose", "profile=smoke")
    assert clone.repro("evaluate") == {"train@my_model", "evaluate@my_model"}
    card = json.loads((clone.path / "data/models/my_model/model.json").read_text())
    assert card["settings"]["net"]["scale"] == 0.5
