"""Rating: squared error of the stars that a user gives to an item."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Input, Spec, call
from modelmill.reference import Better
from modelmill.training import supervised
from modelmill.training.supervised import (
    as_built,
    backpropagated,
    penalised,
    squared_error,
    stateless,
)
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Examples

METRICS: Mapping[str, Better] = {"loss": "lower", "rmse": "lower"}
ARRAYS = {"user": "ids", "item": "ids", "rating": "stars"}
INPUTS = ("user", "item")
STATE = "pass"

Fit = supervised.Selected
begin, initial = as_built, stateless


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """One user and one item an example, for one value: the rating."""
    supervised.require_numbers(meta, ARRAYS)
    return Spec({"user": Input((), meta["users"]), "item": Input((), meta["items"])}, 1)


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Examples":
    return supervised.examples(data, split, fit, seed, tuple(ARRAYS))


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    return backpropagated(measure, model, batch, state, fit)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit, training: bool = False
) -> tuple[Score, Tensors]:
    """The squared errors twice: as the loss, with what the model adds to it, and as they are."""
    import tensorflow as tf

    rating = tf.cast(batch["rating"], tf.float32)[:, None]
    score = squared_error(call(model, batch, training), rating)
    return penalised(model, score._replace(sums=tf.tile(score.sums, [2]))), state


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "rmse": means[1] ** 0.5}
