"""Reconstruction: outputs as near as possible to the inputs, by squared error."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

METRICS = {"loss": "lower"}
TARGETS = "x"
LOSSES = ("squared_error",)


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    return Spec(tuple(meta["input_shape"]), math.prod(meta["input_shape"]))


def score(outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
    """Sum of squared errors over all values of outputs and targets of the same shape: [1]."""
    import tensorflow as tf

    return tf.reduce_sum(tf.math.squared_difference(outputs, targets))[None]


def metrics(means: list[float]) -> dict[str, float]:
    """The squared error of one example, added over its values."""
    return {"loss": means[0]}
