"""Evaluating a restricted Boltzmann machine: how probable it finds data it has not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from modelmill.errors import ModelmillError
from modelmill.evaluation import Job
from modelmill.reference import Better
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

    from modelmill.evaluation.measures.partition import Estimate

METRICS: dict[str, Better] = {
    "log_likelihood": "higher",
    "log_likelihood_reverse": "higher",
    "log_z_spread": "lower",
    "features_accuracy": "higher",
}
SHOWN = 10
FILTERS = 100
BATCH = 500
WALKED = 1000  # steps that chains take to be the model's own
EPOCHS, RATE = 30, 0.01  # of the softmax on the features


class Sample(Section):
    """How many examples to begin at, and how many steps of Gibbs sampling to take from each.

    Attributes:
        count: how many pictures `modelmill sample` makes, each begun at a training example; the
            evaluation draws ten, begun at examples of its split.
        steps: of Gibbs sampling that lead away from it.
        seed: of the draws.
    """

    count: Annotated[int, Field(ge=1, le=1000)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Eval(Section):
    """The split to measure on, how log Z is found, and the pictures to draw.

    Attributes:
        split: the one to measure on: train, validation or test.
        sample: the pictures to draw.
        seed: of the chains.
        chains: of annealed importance sampling, an even number.
        anneal_for: `temperatures` in each profile.
        temperatures: how many steps there are, from the model to start from to this one.
        sample_for: how many steps in each profile.
    """

    split: str
    chains: Annotated[int, Field(ge=2, multiple_of=2)]
    anneal_for: dict[str, PositiveInt]
    temperatures: Annotated[int, Field(ge=30)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    sample_for: dict[str, PositiveInt]
    sample: Sample


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Mean log-likelihood of an example in nats by annealed importance sampling, both ways.

    `log_likelihood` is by the forward estimate of log Z, which flatters; the spread is that of its
    3 sigma upwards. `log_likelihood_reverse` starts from samples that the model was walked to from
    the data; between the two lies the truth, as far as these are its own. `features_accuracy` is
    that of a softmax on the hidden units, where the data have classes.
    """
    from modelmill.evaluation.measures import partition
    from modelmill.layers.rbm import log_odds
    from modelmill.trained import artifacts
    from modelmill.trained.inference import predict

    train, test = job.data.split("train"), job.data.split(options.split)
    train = {name: array[: job.card.settings["fit"]["examples"]] for name, array in train.items()}
    x, v, known = test["x"], _vectors(test["x"]), _vectors(train["x"])
    model = artifacts.restore(job.folder)
    rbm, base = partition.Rbm(*model.get_weights()), log_odds(known)
    walked = _walk(model, v[: options.chains], [WALKED], options.seed)[WALKED]
    samples = np.resize(walked, (options.chains, v.shape[1]))
    betas = partition.temperatures(_spacing(options.temperatures))
    estimates = {
        "forward": partition.forward(rbm, base, betas, options.seed, options.chains),
        "reverse": partition.reverse(rbm, base, betas, options.seed, samples),
    }
    free_energy = float(partition.free_energy(rbm, v).mean())
    hidden = predict(model, x, 1.0)
    metrics = {
        **_likelihood(free_energy, **estimates),
        **_errors(model, v, options.seed),
        "free_energy_gap": free_energy - float(partition.free_energy(rbm, known[: len(v)]).mean()),
        "examples": len(x),
    }
    if "y" in test and "class_names" in job.data.meta:
        learnt = predict(model, train["x"], 1.0), train["y"]
        metrics["features_accuracy"] = _accuracy(learnt, (hidden, test["y"]))
    _draw(job, estimates, hidden)
    if x.ndim == 3:
        _draw_pictures(job, model, x[:SHOWN], options.sample)
    return metrics


def _likelihood(free_energy: float, forward: "Estimate", reverse: "Estimate") -> dict[str, float]:
    return {
        "log_likelihood": -free_energy - forward.log_z,
        "log_likelihood_reverse": -free_energy - reverse.log_z,
        "log_z": forward.log_z,
        "log_z_spread": forward.high - forward.log_z,
        "log_z_reverse": reverse.log_z,
        "log_z_reverse_spread": reverse.log_z - reverse.low,
        "free_energy": free_energy,
    }


def _vectors(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _spacing(total: int) -> dict[float, int]:
    """As many temperatures, as dense near 1 as those of the paper."""
    from modelmill.evaluation.measures.partition import TEMPERATURES

    paper = sum(TEMPERATURES.values())
    spacing = {beta: max(1, count * total // paper) for beta, count in TEMPERATURES.items()}
    spacing[max(spacing)] += total - sum(spacing.values())
    return spacing


def _walk(
    model: "keras.Model", v: np.ndarray, stops: list[int], seed: int
) -> dict[int, np.ndarray]:
    """Where Gibbs sampling leads from each v [n, visible] after so many steps [n, visible]."""
    import tensorflow as tf

    rbm, found, done = model.layers[-1], {}, 0
    rbm.seed_generator.state.assign([seed, 0])
    walk = tf.function(lambda v, steps: rbm.gibbs(v, rbm.inputs(v), steps))
    chains = tf.constant(v, tf.float32)
    for steps in stops:
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
        inputs = rbm.inputs(part)
        losses = -rbm.pseudo_likelihood(part, tf.constant(flips[start : start + BATCH]), inputs)
        errors = rbm.reconstruction_error(part, inputs)
        totals += [values.numpy().sum(dtype=np.float64) for values in (losses, errors)]
    loss, error = (totals / len(v)).tolist()
    return {"loss": loss, "reconstruction_error": error}


def _accuracy(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Of a softmax on features [n, units] that learnt from the one and is asked about the other."""
    import keras

    mean = train[0].mean(axis=0)  # centred, it is learnt sooner
    rates = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(train[0]) // BATCH))
    softmax = keras.Sequential([keras.layers.Dense(1 + int(train[1].max()))])
    softmax.compile(
        keras.optimizers.Adam(rates),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=50,
    )
    softmax.fit(train[0] - mean, train[1], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return float(np.mean(np.argmax(softmax(test[0] - mean), axis=1) == test[1]))


def sample(job: Job, options: Sample, output: Path) -> None:
    """Draws what the model dreams, beginning at examples of its training, as a PNG.

    Raises:
        ModelmillError: its examples are no pictures.
    """
    from modelmill.figures import images
    from modelmill.trained import artifacts

    x = job.data.split("train")["x"][: job.card.settings["fit"]["examples"]]
    if x.ndim != 3:
        raise ModelmillError(f"{job.name} draws no pictures: its examples are none")
    rows = np.random.default_rng(options.seed).permutation(len(x))[: options.count]
    dreams = _dreams(artifacts.restore(job.folder), x[rows], [options.steps], options.seed)
    title = f"{job.name}: what it dreams after {options.steps:,} steps"
    images.mosaics([("", dreams[options.steps])], title, output, False)


def _draw(job: Job, estimates: dict[str, "Estimate"], hidden: np.ndarray) -> None:
    from modelmill.figures import boltzmann

    found = {name: (estimate.log_z, estimate.by_chain) for name, estimate in estimates.items()}
    boltzmann.log_z(found, f"{job.name}: log Z", job.figures / "log_z.png")
    boltzmann.activity(hidden, f"{job.name}: hidden units", job.figures / "activity.png")


def _draw_pictures(job: Job, model: "keras.Model", x: np.ndarray, options: Sample) -> None:
    from modelmill.figures import images

    filters = model.get_weights()[0].T[:FILTERS].reshape(-1, *x.shape[1:])
    heading, title = f"the first {len(filters)}", f"{job.name}: weights of hidden units"
    images.mosaics([(heading, filters)], title, job.figures / "filters.png", True)
    stops = sorted({10**power for power in range(7) if 10**power < options.steps} | {options.steps})
    lines = [("data", x)]
    for steps, dreams in _dreams(model, x, stops, options.seed).items():
        lines.append((f"{steps:,} step{'s' * (steps > 1)}", dreams))
    title = f"{job.name}: what it dreams, beginning at examples"
    images.rows(lines, title, job.figures / "fantasies.png")


def _dreams(
    model: "keras.Model", x: np.ndarray, stops: list[int], seed: int
) -> dict[int, np.ndarray]:
    """Pictures [n, rows, columns]: how bright each pixel is on average, one step from `_walk`."""
    rbm = model.layers[-1]
    return {
        steps: rbm.visible(rbm.hidden(v)).numpy().reshape(x.shape)
        for steps, v in _walk(model, _vectors(x), stops, seed).items()
    }
