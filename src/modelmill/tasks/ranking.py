"""Ranking: a restricted Boltzmann machine of what users have seen, to say what they will see next.

The visible units are the items, 1 where a user has rated one in the training split, whatever the
stars; see docs/unsupervised.md.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.schema import PositiveInt
from modelmill.training import supervised
from modelmill.training.supervised import stateless
from modelmill.training.task import Batches, Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed

# Of a user: the loss is the cross-entropy of all items that are asked for, in nats. In training
# those are the ones that the machine sees; in validation all that it does not.
METRICS: Mapping[str, Better] = {"loss": "lower", "ndcg_at_10": "higher"}
ARRAYS = {"user": "ids", "item": "ids", "rating": "stars"}
INPUTS = ("x",)
MACHINE = "a Boltzmann machine of ones and zeros"
STATE = "pass"
LENGTH = 10  # of a list

initial = stateless


class Fit(supervised.Rows):
    """How the machine is trained.

    Attributes:
        gibbs_steps: of each chain, which begins at the data (Hinton 2002).
    """

    gibbs_steps: PositiveInt


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """A user's items, ones and zeros."""
    supervised.require_numbers(meta, ARRAYS)
    return Spec.examples((meta["items"],), meta["items"])


def begin(model: "keras.Model", data: "Processed", fit: Fit) -> None:
    """Makes each item, without weights, as probable as in the data (Hinton 2010)."""
    from modelmill.layers.rbm import log_odds
    from modelmill.training.evidence import evidence

    model.layers[-1].visible_bias.assign(log_odds(evidence(data) > 0))


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> Batches:
    """Users: `x`, what they have seen, and `relevant`, what is to be found of it or beside it."""
    import numpy as np

    from modelmill.training.batches import Examples
    from modelmill.training.evidence import evidence

    x, training = evidence(data) > 0, split == "train"
    relevant = x
    if not training:
        relevant = np.zeros_like(x)
        held_out = data.split(split)
        relevant[held_out["user"], held_out["item"]] = True
    asked = relevant.any(axis=1)
    arrays = {"x": x[asked].astype(np.float32), "relevant": relevant[asked].astype(np.float32)}
    size = fit.batch_size if training else supervised.SMALLEST_MEASURED
    return Examples(arrays, {}, size, seed, fit.shuffle and training, keep_rest=not training)


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    import tensorflow as tf

    from modelmill.layers.rbm import contrast

    rbm, x = model.layers[-1], batch["x"]
    inputs = rbm.inputs(x)
    h, dreamt = tf.sigmoid(inputs), rbm.gibbs(x, inputs, fit.gibbs_steps)
    gradients = contrast((x, h), (dreamt, rbm.hidden(dreamt)))
    score = _score(rbm.visible(h), x, tf.ones_like(x))
    return Learnt(score, [fit.scale * part for part in gradients], state)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit
) -> tuple[Score, Tensors]:
    x, rbm = batch["x"], model.layers[-1]
    return _score(rbm.visible(rbm.hidden(x)), batch["relevant"], 1 - x), state


def _score(p: "tf.Tensor", relevant: "tf.Tensor", asked: "tf.Tensor") -> Score:
    """Of probabilities, for what is `relevant` among the items `asked` for [n, items]."""
    import tensorflow as tf

    losses = asked * tf.keras.losses.binary_crossentropy(relevant[..., None], p[..., None])
    length = min(LENGTH, p.shape[1])
    chosen = tf.math.top_k(tf.where(asked > 0, p, -1.0), length).indices
    gain = 1 / tf.math.log(tf.range(2, length + 2, dtype=tf.float32))
    wanted = tf.reduce_sum(relevant, axis=1)
    ideal = tf.gather(tf.cumsum(gain), tf.cast(tf.minimum(wanted, float(length)), tf.int32) - 1)
    found = tf.linalg.matvec(tf.gather(relevant, chosen, batch_dims=1), gain) / ideal
    sums = tf.stack([tf.reduce_sum(losses), tf.reduce_sum(found)])
    return Score(sums, tf.cast(tf.shape(p)[0], tf.float32))


def metrics(means: list[float]) -> dict[str, float]:
    return dict(zip(METRICS, means, strict=True))
