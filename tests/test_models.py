"""The architectures as published: their sizes, what they share, and what is inside them."""

import json

import numpy as np
import pytest
from conftest import ROOT

from modelmill import params
from modelmill.models import (
    Input,
    Spec,
    autoencoder,
    call,
    convnet,
    linear,
    mlp,
    recurrent_lm,
    row_recurrent,
)
from modelmill.parts import PACKAGE, part
from modelmill.tasks.language_modeling import windows_of
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

pytestmark = pytest.mark.usefixtures("tensorflow")
PAIRS = {"user": Input((), 943), "item": Input((), 1_682)}
SPECS = {  # by data set, or by model
    "iris": Spec.examples((4,), 3),
    "line_offset": Spec.examples((1,), 1),
    "line_origin": Spec.examples((1,), 1),
    "mnist": Spec.examples((28, 28), 10),
    "mnist_binary": Spec.examples((28, 28), 784),
    "movielens_mf": Spec(PAIRS, 1),
    "movielens_rbm_item": Spec({**PAIRS, "item_stars": Input((943,), 6)}, 1),
    "movielens_rbm_user": Spec({**PAIRS, "user_stars": Input((1_682,), 6)}, 1),
    "movielens_rbm_blend": Spec(
        {**PAIRS, "item_stars": Input((943,), 6), "user_stars": Input((1_682,), 6)}, 1
    ),
    "movielens_seen": Spec.examples((1_682,), 1_682),
    "ptb": windows_of(20, 10_000),
    "shakespeare": windows_of(50, 65),
}
PARAMETERS = {
    "line_sgd": 1,
    "line_gd": 2,
    "iris_logistic": 4 * 3 + 3,
    "iris_logistic_tuned": 4 * 3 + 3,
    "mnist_softmax": 784 * 10 + 10,
    "mnist_logistic": 784 * 10,
    "mnist_mlp": 784 * 625 + 625 * 10,
    "mnist_deep_mlp": 784 * 625 + 625 * 625 + 625 * 10,
    "mnist_convnet": 5 * 5 * 32 + 32 + 5 * 5 * 32 * 64 + 64 + 7 * 7 * 64 * 1024 + 1024 + 10_250,
    "mnist_cnn": 9 * 32 + 9 * 32 * 64 + 9 * 64 * 128 + 4 * 4 * 128 * 625 + 625 * 10,
    "mnist_lstm": (28 + 128) * 512 + 512 + 128 * 10 + 10,
    "mnist_row_lstm": (28 + 28) * 112 + 112 + 28 * 10 + 10,
    "mnist_denoising_autoencoder": 784 * 500 + 500 + 784,
    "mnist_autoencoder": 2 * (784 * 256 + 256 * 128) + 256 + 128 + 256 + 784,
    "mnist_deep_autoencoder": 2 * (784_000 + 500_000 + 125_000 + 7_500) + 2 * 1_750 + 30 + 784,
    "mnist_rbm": 784 * 500 + 784 + 500,
    "mnist_dbn": 784 * 500 + 500 + 500 * 500 + 500 + 500 * 2000 + 2000 + 2000 * 10 + 10,
    "ptb_small": 10_000 * 200 + 2 * (400 * 800 + 800) + 200 * 10_000 + 10_000,
    "char_rnn": 65 * 128 + 2 * (256 * 128 + 128) + 128 * 65 + 65,
    "movielens_mf": 1 + (943 + 1_682) * (1 + 100),
    "movielens_rbm_item": 5 * 943 * (1 + 100) + 100,
    "movielens_rbm_user": 5 * 1_682 * (1 + 100) + 100,
    "movielens_rbm_blend": 5 * (943 + 1_682) * (1 + 100) + 2 * 100,
    "movielens_rbm_top": 1_682 * (1 + 100) + 100,
}
NORMAL = {"name": "normal", "stddev": 0.5}


@pytest.fixture(scope="module")
def models():
    return params.load(ROOT / "params.yaml").models


def spec_of(name, entry):
    """What its data ask of a model; an autoencoder gives back its inputs."""
    if entry.task == "reconstruction":
        return Spec.examples((28, 28), 784)
    return SPECS[name if name in SPECS else entry.dataset]


def build(arch, net, spec):
    import keras

    keras.utils.set_random_seed(3)
    return arch.build(arch.Net.model_validate(net), spec)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_the_published_number_of_parameters(models, name):
    entry = models[name]
    built = part("models", entry.arch, "arch").build(entry.net, spec_of(name, entry))
    assert built.count_params() == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_layer_starts_with_the_values_of_another(models, name):
    entry = models[name]
    built = part("models", entry.arch, "arch").build(entry.net, spec_of(name, entry))
    starts = [weight.ravel()[:8].tobytes() for weight in built.get_weights() if np.ptp(weight)]
    assert len(set(starts)) == len(starts)


def test_the_longer_trainings_are_of_the_same_models(models):
    for name in ("mnist_convnet", "mnist_lstm"):
        assert models[f"{name}_long"].net == models[name].net


def test_the_way_back_of_tied_weights_is_the_transposed_matrix():
    net = {"hidden_units": [3], "tied": True, "initializer": NORMAL}
    model = build(autoencoder, net, Spec.examples((2, 2), 4))
    x = np.random.default_rng(0).random((5, 2, 2)).astype(np.float32)
    kernel, bias, back = (weight.numpy() for weight in model.weights)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    expected = sigmoid(sigmoid(x.reshape(5, 4) @ kernel + bias) @ kernel.T + back)
    np.testing.assert_allclose(model(x).numpy().reshape(5, 4), expected, rtol=1e-5)


def test_a_deep_autoencoder_has_a_linear_code_and_answers_between_0_and_1():
    net = {"hidden_units": [6, 2], "activation": "relu", "code": "linear", "tied": False}
    model = build(autoencoder, net | {"initializer": NORMAL}, Spec.examples((2, 2), 4))
    x = np.random.default_rng(0).random((5, 2, 2)).astype(np.float32)
    weights = [weight.numpy() for weight in model.weights]
    z, activations = x.reshape(5, 4), ["relu", "linear", "relu", "sigmoid"]
    by_name = {"relu": lambda z: np.maximum(z, 0), "linear": lambda z: z}
    by_name["sigmoid"] = lambda z: 1 / (1 + np.exp(-z))
    for kernel, bias, activation in zip(weights[::2], weights[1::2], activations, strict=True):
        z = by_name[activation](z @ kernel + bias)
    np.testing.assert_allclose(model(x).numpy().reshape(5, 4), z, rtol=1e-5)


@pytest.mark.parametrize(("units", "tied"), [([3, 2], True), ([3, 2], False), ([7, 5], True)])
def test_the_halves_of_an_autoencoder_meet_in_its_code(units, tied):
    from modelmill.trained import insights

    net = {"hidden_units": units, "code": "linear", "tied": tied, "initializer": NORMAL}
    model = build(autoencoder, net, Spec.examples((2, 2), 4))
    encoder, decoder = insights.halves(model)
    x = np.random.default_rng(0).random((5, 2, 2)).astype(np.float32)
    assert encoder(x).shape == (5, units[-1])
    np.testing.assert_allclose(decoder(encoder(x)), model(x), rtol=1e-6)


def test_tied_weights_are_saved_once_and_come_back(tmp_path):
    net = {"hidden_units": [3, 2], "tied": True, "initializer": NORMAL}
    spec = Spec.examples((2, 2), 4)
    model = build(autoencoder, net, spec)
    settings = {"model": "m", "seed": 1, "dataset": "d", "task": "reconstruction"}
    fit = {"length": "1 steps", "batch_size": 1, "learning_rate": 0.1}
    settings |= {"arch": "autoencoder", "net": net, "fit": fit | {"optimizer": {"name": "sgd"}}}
    artifacts.save(
        tmp_path, model, Card(settings, spec, "", "", 1), [{"step": 1}], np.zeros((0, 1))
    )
    x = np.random.default_rng(0).random((5, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(artifacts.restore(tmp_path)(x), model(x))


def test_weights_of_a_snapshot_are_those_that_were_taken():
    net = {"hidden_units": [3], "activation": "relu", "bias": True, "initializer": NORMAL}
    one, other = (build(mlp, net, Spec.examples((4,), 2)) for _ in range(2))
    other.set_weights([weight + 1 for weight in other.get_weights()])
    artifacts.set_weights(other, np.concatenate([w.ravel() for w in one.get_weights()]))
    for expected, found in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


# --- insights ------------------------------------------------------------------------------


def test_the_weights_of_a_class_are_an_image():
    from modelmill.trained import insights

    model = build(linear, {"bias": True, "initializer": NORMAL}, Spec.examples((2, 3), 4))
    image = insights.first_filters(model)[1]
    np.testing.assert_array_equal(image.ravel(), model.weights[0].numpy()[1])
    assert image.shape == (2, 3)
    assert insights.is_linear(model)


@pytest.fixture(scope="module")
def small_convnet():
    blocks = [{"filters": 3, "kernel": 3, "pool": 2}, {"filters": 5, "kernel": 3, "pool": 2}]
    net = {"blocks": blocks, "hidden_units": 4, "bias": False, "initializer": NORMAL}
    return build(convnet, net, Spec.examples((8, 6), 10))


def test_a_convolution_has_a_map_for_each_filter(small_convnet):
    from modelmill.trained import insights

    assert insights.first_filters(small_convnet).shape == (3, 3, 3)
    assert not insights.is_linear(small_convnet)
    image = np.zeros((8, 6), np.float32)
    image[4, 2] = 1.0
    (first, maps), (_, deeper) = insights.feature_maps(small_convnet, image)
    assert first == "convolution 1: 3 filters"
    assert (maps.shape, deeper.shape) == ((3, 8, 6), (5, 4, 3))
    # A single point shows the filter itself, turned around, where it is positive.
    kernel = insights.first_filters(small_convnet)[0]
    np.testing.assert_allclose(maps[0][3:6, 1:4], np.maximum(kernel[::-1, ::-1], 0), rtol=1e-6)


def test_a_single_convolution_has_maps_too(small_convnet):
    from modelmill.trained import insights

    blocks = [{"filters": 3, "kernel": 3, "pool": 2}]
    net = {"blocks": blocks, "hidden_units": 4, "bias": False, "initializer": NORMAL}
    model, image = build(convnet, net, Spec.examples((8, 6), 10)), np.ones((8, 6), np.float32)
    ((_, maps),) = insights.feature_maps(model, image)
    assert maps.shape == (3, 8, 6)


def test_biases_that_there_are_not_start_from_nothing():
    net = {"bias": False, "initializer": NORMAL, "bias_initializer": NORMAL}
    with pytest.raises(ValueError, match="bias_initializer is for `bias: true`"):
        linear.Net.model_validate(net)


def test_after_the_last_row_a_reader_has_decided_as_the_model_does():
    from modelmill.trained import insights

    net = {"cell": "lstm", "units": 4, "initializer": NORMAL, "output_initializer": NORMAL}
    model = build(row_recurrent, net, Spec.examples((7, 5), 3))
    x = np.random.default_rng(0).random((2, 7, 5)).astype(np.float32)
    logits = insights.reading(model, x)
    assert logits.shape == (2, 7, 3)
    np.testing.assert_allclose(logits[:, -1], model(x), rtol=1e-5)
    assert insights.first_filters(model) is None
    assert insights.feature_maps(model, x[0]) == []


def test_other_models_are_not_read(small_convnet):
    from modelmill.trained import insights

    assert insights.reading(small_convnet, np.zeros((1, 8, 6), np.float32)) is None


def test_of_ones_own_architecture_only_what_fits_is_shown():
    import keras

    from modelmill.layers.recurrent import Recurrent
    from modelmill.trained import inference, insights

    images = keras.Input((6, 5), name="x")
    by_row = keras.Model(images, keras.layers.Dense(3)(images))
    assert insights.first_filters(by_row) is None
    assert insights.halves(by_row) is None
    first, *_ = Recurrent("lstm", 4, 1.0, "glorot_uniform")(images)
    _, last, *_ = Recurrent("lstm", 4, 1.0, "glorot_uniform")(first)
    stacked = keras.Model(images, keras.layers.Dense(3)(last))
    assert insights.reading(stacked, np.zeros((1, 6, 5), np.float32)) is None
    item = keras.Input((), name="item", dtype="int32")
    rated = keras.Model(item, keras.layers.Dense(1)(keras.layers.Embedding(9, 2)(item)))
    assert inference.alike(rated, np.ones((4, 9)), [0]) is None


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_gates_of_an_lstm_are_those_worked_out_by_hand():
    """Of the last of two layers, the second reading what the first gives."""
    from modelmill.trained import insights

    net = {"cell": "lstm", "forget_bias": 1.0, "embedding": 2, "units": 3, "layers": 2}
    net |= {"initializer": NORMAL, "bias_initializer": NORMAL}
    model = build(recurrent_lm, net, windows_of(6, 4))
    embedding, *layers = (weight.numpy() for weight in model.weights[:5])
    tokens = np.array([3, 1, 2, 1])
    x, expected = embedding[tokens], []
    for kernel, bias in (layers[:2], layers[2:]):
        h, c, expected = np.zeros(3), np.zeros(3), []
        for now in x:
            i, f, g, o = np.split(np.concatenate([now, h]) @ kernel + bias, 4)
            i, f, g, o = sigmoid(i), sigmoid(f + 1), np.tanh(g), sigmoid(o)
            c = f * c + i * g
            h = o * np.tanh(c)
            expected.append((i, f, g, o, c, h))
        x = np.stack([step[-1] for step in expected])
    found = insights.while_reading(model, tokens)
    names = ["input gate", "forget gate", "candidate", "output gate", "cell state"]
    assert list(found) == names
    for name, values in zip(names, zip(*expected, strict=True), strict=False):
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_a_state_that_is_watched_is_the_one_the_model_gives(cell):
    import tensorflow as tf

    from modelmill.layers.recurrent import zero_state
    from modelmill.trained import insights

    net = {"cell": cell, "embedding": 2, "units": 3, "layers": 2, "initializer": NORMAL}
    model, tokens = build(recurrent_lm, net, windows_of(5, 4)), np.array([3, 1, 2, 1, 0])
    found = insights.while_reading(model, tokens)
    given = {"tokens": tokens[None], **zero_state(model, 1)}
    after = call(model, {name: tf.constant(value) for name, value in given.items()}, False)
    np.testing.assert_array_equal(found["hidden state"][-1:], after["state_1"])
    if cell == "gru":
        h = np.vstack([np.zeros(3), found["hidden state"]])
        update, candidate = found["update gate"], found["candidate"]
        blended = update * h[:-1] + (1 - update) * candidate
        np.testing.assert_allclose(h[1:], blended, atol=1e-6)


def test_what_has_no_recurrent_layer_has_nothing_to_watch(small_convnet):
    from modelmill.trained import insights

    assert insights.while_reading(small_convnet, np.array([1])) == {}


# --- the promise of one file for a model -----------------------------------------------------


def test_no_architecture_names_a_model_and_nothing_else_names_either(models):
    """A new model, or architecture, leaves every file of the library as it is."""
    names = [*models, *(path.stem for path in (PACKAGE / "models").glob("[a-z]*_*.py"))]
    for path in PACKAGE.rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        mentioned = [name for name in names if json.dumps(name) in code]
        assert not mentioned, f"{path} knows of {mentioned}"
