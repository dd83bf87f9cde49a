"""Evaluating a restricted Boltzmann machine: how probable it finds data it has not seen."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from modelmill.evaluation import Job
from modelmill.reference import Better
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

METRICS: dict[str, Better] = {
    "log_likelihood": "higher",
    "log_likelihood_reverse": "higher",
    "log_z_spread": "lower",
}
GIBBS_STEPS = (1, 10, 100, 1000)
SHOWN = 10
FILTERS = 100
BATCH = 500


class Eval(Section):
    """The split to measure on, and how log Z is found.

    Attributes:
        chains: of annealed importance sampling, an even number.
        anneal_for: how many temperatures in each profile.
        temperatures: how many.
    """

    split: str
    chains: Annotated[int, Field(ge=2, multiple_of=2)]
    anneal_for: dict[str, PositiveInt]
    temperatures: Annotated[int, Field(ge=30)]
    seed: Annotated[int, Field(ge=0)] = 0


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Mean log-likelihood of an example in nats by annealed importance sampling, both ways.

    `log_likelihood` is by the forward estimate of log Z, which flatters; the spread is that of its
    3 sigma upwards. `log_likelihood_reverse` starts from samples that the model was walked to from
    the data; between the two lies the truth, as far as these are its own.
    """
    from modelmill.evaluation import partition
    from modelmill.trained import artifacts

    x = job.data.split(options.split)["x"]
    v, train = _vectors(x), _vectors(job.data.split("train")["x"])
    model = artifacts.restore(job.folder)
    rbm, base = partition.Rbm(*model.get_weights()), partition.base_bias(train)
    dreams = _dreams(model, v[: options.chains], options.seed)
    samples = np.resize(dreams[GIBBS_STEPS[-1]], (options.chains, v.shape[1]))
    betas = partition.temperatures(_spacing(options.temperatures))
    forward = partition.forward(rbm, base, betas, options.seed, options.chains)
    reverse = partition.reverse(rbm, base, betas, options.seed, samples)
    free_energy = float(partition.free_energy(rbm, v).mean())
    if x.ndim == 3:
        _draw(job, rbm.weights, x[:SHOWN], dreams)
    return {
        "log_likelihood": -free_energy - forward.log_z,
        "log_likelihood_reverse": -free_energy - reverse.log_z,
        "log_z": forward.log_z,
        "log_z_spread": forward.high - forward.log_z,
        "log_z_reverse": reverse.log_z,
        "log_z_reverse_spread": reverse.log_z - reverse.low,
        "free_energy": free_energy,
        **_errors(model, v, options.seed),
        "examples": len(x),
    }


def _vectors(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _spacing(total: int) -> dict[float, int]:
    """As many temperatures, as dense near 1 as those of the paper."""
    from modelmill.evaluation.partition import TEMPERATURES

    paper = sum(TEMPERATURES.values())
    return {beta: max(1, count * total // paper) for beta, count in TEMPERATURES.items()}


def _dreams(model: "keras.Model", v: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """Where Gibbs sampling leads from each example after `GIBBS_STEPS` [n, visible]."""
    import tensorflow as tf

    rbm, found, done = model.layers[-1], {}, 0
    rbm.seed_generator.state.assign([seed, 0])
    walk = tf.function(rbm.gibbs)
    chains = tf.constant(v, tf.float32)
    for steps in GIBBS_STEPS:
        chains = walk(chains, tf.constant(steps - done))
        found[steps], done = chains.numpy(), steps
    return found


def _errors(model: "keras.Model", v: np.ndarray, seed: int) -> dict[str, float]:
    """Means over all examples of what is measured while training."""
    import tensorflow as tf

    rbm, totals = model.layers[-1], np.zeros(2)
    flips = np.random.default_rng(seed).integers(0, v.shape[1], len(v)).astype(np.int32)
    for start in range(0, len(v), BATCH):
        part = tf.constant(v[start : start + BATCH], tf.float32)
        losses = -rbm.pseudo_likelihood(part, tf.constant(flips[start : start + BATCH]))
        errors = rbm.reconstruction_error(part)
        totals += [values.numpy().sum(dtype=np.float64) for values in (losses, errors)]
    loss, error = (totals / len(v)).tolist()
    return {"loss": loss, "reconstruction_error": error}


def _draw(job: Job, weights: np.ndarray, x: np.ndarray, dreams: dict[int, np.ndarray]) -> None:
    from modelmill.figures import images

    filters = weights.T[:FILTERS].reshape(-1, *x.shape[1:])
    title = f"{job.name}: weights of hidden units"
    images.mosaics(
        [(f"the first {len(filters)}", filters)], title, job.figures / "filters.png", True
    )
    lines = [("data", x)]
    for steps, v in dreams.items():
        name = f"{steps:,} step{'s' * (steps > 1)}"
        lines.append((name, v[: len(x)].reshape(-1, *x.shape[1:])))
    title = f"{job.name}: what it dreams, beginning at examples"
    images.rows(lines, title, job.figures / "fantasies.png")
