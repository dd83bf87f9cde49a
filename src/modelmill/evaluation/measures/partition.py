"""How probable data are under a restricted Boltzmann machine: its partition function, estimated.

A Bernoulli RBM gives a vector v of ones and zeros the probability exp(-F(v)) / Z, where
F(v) = -b·v - sum_j log(1 + exp(c_j + (vW)_j)) is the free energy and Z adds up exp(-F) over all v,
of which there are too many. Annealed importance sampling (Neal 2001; for RBMs: Salakhutdinov and
Murray 2008, "On the quantitative analysis of deep belief networks", section 4) walks from a model
whose Z is known to this one and weighs how the probabilities change on the way.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import tensorflow as tf

CHAINS = 100
# How many inverse temperatures from each of these on to the next; the last is 1.
TEMPERATURES = {0.0: 500, 0.5: 4000, 0.9: 10_000}
GROUPS = 2  # of chains that run side by side


class Rbm(NamedTuple):
    """A Bernoulli RBM, float32: W [visible, hidden], b [visible], c [hidden]."""

    weights: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray


class Estimate(NamedTuple):
    """log Z in nats, and where it lies if the mean weight of the chains is off by 3 sigma.

    `low` is minus infinity where the chains differ so much that 3 sigma exceed the mean itself.
    `by_chain` is what each says alone, float64 [chains].
    """

    log_z: float
    low: float
    high: float
    by_chain: np.ndarray


def free_energy(rbm: Rbm, x: np.ndarray) -> np.ndarray:
    """F of each example: its log-probability is -F - log Z, float64 [examples].

    Args:
        x: ones and zeros [examples, visible].
    """
    v = x.astype(np.float32)
    hidden = np.logaddexp(0, v @ rbm.weights + rbm.hidden_bias).sum(axis=1, dtype=np.float64)
    return -(v @ rbm.visible_bias).astype(np.float64) - hidden


def base_log_z(rbm: Rbm, base: np.ndarray) -> float:
    """log Z of the RBM with biases `base`, no weights, and as many hidden units as `rbm`."""
    visible = np.logaddexp(0, base.astype(np.float64)).sum()
    return float(visible + len(rbm.hidden_bias) * np.log(2))


def temperatures(spacing: Mapping[float, int] = TEMPERATURES) -> np.ndarray:
    """Inverse temperatures from 0 to 1, both included, float32."""
    between = zip(pairwise([*spacing, 1.0]), spacing.values(), strict=True)
    parts = [np.linspace(*ends, count, endpoint=False) for ends, count in between]
    return np.concatenate([*parts, [1.0]]).astype(np.float32)


def forward(
    rbm: Rbm,
    base: np.ndarray,
    betas: np.ndarray,
    seed: int,
    chains: int = CHAINS,
) -> Estimate:
    """log Z by annealing samples of the base model to `rbm`: right on average for Z.

    So it is too low on average for log Z, which flatters the model.

    Args:
        base: visible biases of the model to start from [visible].
        betas: see `temperatures`.
    """
    probability = 1 / (1 + np.exp(-base.astype(np.float64)))
    uniform = np.random.default_rng(seed).random((chains, len(base)))
    weights = _anneal(rbm, base, betas, (uniform < probability).astype(np.float32), seed)
    low, middle, high = _log_mean(weights)
    known = base_log_z(rbm, base)
    return Estimate(known + middle, known + low, known + high, known + weights)


def reverse(
    rbm: Rbm, base: np.ndarray, betas: np.ndarray, seed: int, samples: np.ndarray
) -> Estimate:
    """log Z by annealing samples of `rbm` to the base model: right on average for 1 / Z.

    So it is too high on average for log Z, as far as the samples are the model's own (Burda, Grosse
    and Salakhutdinov 2015, "Accurate and conservative estimates of MRF log-likelihood").

    Args:
        samples: of `rbm`, ones and zeros, an even number of them [chains, visible].
    """
    weights = _anneal(rbm, base, betas[::-1].copy(), samples.astype(np.float32), seed)
    low, middle, high = _log_mean(weights)
    known = base_log_z(rbm, base)
    return Estimate(known - middle, known - high, known - low, known - weights)


def _log_mean(log_weights: np.ndarray) -> tuple[float, float, float]:
    """The logarithm of the mean weight minus 3 sigma, of the mean, and of it plus 3 sigma."""
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    mean, sigma = weights.mean(), weights.std(ddof=1) / np.sqrt(len(weights))
    with np.errstate(divide="ignore"):
        ends = np.log([max(mean - 3 * sigma, 0), mean, mean + 3 * sigma])
    low, middle, high = (largest + ends).tolist()
    return low, middle, high


def _anneal(rbm: Rbm, base: np.ndarray, betas: np.ndarray, v: np.ndarray, seed: int) -> np.ndarray:
    """The logarithm of each chain's weight, float64 [chains]."""
    parts = [tf.constant(part) for part in (*rbm, base, betas, v)]
    return _log_weights(*parts, tf.constant(seed)).numpy()


@tf.function(reduce_retracing=True)
def _log_weights(
    weights: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    base: tf.Tensor,
    betas: tf.Tensor,
    v: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """At each inverse temperature: how log p(v) changes, then a step of Gibbs sampling from p.

    Unnormalised, p(v) = exp((1 - beta) base·v + beta b·v) prod_j (1 + exp(beta (c + vW)_j)).
    """
    transposed = tf.transpose(weights)  # once: a product that transposes takes half as long again

    def walk(v: tf.Tensor, group: int) -> tf.Tensor:
        log_weights = tf.zeros(tf.shape(v)[:1], tf.float64)
        for index in tf.range(1, tf.size(betas)):
            before, beta = betas[index - 1], betas[index]
            draw = 2 * (GROUPS * index + group)
            inputs = tf.matmul(v, weights) + c
            hidden = tf.nn.softplus(beta * inputs) - tf.nn.softplus(before * inputs)
            visible = (beta - before) * tf.linalg.matvec(v, b - base)
            log_weights += tf.cast(tf.reduce_sum(hidden, axis=1) + visible, tf.float64)
            h = _draw(beta * inputs, tf.stack([seed, draw]))
            outputs = tf.matmul(h, transposed) + b
            v = _draw((1 - beta) * base + beta * outputs, tf.stack([seed, draw + 1]))
        return log_weights

    # Nothing links the loops, so that TensorFlow runs them side by side.
    return tf.concat([walk(part, i) for i, part in enumerate(tf.split(v, GROUPS))], axis=0)


def _draw(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Ones with the probability sigmoid(logits), zeros else."""
    uniform = tf.random.stateless_uniform(tf.shape(logits), seed)
    return tf.cast(uniform < tf.sigmoid(logits), tf.float32)
