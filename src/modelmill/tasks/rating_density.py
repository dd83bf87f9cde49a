"""Rating density: restricted Boltzmann machines made to find what users gave to items probable.

Salakhutdinov, Mnih and Hinton 2007; see docs/unsupervised.md. What is learnt from, and later
predicted from, is the ratings of the training split alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from modelmill.models import Input, Spec, call
from modelmill.reference import Better
from modelmill.schema import PositiveInt
from modelmill.training import supervised
from modelmill.training.supervised import squared_error, stateless
from modelmill.training.task import Batches, Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.layers.softmax_rbm import SoftmaxRbm

# Of a rating: in training one that the machine sees, in validation one that it does not.
METRICS: Mapping[str, Better] = {"loss": "lower", "rmse": "lower"}
ARRAYS = {"user": "ids", "item": "ids", "rating": "stars"}
INPUTS = ("user", "item")
MACHINE = "Boltzmann machines of ratings"
STATE = "pass"

initial = stateless


class Fit(supervised.Rows):
    """How Boltzmann machines of ratings are trained.

    Attributes:
        rows: what a machine sees at once: an item's ratings by all users, or a user's of all
            items. Two machines learn side by side; `batch_size` is that of the first one's rows,
            and each row of the other moves the weights as much.
        gibbs_steps: of each chain, which begins at the data (Hinton 2002), in the first epochs.
        grow_every: after so many epochs it takes one step more.
    """

    rows: Annotated[list[Literal["item", "user"]], Field(min_length=1)]
    gibbs_steps: PositiveInt
    grow_every: PositiveInt

    @model_validator(mode="after")
    def _rows_differ(self) -> "Fit":
        if len(set(self.rows)) < len(self.rows):
            raise ValueError("rows: each kind is there once")
        return self


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """A user, an item, and the stars that are known of them, for one value: the rating."""
    supervised.require_numbers(meta, ARRAYS)
    users, items, states = meta["users"], meta["items"], meta["stars"] + 1
    known = {"item": Input((users,), states), "user": Input((items,), states)}
    rows = {f"{row}_stars": known[row] for row in fit.rows}
    return Spec({"user": Input((), users), "item": Input((), items), **rows}, 1)


def begin(model: "keras.Model", data: "Processed", fit: Fit) -> None:
    """Makes each state, without weights, as probable as in the data (Hinton 2010)."""
    from modelmill.layers.softmax_rbm import log_shares
    from modelmill.training.evidence import by_row, evidence

    tables = by_row(evidence(data))
    for name, rbm in _machines(model).items():
        rbm.visible_bias.assign(log_shares(tables[name], rbm.states))


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> Batches:
    """Rows to learn from; single ratings, with what is known, to measure on."""
    from modelmill.training.batches import Examples
    from modelmill.training.evidence import Rows, by_row, evidence, with_evidence

    known = evidence(data)
    if split == "train":
        tables = {f"{row}_stars": by_row(known)[f"{row}_stars"] for row in fit.rows}
        return Rows(tables, fit.batch_size, seed, fit.shuffle)
    held_out = {name: data.split(split)[name] for name in ARRAYS}
    size, change = max(fit.batch_size, supervised.SMALLEST_MEASURED), with_evidence(known)
    return Examples(held_out, {}, size, seed, shuffle=False, keep_rest=True, change=change)


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    import tensorflow as tf

    from modelmill.layers.rbm import contrast

    steps = fit.gibbs_steps + batch["epoch"][0] // fit.grow_every
    gradients, scores = [], []
    for name, rbm in _machines(model).items():
        stars = batch[name]
        v = rbm.one_hot(stars)
        inputs = rbm.inputs(v)
        h, dreamt = tf.sigmoid(inputs), rbm.gibbs(v, inputs, steps)
        gradients += contrast((v, h), (dreamt, rbm.hidden(dreamt)))
        scores.append(_known(stars, rbm.expected(h)))
    sums, counts = (tf.add_n(parts) for parts in zip(*scores, strict=True))
    return Learnt(Score(tf.fill([2], sums), counts), [fit.scale * g for g in gradients], state)


def _known(stars: "tf.Tensor", expected: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
    """The squared errors of what is known, added up, and how many they are."""
    import tensorflow as tf

    known = tf.cast(stars > 0, tf.float32)
    errors = known * tf.math.squared_difference(expected, tf.cast(stars, tf.float32))
    return tf.reduce_sum(errors), tf.reduce_sum(known)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit
) -> tuple[Score, Tensors]:
    import tensorflow as tf

    rating = tf.cast(batch["rating"], tf.float32)[:, None]
    score = squared_error(call(model, batch, training=False), rating)
    return score._replace(sums=tf.tile(score.sums, [2])), state


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "rmse": means[1] ** 0.5}


def _machines(model: "keras.Model") -> "dict[str, SoftmaxRbm]":
    """By the name of what they see, in the order of the model's weights."""
    named = {layer.name: layer for layer in model.layers if layer.name.endswith("_rbm")}
    return {name.removesuffix("_rbm") + "_stars": layer for name, layer in named.items()}
