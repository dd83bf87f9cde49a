"""An interrupted training goes on as if nothing had happened, whatever happened."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.layers.initial import Normal
from modelmill.models import Spec, autoencoder, mlp, rbm, recurrent_lm
from modelmill.schema import validate
from modelmill.tasks import classification, density, language_modeling, reconstruction
from modelmill.trained.artifacts import Card
from modelmill.training import checkpoints as module
from modelmill.training.checkpoints import Checkpoints
from modelmill.training.observer import Checkpoint

NET = {
    "cell": "lstm",
    "embedding": 6,
    "units": 8,
    "layers": 1,
    "dropout": 0.3,
    "initializer": {"name": "uniform", "limit": 0.3},
}
FIT = {
    "length": "4 epochs",
    "batch_size": 4,
    "num_steps": 5,
    "shards": 2,
    "validate_every": "7 steps",
    "snapshots": True,
    "stop": {"metric": "loss", "patience": 3},
    "optimizer": {"name": "adam"},
    "learning_rate": 0.03,
}


def train(folder: Path | None, on_lap=lambda row: None, **keys):
    """Weights, history and snapshots of a small language model, in bytes."""
    fit = validate(language_modeling.Fit, FIT | keys, "fit")
    net = recurrent_lm.Net.model_validate(NET)
    entry = SimpleNamespace(task="language_modeling", arch="recurrent_lm", net=net, fit=fit)
    tokens = np.random.default_rng(0).integers(0, 7, 400).astype(np.uint8)
    meta = {"vocabulary_size": 7, "splits": {"train": [0, 300], "validation": [300, 400]}}
    data = Processed(Path("data"), meta, {"tokens": tokens})
    return run(folder, entry, language_modeling.spec(meta, fit), data, on_lap)


def train_rbm(folder: Path | None):
    """As `train`, of a small Boltzmann machine."""
    keys = {"chains": "persistent", "gibbs_steps": 2, "centred": True, "length": "3 epochs"}
    keys |= {"optimizer": {"name": "sgd", "momentum": 0.5}, "stop": None, "average": 0.9}
    fit = {key: value for key, value in FIT.items() if key != "num_steps"} | keys
    fit = validate(density.Fit, fit, "fit")
    net = rbm.Net(hidden_units=5, initializer=Normal(name="normal", stddev=0.1))
    entry = SimpleNamespace(task="density", arch="rbm", net=net, fit=fit)
    x = (np.random.default_rng(0).random((60, 3, 2)) < 0.4).astype(np.uint8)
    meta = {"input_shape": [3, 2], "splits": {"train": [0, 40], "validation": [40, 60]}}
    meta |= {"arrays": {"x": {"shape": [60, 3, 2], "dtype": "uint8"}}}
    data = Processed(Path("data"), meta, {"x": x})
    return run(folder, entry, density.spec(meta, fit), data)


def train_net(folder: Path | None, on_lap=lambda row: None, **keys):
    """As `train`, of a small net that is pre-trained."""
    pretrain = {"length": "1 epoch", "output_alone": "3 steps", "optimizer": {"name": "sgd"}}
    keys = {"pretrain": pretrain | {"learning_rate": 0.5}, "length": "2 epochs"} | keys
    keys |= {"optimizer": {"name": "adam"}, "stop": None, "keep": "best"}
    fit = {key: value for key, value in FIT.items() if key != "num_steps"} | keys
    fit = validate(classification.Fit, fit, "fit")
    net = {"hidden_units": [5, 4], "activation": "sigmoid", "bias": True, "dropout": 0.3}
    net = mlp.Net.model_validate(net | {"initializer": NET["initializer"]})
    entry = SimpleNamespace(task="classification", arch="mlp", net=net, fit=fit)
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (60, 3, 2), np.uint8), draw.integers(0, 3, 60, np.uint8)
    meta = {"input_shape": [3, 2], "outputs": 3, "class_names": [*"abc"], "scale": 1 / 255}
    meta |= {"splits": {"train": [0, 40], "validation": [40, 60]}}
    meta |= {"arrays": {"y": {"shape": [60], "dtype": "uint8"}}}
    data = Processed(Path("data"), meta, {"x": x, "y": y})
    return run(folder, entry, classification.spec(meta, fit), data, on_lap)


def train_autoencoder(folder: Path | None, end: int = 60, **keys):
    """As `train`, of a small denoising autoencoder, which keeps outputs, not weights."""
    keys = {"snapshots": "outputs", "corruption": 0.3, "length": "3 epochs", "stop": None} | keys
    fit = {key: value for key, value in FIT.items() if key != "num_steps"} | keys
    fit = validate(reconstruction.Fit, fit, "fit")
    net = {"hidden_units": [5], "tied": True, "initializer": NET["initializer"]}
    net = autoencoder.Net.model_validate(net)
    entry = SimpleNamespace(task="reconstruction", arch="autoencoder", net=net, fit=fit)
    x = np.random.default_rng(0).integers(0, 256, (60, 3, 2), np.uint8)
    meta = {"input_shape": [3, 2], "scale": 1 / 255}
    meta |= {"splits": {"train": [0, 40], "validation": [40, end]}}
    data = Processed(Path("data"), meta, {"x": x})
    return run(folder, entry, reconstruction.spec(meta, fit), data)


def run(folder: Path | None, entry, spec, data, on_lap=lambda row: None):
    from modelmill.training.observer import Observer
    from modelmill.training.progress import Progress
    from modelmill.training.session import Training

    class Watching(Observer):
        def began(self, training):
            for row in training.history:
                on_lap(row)

        def lap(self, training, row):
            on_lap(row)

    training = Training("m", entry, spec, data, 1)
    with Progress() as progress:
        if folder:
            with Checkpoints(folder) as checkpoints:
                training.resume(checkpoints.newest())
                training.run(progress, Watching(), checkpoints)
        else:
            training.run(progress)
    weights = [weight.tobytes() for weight in training.model.get_weights()]
    return weights, training.history, training.snapshots.tobytes(), training.kept


@pytest.fixture(scope="module")
def undisturbed(tensorflow):
    """What `train` gives, in calls of as many steps as it likes."""
    return train(None)


@pytest.fixture
def step_by_step(monkeypatch):
    """Calls of one step, each followed by a checkpoint."""
    monkeypatch.setattr("modelmill.training.pace.CALL_SECONDS", 0.0)
    monkeypatch.setattr(module, "SECONDS", 0.0)


class Killed(Exception):
    """In place of a death that leaves no time for anything."""


def killed_after(monkeypatch, count):
    """Makes the training end without warning after `count` checkpoints."""
    save, left = Checkpoints._save, [count]

    def saved(self, step, checkpoint):
        if not left[0]:
            raise Killed
        left[0] -= 1
        save(self, step, checkpoint)

    monkeypatch.setattr(Checkpoints, "_save", saved)


@pytest.mark.long
@pytest.mark.fault("death while a checkpoint is written", "the same bytes as without")
@pytest.mark.usefixtures("tensorflow", "step_by_step")
@pytest.mark.parametrize(
    "train",
    [train, train_rbm, train_net, train_autoencoder],
    ids=["language model", "rbm", "pre-trained net", "autoencoder"],
)
def test_killed_again_and_again_a_training_ends_as_if_never_stopped(tmp_path, monkeypatch, train):
    undisturbed = train(None)
    deaths = 0
    while True:
        with monkeypatch.context() as patch:
            killed_after(patch, 5)
            try:
                resumed = train(tmp_path / "m")
                break
            except Killed:
                deaths += 1
    assert deaths > 4
    assert resumed == undisturbed


@pytest.mark.fault("Ctrl-C, SIGTERM", "the step is ended and saved; the same bytes as without")
@pytest.mark.usefixtures("step_by_step")
def test_ctrl_c_saves_where_it_is_and_says_so(tmp_path, capsys, undisturbed):
    def interrupt(row):
        if row["step"] == 14:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match=r"step 14 is saved; the next dvc repro goes on"):
        train(tmp_path / "m", interrupt)
    assert Checkpoints(tmp_path / "m").newest().arrays["position"].tolist() == [14, 14, 14 * 4 * 5]
    seen = []
    resumed = train(tmp_path / "m", lambda row: seen.append(row["step"]))
    assert "goes on from step 14" in capsys.readouterr().err
    assert seen[:3] == [7, 14, 21]
    assert resumed == undisturbed
    assert signal.getsignal(signal.SIGTERM) == before


class Struck(io.FileIO):
    """A log that brings a Ctrl-C whenever something is written to it."""

    def write(self, data):
        signal.raise_signal(signal.SIGINT)
        return super().write(data)


@pytest.mark.fault("Ctrl-C while a line is written", "the step is ended and saved")
def test_ctrl_c_may_come_while_a_line_is_written(tmp_path, monkeypatch, capfd):
    log = io.TextIOWrapper(io.BufferedWriter(Struck(tmp_path / "log", "w")), line_buffering=True)
    monkeypatch.setattr(sys, "stderr", log)
    with Checkpoints(tmp_path) as checkpoints:
        print("epoch 1", file=sys.stderr)
        assert checkpoints.interrupted
    assert (tmp_path / "log").read_text(encoding="utf-8") == "epoch 1\n"
    assert "stopping at the end of this step (Ctrl-C again: at once)" in capfd.readouterr().err


@pytest.mark.fault("a checkpoint at the end of a lap", "the next run ends with the same bytes")
@pytest.mark.parametrize("step", [7, 14, 15, 56], ids=["lap", "epoch's lap", "within", "last"])
@pytest.mark.parametrize(
    "terminal",
    [pytest.param(False, id="log"), pytest.param(True, id="terminal", marks=pytest.mark.long)],
)
@pytest.mark.usefixtures("step_by_step")
def test_a_training_goes_on_from_wherever_it_was_stopped(
    tmp_path, step, terminal, capsys, monkeypatch, undisturbed
):
    from modelmill.training import progress

    class Stopping(Checkpoints):
        def called(self, training, metrics):
            self.interrupted = training.step == step
            super().called(training, metrics)

    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with monkeypatch.context() as patch:
        patch.setattr(f"{__name__}.Checkpoints", Stopping)
        with pytest.raises(KeyboardInterrupt, match=f"step {step} is saved"):
            train(tmp_path / "m")
    assert train(tmp_path / "m") == undisturbed
    assert f"goes on from step {step}" in capsys.readouterr().err


@pytest.mark.usefixtures("tensorflow", "step_by_step")
def test_the_best_lap_is_kept_through_interruptions(tmp_path, monkeypatch):
    keys = {"keep": "best", "length": "35 steps", "stop": None}
    _, history, snapshots, kept = undisturbed = train(None, **keys)
    losses = [row["validation_loss"] for row in history]
    best = losses.index(min(losses))
    assert best < len(losses) - 1
    assert kept == history[best]["step"]
    weights = np.concatenate([np.frombuffer(w, np.float32) for w in undisturbed[0]])
    rows = np.frombuffer(snapshots, np.float32).reshape(len(history), -1)
    np.testing.assert_array_equal(weights, rows[best])
    with monkeypatch.context() as patch:
        killed_after(patch, 17)
        with pytest.raises(Killed):
            train(tmp_path / "m", **keys)
    assert train(tmp_path / "m", **keys) == undisturbed


@pytest.mark.usefixtures("tensorflow", "step_by_step")
def test_outputs_that_are_kept_go_on_where_they_were(tmp_path, monkeypatch):
    undisturbed = train_autoencoder(None)
    with monkeypatch.context() as patch:
        killed_after(patch, 12)
        with pytest.raises(Killed):
            train_autoencoder(tmp_path / "m")
    assert train_autoencoder(tmp_path / "m") == undisturbed
    weights, history, *_ = train_autoencoder(None, snapshots=False)
    assert (weights, history) == undisturbed[:2]


@pytest.mark.usefixtures("tensorflow")
def test_outputs_that_are_kept_are_those_of_the_first_validation_examples():
    weights, history, outputs, _ = train_autoencoder(None, corruption=0.0)
    kernel, bias, out_bias = (np.frombuffer(part, np.float32) for part in weights)
    kernel = kernel.reshape(6, 5)
    x = np.random.default_rng(0).integers(0, 256, (60, 3, 2), np.uint8)[40:50].reshape(10, 6) / 255
    code = 1 / (1 + np.exp(-(x @ kernel + bias)))
    expected = 1 / (1 + np.exp(-(code @ kernel.T + out_bias)))
    found = np.frombuffer(outputs, np.float32).reshape(len(history), 10, 6)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-5)
    assert not np.allclose(found[0], expected, rtol=1e-3)


@pytest.mark.usefixtures("tensorflow")
def test_outputs_are_kept_only_where_there_are_examples_to_show():
    with pytest.raises(
        ModelmillError, match=r"m\.fit\.snapshots: outputs are of 10 .* there are 9"
    ):
        train_autoencoder(None, end=49)
    with pytest.raises(ModelmillError, match=r"fit\.snapshots: .* bool"):
        train(None, snapshots="outputs")  # of a text there are none


@pytest.mark.fault("a loss that is no number", "training stops, naming step and checkpoint")
@pytest.mark.usefixtures("tensorflow", "step_by_step")
def test_a_training_that_diverges_names_the_last_checkpoint(tmp_path):
    with pytest.raises(ModelmillError, match=r"the last checkpoint is .*m/0{9}\d{3}\.checkpoint"):
        train(tmp_path / "m", optimizer={"name": "sgd"}, learning_rate=1e30)


@pytest.mark.fault("a full disk, for a checkpoint", "a warning; the training goes on")
@pytest.mark.usefixtures("tensorflow", "step_by_step")
def test_a_full_disk_costs_the_checkpoint_not_the_training(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert train(tmp_path / "m", length="2 steps") == train(None, length="2 steps")
    assert "could not be saved ([Errno 28] No space left on device)" in capsys.readouterr().err
    assert not list((tmp_path / "m").iterdir())


def saved(folder: Path, *steps: int) -> Checkpoints:
    kept = Checkpoints(folder)
    for step in steps:
        arrays = {"position": np.array([step, 0]), "x": np.arange(step)}
        kept._save(step, Checkpoint(arrays, {"history": [{"loss": 0.1}]}))
    return kept


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path):
    kept = saved(tmp_path, 3, 12, 7)
    assert [path.name for path in kept._paths()] == [
        "000000000012.checkpoint",
        "000000000007.checkpoint",
    ]
    assert kept.newest().arrays["x"].tolist() == list(range(12))
    assert kept.newest().progress == {"history": [{"loss": 0.1}]}


@pytest.mark.fault("a checkpoint cut or with a bit flipped", "the one before is used")
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path_factory, place, bit, cut):
    kept = saved(tmp_path_factory.mktemp("m"), 3, 4)
    newest = kept._paths()[0]
    content = bytearray(newest.read_bytes())
    at = int(place * len(content))
    content[at] ^= 1 << bit
    newest.write_bytes(content[:at] if cut else content)
    assert kept.newest().arrays["position"].tolist() == [3, 0]


def test_what_nobody_came_back_to_for_long_is_removed_when_a_training_ends(tmp_path):
    long_ago = time.time() - module.STALE_SECONDS
    ages = {"a/done": time.time(), "a/old": long_ago - 60, "b/old": long_ago - 60}
    ages |= {"b/young": long_ago + 60}
    for name, moment in ages.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "000000000001.checkpoint").write_bytes(b"state")
        os.utime(tmp_path / name, (moment, moment))
    Checkpoints(tmp_path / "a/done").remove()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")] == ["b/young"]


def test_trainings_may_end_together_and_remove_the_same(tmp_path, monkeypatch):
    mine = saved(tmp_path / "a/mine", 1)
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([tmp_path / "b/removed"]))
    mine.remove()
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_is_not_continued_under_other_numerics():
    card = Card({"model": "m"}, Spec.examples((1,), 1), "d", "f", 1, {"instructions": "avx2 fma"})
    other = replace(card, numerics={"instructions": "avx2 fma avx512f"})
    assert card.continued != other.continued
    assert card.continued == replace(card, kept=7).continued


@pytest.mark.fault("~/.keras/keras.json, variables of oneDNN and XLA", "fixed, or written down")
def test_settings_from_outside_do_not_change_what_is_trained(tmp_path):
    settings = {"image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    script = (
        "import json; from modelmill import runtime; runtime.start(1); import keras;"
        "print(json.dumps([keras.config.image_data_format(), keras.config.floatx(),"
        " runtime.numerics()]))"
    )
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "TF_ENABLE_ONEDNN_OPTS": "0"}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    layout, kind, numerics = json.loads(found.stdout)
    assert (layout, kind) == ("channels_last", "float32")
    assert numerics["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert numerics["instructions"]


TRAINED_ON_CORES = """
import hashlib, sys
from pathlib import Path
import numpy as np
from modelmill import params, runtime
from modelmill.datasets.processed import Processed
from modelmill.plain_yaml import read_yaml
from modelmill.sweeps.settings import with_values

base = read_yaml(Path("params.yaml"))
entry = params.parse(with_values(base, {"models.mnist_convnet.fit.length": "6 steps"})).models[
    "mnist_convnet"
]
runtime.start(1, entry.fit.shards, int(sys.argv[1]))
from modelmill.training.session import Training

draw = np.random.default_rng(0)
arrays = {"x": draw.integers(0, 256, (600, 28, 28), np.uint8), "y": draw.integers(0, 10, 600)}
meta = {
    "splits": {"train": [0, 500], "validation": [500, 600]},
    "arrays": {name: {"shape": [*a.shape], "dtype": str(a.dtype)} for name, a in arrays.items()},
    "input_shape": [28, 28],
    "outputs": 10,
    "class_names": [*"0123456789"],
    "scale": 1 / 255,
}
data = Processed(Path(), meta, arrays)
training = Training("m", entry, entry.spec("m", meta), data, 1)
training.run()
weights = b"".join(w.tobytes() for w in training.model.get_weights())
print(hashlib.sha256(weights).hexdigest())
"""


@pytest.mark.long
def test_a_machine_with_more_cores_trains_the_same():
    """More threads than shards would round the gradients of convolutions otherwise."""
    command = [sys.executable, "-c", TRAINED_ON_CORES]
    found = {
        subprocess.check_output([*command, cores], cwd=ROOT, text=True) for cores in ("1", "2", "8")
    }
    assert len(found) == 1
