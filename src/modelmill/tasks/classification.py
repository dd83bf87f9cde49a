"""Classification: softmax cross-entropy in nats, accuracy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

SEQUENTIAL = False


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    return Spec(tuple(meta["input_shape"]), meta["outputs"])


def score(outputs: "tf.Tensor", targets: "tf.Tensor") -> "tf.Tensor":
    """Sums of cross-entropy and of right answers for logits [batch, classes]: [2]."""
    import tensorflow as tf

    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
    right = tf.argmax(outputs, axis=-1, output_type=targets.dtype) == targets
    return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "accuracy": means[1]}
