"""Density: a restricted Boltzmann machine made to find the data probable, by its own dreams.

Nothing is backpropagated: the gradient of the mean log-probability is the difference between what
is found together in the data and in the model (Hinton 2002); see docs/unsupervised.md.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modelmill.errors import ModelmillError
from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.schema import PositiveInt
from modelmill.training import supervised
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.layers.rbm import Rbm
    from modelmill.training.batches import Change, Examples

# Of an example: the loss is the negative logarithm of the pseudo-likelihood, in nats; the gap is by
# how much the free energy exceeds that of as many training examples (Hinton 2010, section 6).
METRICS: Mapping[str, Better] = {
    "loss": "lower",
    "reconstruction_error": "lower",
    "free_energy_gap": "lower",
}
UNLEARNT = ("free_energy_gap",)  # 0 there
ARRAYS = {"x": "values"}
INPUTS = ("x",)
MACHINE = "a Boltzmann machine of ones and zeros"
STATE = "training"
NEWEST = 0.01  # share of a batch in the running means


class Fit(supervised.Selected):
    """How a Boltzmann machine is trained.

    Attributes:
        chains: of Gibbs sampling, which find what the model holds probable: ``persistent`` ones go
            on from batch to batch (Tieleman 2008), others start at the ``data`` (Hinton 2002).
        gibbs_steps: of each chain for a batch.
        centred: whether running means of all units are taken off them first, which changes the
            way to the weights and not what these mean (Melchior, Fischer and Wiskott 2016).
    """

    chains: Literal["persistent", "data"]
    gibbs_steps: PositiveInt
    centred: bool


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """Any examples of ones and zeros."""
    kind = meta["arrays"]["x"]["dtype"].removeprefix("u")
    if not kind.startswith(("bool", "int")) or meta.get("scale", 1.0) != 1:
        raise ModelmillError("array x: its values are more than ones and zeros")
    shape = tuple(meta["input_shape"])
    return Spec.examples(shape, math.prod(shape))


def begin(model: "keras.Model", data: "Processed", fit: Fit) -> None:
    """Makes each visible unit, without weights, as often 1 as in the data (Hinton 2010)."""
    from modelmill.layers.rbm import log_odds

    x = _learnt_from(data, fit)
    _rbm(model).visible_bias.assign(log_odds(x.reshape(len(x), -1)))


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Examples":
    change = _with_flips if split == "train" else _beside(_learnt_from(data, fit))
    return supervised.examples(data, split, fit, seed, ("x",), change)


def _learnt_from(data: "Processed", fit: Fit) -> np.ndarray:
    return data.split("train")["x"][: fit.examples]


def _with_flips(batch: Tensors, seed: "tf.Tensor") -> Tensors:
    """x as vectors, and the number of a unit of each."""
    v = _vectors(batch["x"])
    return {"x": v, "flip": _drawn(v, v.shape[1], seed)}


def _beside(known: np.ndarray) -> "Change":
    """As `_with_flips`, and beside each example a `known` one."""
    import tensorflow as tf

    kept = tf.constant(known)

    def change(batch: Tensors, seed: "tf.Tensor") -> Tensors:
        batch = _with_flips(batch, seed)
        rows = _drawn(batch["x"], len(known), seed + 1)
        return batch | {"known": _vectors(tf.cast(tf.gather(kept, rows), tf.float32))}

    return change


def _vectors(x: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    size = math.prod(x.shape[1:])
    return tf.ensure_shape(tf.reshape(x, [tf.shape(x)[0], size]), [x.shape[0], size])


def _drawn(v: "tf.Tensor", end: int, seed: "tf.Tensor") -> "tf.Tensor":
    """For each example a number from 0 to `end`, which is excluded."""
    import tensorflow as tf

    found = tf.random.stateless_uniform(tf.shape(v)[:1], seed, 0, end, tf.int32)
    return tf.ensure_shape(found, v.shape[:1])


def initial(model: "keras.Model", fit: Fit) -> Tensors:
    """Chains of the model without weights, and what is known then of the means of all units.

    Means are in every row, because rows are what shards divide: each shard has its own.
    """
    import tensorflow as tf

    from modelmill.layers.rbm import draw

    rbm = _rbm(model)
    bias = tf.repeat(rbm.visible_bias[None], fit.batch_size, axis=0)
    state = {}
    if fit.chains == "persistent":
        state["chains"] = draw(bias, tf.zeros([2], tf.int32))
    if fit.centred:
        state["visible_means"] = tf.sigmoid(bias)
        state["hidden_means"] = tf.fill([fit.batch_size, rbm.hidden_units], 0.5)
    return state


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    import tensorflow as tf

    from modelmill.layers.rbm import contrast

    rbm, v = _rbm(model), batch["x"]
    inputs = rbm.inputs(v)
    chains = state.get("chains", v)
    start = rbm.inputs(chains) if "chains" in state else inputs
    dreamt, h = rbm.gibbs(chains, start, fit.gibbs_steps), tf.sigmoid(inputs)
    mu, offset = state.get("visible_means", 0.0), state.get("hidden_means", 0.0)
    gradients = contrast((v, h), (dreamt, rbm.hidden(dreamt)), (mu, offset))
    weights, visible, hidden = gradients
    after = {"chains": dreamt} if "chains" in state else {}
    if fit.centred:
        visible -= tf.linalg.matvec(weights, offset[0])
        hidden -= tf.linalg.matvec(weights, mu[0], transpose_a=True)
        after["visible_means"] = _running(mu, v)
        after["hidden_means"] = _running(offset, h)
    score = _score(rbm, batch, inputs)
    return Learnt(score, [fit.scale * part for part in (weights, visible, hidden)], after)


def _running(means: "tf.Tensor", values: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return means + NEWEST * (tf.reduce_mean(values, axis=0) - means)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit
) -> tuple[Score, Tensors]:
    rbm = _rbm(model)
    return _score(rbm, batch, rbm.inputs(batch["x"])), state


def _score(rbm: "Rbm", batch: Tensors, inputs: "tf.Tensor") -> Score:
    """Of examples from which hidden units get `inputs`."""
    import tensorflow as tf

    v = batch["x"]
    gap = tf.zeros_like(v[:, 0])  # where the examples are those of training
    if "known" in batch:
        gap = rbm.free_energy(v) - rbm.free_energy(batch["known"])
    loss = -rbm.pseudo_likelihood(v, batch["flip"], inputs)
    found = [loss, rbm.reconstruction_error(v, inputs), gap]
    sums = tf.stack([tf.reduce_sum(values) for values in found])
    return Score(sums, tf.cast(tf.shape(v)[0], tf.float32))


def metrics(means: list[float]) -> dict[str, float]:
    return dict(zip(METRICS, means, strict=True))


def _rbm(model: "keras.Model") -> "Rbm":
    return model.layers[-1]
