"""A net that is pre-trained learns layer by layer, and what it learnt is there at fine-tuning."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.models import Spec, mlp
from modelmill.schema import validate
from modelmill.tasks import classification
from modelmill.trained import artifacts
from modelmill.trained.history import read_history, read_phases

pytestmark = pytest.mark.usefixtures("tensorflow")
PRETRAIN = {
    "length": "2 epochs",
    "output_alone": "1 epoch",
    "optimizer": {"name": "sgd"},
    "learning_rate": 0.5,
}
NET = {
    "hidden_units": [5, 4],
    "activation": "sigmoid",
    "bias": True,
    "initializer": {"name": "normal", "stddev": 0.5},
}


def make_data():
    draw = np.random.default_rng(0)
    arrays = {"x": draw.integers(0, 256, (60, 6), np.uint8), "y": draw.integers(0, 3, 60, np.uint8)}
    meta = {"splits": {"train": [0, 40], "validation": [40, 60]}, "scale": 1 / 255}
    meta["class_names"] = ["a", "b", "c"]
    return Processed(Path(), meta, arrays)


def make_training(net=NET, **keys):
    from modelmill.training.session import Training

    fit = {"length": "2 epochs", "batch_size": 8, "optimizer": {"name": "adam"}}
    fit |= {"validate_every": "1 epoch"} | keys
    fit = validate(classification.Fit, {"learning_rate": 0.1, "pretrain": PRETRAIN} | fit, "fit")
    net = mlp.Net.model_validate(net)
    entry = SimpleNamespace(task="classification", arch="mlp", net=net, fit=fit)
    return Training("m", entry, Spec.examples((6,), 3), make_data(), seed=1)


def test_each_layer_has_its_machines_weights_until_the_whole_learns():
    training = make_training()
    machines = [phase.model.layers[-1] for phase in training.phases[:2]]
    hidden = [layer for layer in training.model.layers if layer.name.startswith("dense")]
    begun = [layer.get_weights() for layer in hidden]
    output = training.model.layers[-1].get_weights()
    held = []
    for row in training.laps():
        if row["phase"] < 4:
            held = [layer.get_weights() for layer in hidden]
        if row["phase"] == 3:  # the output layer alone
            for weights, machine in zip(held, machines, strict=True):
                kernel, _, hidden_bias = machine.get_weights()
                np.testing.assert_array_equal(weights[0], kernel)
                np.testing.assert_array_equal(weights[1], hidden_bias)
            assert not np.array_equal(training.model.layers[-1].get_weights()[0], output[0])
    ended = [layer.get_weights() for layer in hidden]
    for before, kept, after in zip(begun, held, ended, strict=True):
        assert not np.array_equal(before[0], kept[0])
        assert not np.array_equal(kept[0], after[0])
    assert [row["phase"] for row in training.history] == [1, 1, 2, 2, 3, 4, 4]
    assert [row["step"] for row in training.history] == [5, 10, 15, 20, 25, 30, 35]
    assert [row["epoch"] for row in training.history] == [1, 2, 1, 2, 1, 1, 2]


def test_a_machine_begins_as_active_as_what_the_layers_below_answer():
    training = make_training()
    second, x = training.phases[1], make_data().split("train")["x"] / np.float32(255)
    second.task.begin(second.model, make_data(), second.fit)
    below = training.model.layers[2]
    assert below.units == 5
    answers = 1 / (1 + np.exp(-(x @ below.kernel.numpy() + below.bias.numpy())))
    mean = (answers.sum(axis=0) + 1) / (len(x) + 2)
    found = second.model.layers[-1].visible_bias.numpy()
    np.testing.assert_allclose(found, np.log(mean / (1 - mean)), rtol=1e-5)


def test_one_step_of_contrastive_divergence_by_hand():
    """Hidden units that cannot but be on, or off, leave nothing to chance."""
    import tensorflow as tf

    training = make_training()
    phase = training.phases[0]
    rbm, fit = phase.model.layers[-1], phase.fit
    draw = np.random.default_rng(1)
    kernel, b = draw.normal(0, 0.1, (6, 5)), draw.normal(0, 1, 6)
    rbm.set_weights([kernel, b, np.array([50, -50, 50, -50, 50])])
    v, h = draw.random((8, 6)), np.array([1, 0, 1, 0, 1])
    dreamt = np.tile(1 / (1 + np.exp(-(kernel @ h + b))), (8, 1))
    learnt = phase.task.learn(phase.model, {"x": tf.constant(v, tf.float32)}, {}, fit)
    weights, visible, hidden = learnt.gradients
    np.testing.assert_allclose(weights, np.outer((dreamt - v).mean(axis=0), h), atol=1e-6)
    np.testing.assert_allclose(visible, (dreamt - v).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(hidden, np.zeros(5), atol=1e-6)
    error = np.square(dreamt - v).sum()
    np.testing.assert_allclose(learnt.score.sums, [error], rtol=1e-5)


def test_a_layer_that_its_architecture_freezes_never_learns():
    from modelmill.training.phases import phases

    model = mlp.build(mlp.Net.model_validate(NET), Spec.examples((6,), 3))
    frozen = model.layers[-1]
    frozen.trainable = False
    (whole,) = phases("m", model, classification, make_training(pretrain=None).fit)
    whole.hold()
    assert not frozen.trainable
    assert [layer for layer in model.layers if layer.trainable] == whole.learning


@pytest.mark.parametrize("change", [{"activation": "relu"}, {"bias": False}])
def test_what_is_no_boltzmann_machine_is_refused(change):
    with pytest.raises(ModelmillError, match=r"models.m.fit.pretrain: layer 'dense.*' is not of"):
        make_training(NET | change)


def test_outputs_of_an_ordinary_dense_layer_learn_alone_and_not_as_a_machine():
    import keras

    from modelmill.training.phases import phases

    inputs = keras.Input([6])
    outputs = keras.layers.Dense(3)
    hidden = keras.layers.Dense(4, activation="sigmoid")(inputs)
    fit = {"length": "1 epoch", "batch_size": 8, "optimizer": {"name": "sgd"}}
    fit = validate(classification.Fit, fit | {"learning_rate": 0.1, "pretrain": PRETRAIN}, "fit")
    machine, alone, _ = phases("m", keras.Model(inputs, outputs(hidden)), classification, fit)
    assert machine.model.layers[-1].kernel.shape == (6, 4)
    assert [layer for layer in alone.learning if layer.weights] == [outputs]
    with pytest.raises(ModelmillError, match=r"m.fit.pretrain: the model has no dense layers"):
        phases("m", keras.Model(inputs, keras.layers.Dense(3)(inputs)), classification, fit)


def test_outputs_that_are_not_one_for_each_class_are_refused():
    from modelmill.training.session import Training

    net, fit = mlp.Net.model_validate(NET), make_training().fit
    entry = SimpleNamespace(task="classification", arch="mlp", net=net, fit=fit)
    with pytest.raises(ModelmillError, match=r"outputs have shape \(4,\), there are 3 classes"):
        Training("m", entry, Spec.examples((6,), 4), make_data(), seed=1).run()


def test_a_phase_that_diverges_names_its_own_rate_and_the_step_of_the_whole():
    early = make_training(
        pretrain=PRETRAIN | {"optimizer": {"name": "adam"}, "learning_rate": 3e38}
    )
    with pytest.raises(ModelmillError, match=r"step \d: try a smaller fit.pretrain.learning_rate$"):
        early.run()
    late = make_training(learning_rate=3e38)  # after both machines have done 10 steps
    with pytest.raises(ModelmillError, match=r"step 2\d: try a smaller fit.learning_rate, or fit"):
        late.run()


def test_layers_learn_from_all_examples_where_the_whole_has_few_labels():
    training = make_training(examples=16)
    training.run()
    assert [row["step"] for row in training.history] == [5, 10, 15, 20, 22, 24, 26]
    with pytest.raises(
        ModelmillError, match=r"models\.m\.fit, split 'train': examples: 41, of 40 that there are"
    ):
        make_training(examples=41)


def test_a_history_in_phases_is_read_as_that_of_the_last_one(tmp_path):
    training = make_training(keep="best")
    training.run()
    card = artifacts.Card({"model": "m"}, Spec.examples((6,), 3), "d", "f", 1)
    artifacts.save(tmp_path, training.model, card, training.history, training.snapshots)
    header, first, *_ = (tmp_path / "history.csv").read_text().splitlines()
    assert header.startswith("step,phase,epoch,examples,learning_rate,reconstruction_error,")
    assert first.endswith(",,,,")  # what is not measured yet
    phases = read_phases(tmp_path)
    assert ["loss" in laps for laps in phases] == [False, False, True, True]
    history = read_history(tmp_path, "accuracy")
    assert history.step.tolist() == [5, 10]
    assert history.epoch.tolist() == [1, 2]
    assert "reconstruction_error" not in history
    assert training.kept in (30, 35)
