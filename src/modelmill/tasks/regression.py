"""Regression: squared error."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

METRICS = {"loss": "lower"}
TARGETS = "y"
LOSSES = ("squared_error",)


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    return Spec(tuple(meta["input_shape"]), meta["outputs"])


def score(outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
    """Sum of squared errors of outputs and targets [batch, outputs]: [1]."""
    import tensorflow as tf

    return tf.reduce_sum(tf.math.squared_difference(outputs, targets))[None]


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0]}
