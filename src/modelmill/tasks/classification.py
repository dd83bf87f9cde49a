"""Classification: softmax cross-entropy in nats, accuracy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

METRICS = {"loss": "lower", "accuracy": "higher"}
TARGETS = "y"
LOSSES = ("cross_entropy", "half_squared_error")


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    return Spec(tuple(meta["input_shape"]), meta["outputs"])


def score(outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
    """Sums of the losses and of right answers for logits [batch, classes]: [2].

    ``half_squared_error`` is that of a sigmoid for each class: sum((sigmoid(z) - y)^2) / 2 over
    the classes, y being 1 for the right one and 0 for the others.
    """
    import tensorflow as tf

    if loss == "cross_entropy":
        # The kernel itself: with op determinism, tf.nn's function would take 20 to do the same.
        losses, _ = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=outputs, labels=targets)
    else:
        losses = tf.nn.l2_loss(tf.sigmoid(outputs) - tf.one_hot(targets, outputs.shape[-1]))
    right = tf.argmax(outputs, axis=-1, output_type=targets.dtype) == targets
    return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "accuracy": means[1]}
