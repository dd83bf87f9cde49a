"""Reconstruction: outputs as near as possible to the inputs, by squared error."""

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.schema import Probability
from modelmill.training import supervised
from modelmill.training.supervised import (
    answer,
    as_built,
    backpropagated,
    penalised,
    squared_error,
    stateless,
)
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Examples

METRICS: Mapping[str, Better] = {"loss": "lower"}  # of an example, added over its values
ARRAYS = {"x": "values"}
INPUTS = ("x",)
STATE = "pass"

begin, initial = as_built, stateless


class Fit(supervised.Fit):
    """How an autoencoder is trained.

    Attributes:
        corruption: share of the input values set to zero at random, others in every epoch.
    """

    corruption: Probability = 0.0


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """Any examples, and as many outputs as they have values."""
    shape = tuple(meta["input_shape"])
    return Spec.examples(shape, math.prod(shape))


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Examples":
    return supervised.examples(data, split, fit, seed, ("x",), partial(corrupted, fit.corruption))


def corrupted(share: float, batch: Tensors, seed: "tf.Tensor") -> Tensors:
    """The batch with a share of x set to zero, and the whole of it as `whole`."""
    import tensorflow as tf

    x = batch["x"]
    if not share:
        return {"x": x, "whole": x}
    lost = tf.random.stateless_uniform(tf.shape(x), seed) < share
    return {"x": tf.where(lost, 0.0, x), "whole": x}


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    return backpropagated(measure, model, batch, state, fit)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit, training: bool = False
) -> tuple[Score, Tensors]:
    found = answer(model, batch, training)
    return penalised(model, squared_error(found, batch["whole"])), state


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0]}
