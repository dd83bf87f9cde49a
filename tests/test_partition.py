"""Annealed importance sampling finds the log Z of RBMs small enough to know it."""

import itertools

import numpy as np
import pytest

from modelmill.evaluation.measures.partition import Rbm, free_energy
from modelmill.layers.rbm import log_odds

pytestmark = pytest.mark.usefixtures("tensorflow")

# Few enough for a second or two; the paper's are for 500 hidden units.
SPACING = {0.0: 50, 0.5: 400, 0.9: 550}


def random_rbm(visible, hidden, spread=0.5, seed=1):
    rng = np.random.default_rng(seed)
    shapes = [(visible, hidden), (visible,), (hidden,)]
    return Rbm(*(rng.normal(0, spread, shape).astype(np.float32) for shape in shapes))


def states(units):
    return np.array(list(itertools.product([0, 1], repeat=units)), np.float32)


def exact_samples(rbm, count, seed=1):
    """Visible states, by drawing the hidden ones from all that there are."""
    rng = np.random.default_rng(seed)
    h = states(len(rbm.hidden_bias))
    inputs = rbm.visible_bias + h @ rbm.weights.T
    log_p = h @ rbm.hidden_bias + np.logaddexp(0, inputs).sum(axis=1)
    p = np.exp(log_p.astype(np.float64) - log_p.max())
    chosen = inputs[rng.choice(len(h), count, p=p / p.sum())]
    return (rng.random(chosen.shape) < 1 / (1 + np.exp(-chosen))).astype(np.float32)


def exact_log_z(rbm):
    """log Z, adding up over all states of the hidden units, which must be few."""
    weights, b, c = (part.astype(np.float64) for part in rbm)
    h = states(len(c)).astype(np.float64)
    return np.logaddexp.reduce(h @ c + np.logaddexp(0, b + h @ weights.T).sum(axis=1))


@pytest.mark.parametrize(("visible", "hidden"), [(4, 3), (3, 6)])
def test_the_exact_log_z_is_the_sum_over_both_layers(visible, hidden):
    rbm = random_rbm(visible, hidden, 1.5)
    v, h = states(visible), states(hidden)
    energies = -(v @ rbm.visible_bias)[:, None] - h @ rbm.hidden_bias - v @ rbm.weights @ h.T
    assert exact_log_z(rbm) == pytest.approx(np.log(np.exp(-energies.astype(np.float64)).sum()))


def test_probabilities_add_up_to_one():
    rbm = random_rbm(6, 14)
    log_p = -free_energy(rbm, states(6)) - exact_log_z(rbm)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)


def test_the_base_model_has_the_pixels_frequencies():

    x = np.array([[0, 1], [0, 1], [1, 1]], np.uint8)
    base = log_odds(x)
    np.testing.assert_allclose(1 / (1 + np.exp(-base)), [2 / 5, 4 / 5], rtol=1e-6)


def test_of_a_model_without_weights_log_z_is_known_and_found_exactly():
    """Every chain has the same weight: log Z is that of the base model, to the last digit."""
    from modelmill.evaluation.measures import partition

    base = np.array([-2, 0, 3], np.float32)
    rbm = Rbm(np.zeros((3, 4), np.float32), base, np.zeros(4, np.float32))
    known = np.log1p(np.exp(base.astype(np.float64))).sum() + 4 * np.log(2)
    assert exact_log_z(rbm) == pytest.approx(known)
    assert partition.base_log_z(rbm, base) == pytest.approx(known)
    betas = partition.temperatures({0.0: 10})
    found = partition.forward(rbm, base, betas, seed=1, chains=6)
    np.testing.assert_allclose([*found[:3], *found.by_chain], known, atol=1e-6)


def test_temperatures_are_those_of_the_paper():
    from modelmill.evaluation.measures import partition

    betas = partition.temperatures()
    assert len(betas) == 14_501
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (np.diff(betas) > 0).all()
    assert [(betas < end).sum() for end in np.float32([0.5, 0.9])] == [500, 4500]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forward_and_reverse_estimates_bracket_the_exact_log_z(seed):
    from modelmill.evaluation.measures import partition

    rbm = random_rbm(30, 12, seed=seed)
    exact, samples = exact_log_z(rbm), exact_samples(rbm, 100, seed)
    betas = partition.temperatures(SPACING)
    base = log_odds(samples)
    for found in (
        partition.forward(rbm, base, betas, seed),
        partition.reverse(rbm, base, betas, seed, samples),
    ):
        assert found.low < exact < found.high
        assert found.low < found.log_z < found.high
        assert found.high - found.low < 0.5


def test_one_seed_gives_one_estimate_and_another_another():
    from modelmill.evaluation.measures import partition

    rbm, base = random_rbm(8, 5), np.zeros(8, np.float32)
    betas = partition.temperatures({0.0: 20})
    first, again, other = (partition.forward(rbm, base, betas, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.by_chain, again.by_chain)
    assert first[:3] == again[:3]
    assert first.log_z != other.log_z


def test_with_too_few_temperatures_the_two_estimates_say_so():
    """The forward one is too low and the reverse one too high, on average over seeds."""
    from modelmill.evaluation.measures import partition

    rbm = random_rbm(20, 12, 1.5)
    exact, base = exact_log_z(rbm), np.zeros(20, np.float32)
    betas = partition.temperatures({0.0: 5})
    pairs = [
        (
            partition.forward(rbm, base, betas, seed).log_z,
            partition.reverse(rbm, base, betas, seed, exact_samples(rbm, 100, seed)).log_z,
        )
        for seed in range(5)
    ]
    low, high = np.mean(pairs, axis=0)
    assert low < exact < high
