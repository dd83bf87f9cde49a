"""A restricted Boltzmann machine learns the gradient of its log-likelihood."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.models import Spec, rbm
from modelmill.schema import validate
from modelmill.tasks import density

pytestmark = pytest.mark.usefixtures("tensorflow")
VISIBLE, HIDDEN = 5, 3
NET = {"hidden_units": HIDDEN, "initializer": {"name": "normal", "stddev": 0.7}}
KEYS = {"chains": "persistent", "gibbs_steps": 1, "centred": False}


def make_fit(**keys):
    fit = {"length": "1 epoch", "batch_size": 4, "optimizer": {"name": "sgd"}, "learning_rate": 0.1}
    return validate(density.Fit, fit | KEYS | keys, "fit")


def states(units):
    return np.array(list(itertools.product([0, 1], repeat=units)), np.float32)


@pytest.fixture
def model():
    import keras

    keras.utils.set_random_seed(4)
    model = rbm.build(rbm.Net.model_validate(NET), Spec.examples((VISIBLE,), VISIBLE))
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


def energies(model, v, h):
    """Of each v with each h, by the definition."""
    weights, b, c = (w.astype(np.float64) for w in model.get_weights())
    return -(v @ b)[:, None] - h @ c - v @ weights @ h.T


def expectations(model, v, probability):
    """Of v h', v and h where each v has that probability."""
    h = states(HIDDEN)
    joint = np.exp(-energies(model, v, h))
    joint *= (probability / joint.sum(axis=1))[:, None]
    return [v.T @ joint @ h, v.T @ probability, h.T @ joint.sum(axis=0)]


def exact_samples(model, count):
    v = states(VISIBLE)
    p = np.exp(-energies(model, v, states(HIDDEN))).sum(axis=1)
    return v[np.random.default_rng(2).choice(len(v), count, p=p / p.sum())]


def gradient(model, x, chains, **keys):
    import tensorflow as tf

    fit = make_fit(batch_size=len(x), **keys)
    batch = {"x": tf.constant(x), "flip": tf.zeros([len(x)], tf.int32)}
    state = density.initial(model, fit)
    state["chains"] = tf.constant(chains)
    if fit.centred:
        state["visible_means"] = tf.fill(x.shape, 0.3)
        state["hidden_means"] = tf.fill([len(x), HIDDEN], 0.6)
    learn = tf.function(lambda: density.learn(model, batch, state, fit))
    return [part.numpy() for part in learn().gradients]


def test_free_energy_and_pseudo_likelihood_are_those_of_all_states(model):
    import tensorflow as tf

    v = states(VISIBLE)
    expected = -np.log(np.exp(-energies(model, v, states(HIDDEN))).sum(axis=1))
    layer = model.layers[-1]
    np.testing.assert_allclose(layer.free_energy(v), expected, rtol=1e-4, atol=1e-5)
    for unit in range(VISIBLE):
        units = tf.fill([len(v)], unit)
        other = [np.flatnonzero((v == row).all(1))[0] for row in abs(v - np.eye(VISIBLE)[unit])]
        log_p = VISIBLE * -np.log1p(np.exp(expected - expected[other]))
        found = layer.pseudo_likelihood(tf.constant(v), units, layer.inputs(v))
        np.testing.assert_allclose(found, log_p, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", ["data", "model"])
def test_what_is_learnt_is_the_gradient_of_the_log_likelihood(model, shift):
    """Chains that are the model's own stay so, however far they go."""
    count = 40_000
    chains = exact_samples(model, count)
    data = states(VISIBLE)[np.random.default_rng(3).choice([1, 7, 30], count)]
    x = data if shift == "data" else exact_samples(model, count)
    v = states(VISIBLE)
    places = (x @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    seen = np.bincount(places, minlength=len(v)) / count
    p = np.exp(-energies(model, v, states(HIDDEN))).sum(axis=1)
    dreamt, known = expectations(model, v, p / p.sum()), expectations(model, v, seen)
    error = 5 * 0.5 / np.sqrt(count)  # five standard errors of a mean of ones and zeros, at most
    found = gradient(model, x, chains, gibbs_steps=3)
    for part, of_model, of_data in zip(found, dreamt, known, strict=True):
        np.testing.assert_allclose(part, of_model - of_data, atol=error)
    # Centred, by the definition: (v - mu)(h - lambda)', and biases corrected for the shift.
    mu, offset = np.full(VISIBLE, 0.3), np.full(HIDDEN, 0.6)
    weights, visible, hidden = (m - d for m, d in zip(dreamt, known, strict=True))
    weights = weights - np.outer(visible, offset) - np.outer(mu, hidden)
    centred = [weights, visible - weights @ offset, hidden - weights.T @ mu]
    found = gradient(model, x, chains, gibbs_steps=3, centred=True)
    for part, expected in zip(found, centred, strict=True):
        np.testing.assert_allclose(part, expected, atol=3 * error)


def test_contrastive_divergence_starts_at_the_data(model):
    """Where neither layer can move, the dreams are the data: nothing is learnt."""
    import tensorflow as tf

    model.set_weights(
        [100 * np.ones((VISIBLE, HIDDEN)), -250 * np.ones(VISIBLE), -250 * np.ones(HIDDEN)]
    )
    x = np.repeat([[0.0], [1.0]], VISIBLE, axis=1).astype(np.float32)
    batch = {"x": tf.constant(x), "flip": tf.zeros([2], tf.int32)}
    fit = make_fit(chains="data", gibbs_steps=2, batch_size=2)
    learnt = density.learn(model, batch, {}, fit)
    assert not any(part.numpy().any() for part in learnt.gradients)
    assert learnt.state == {}


def test_gibbs_sampling_reaches_the_models_own_probabilities(model):
    import tensorflow as tf

    rbm = model.layers[-1]
    walk = tf.function(rbm.gibbs)
    start = tf.zeros([40_000, VISIBLE])
    chains = walk(start, rbm.inputs(start), 60).numpy()
    v = states(VISIBLE)
    p = np.exp(-energies(model, v, states(HIDDEN))).sum(axis=1)
    places = (chains @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    found = np.bincount(places, minlength=len(v)) / len(chains)
    np.testing.assert_allclose(found, p / p.sum(), atol=5 * 0.5 / np.sqrt(len(chains)))


def test_visible_biases_begin_at_the_log_odds_of_the_pixels(model):
    x = np.zeros((8, VISIBLE), np.uint8)
    x[:4, 1], x[:, 2] = 1, 1
    arrays = {"x": np.concatenate([x, 1 - x])}
    data = Processed(Path(), {"splits": {"train": [0, 8], "test": [8, 16]}}, arrays)
    density.begin(model, data, make_fit())
    expected = np.log([1 / 9, 1, 9, 1 / 9, 1 / 9])
    np.testing.assert_allclose(model.get_weights()[1], expected, rtol=1e-5, atol=1e-7)


def test_validation_is_held_against_what_was_learnt_from():
    import tensorflow as tf

    x = np.zeros((50, VISIBLE), np.uint8)
    x[4:40] = 1  # the training examples that are not learnt from
    data = Processed(Path(), {"splits": {"train": [0, 40], "validation": [40, 50]}}, {"x": x})
    batches = density.batches(data, "validation", make_fit(examples=4), 1)
    assert not batches.batch(batches.load(0, 0, 1), tf.constant(0))["known"].numpy().any()


@pytest.mark.parametrize(("dtype", "scale"), [("uint8", 1 / 255), ("float32", 1.0)])
def test_grey_pixels_are_refused(dtype, scale):
    meta = {"scale": scale, "input_shape": [28, 28], "arrays": {"x": {"dtype": dtype}}}
    with pytest.raises(ModelmillError, match="more than ones and zeros"):
        density.spec(meta, make_fit())


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_ones_and_zeros_may_be_of_either_kind(dtype):
    meta = {"input_shape": [28, 28], "arrays": {"x": {"dtype": dtype}}}
    assert density.spec(meta, make_fit()).outputs == 28 * 28


def test_units_are_from_0_to_1():
    from modelmill.layers.rbm import log_odds

    with pytest.raises(ModelmillError, match=r"units are from 0 to 1, the data from -2 to 7\.5"):
        log_odds(np.array([[-2, 0.5], [7.5, 1]]))


@pytest.mark.parametrize("total", [30, 100, 1000, 1450, 14_500])
def test_there_are_as_many_temperatures_as_are_asked_for(total):
    from modelmill.evaluation.density import _spacing
    from modelmill.evaluation.measures.partition import TEMPERATURES

    assert sum(_spacing(total).values()) == total
    assert _spacing(14_500) == TEMPERATURES
