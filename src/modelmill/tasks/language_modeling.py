"""Language modeling: the next token's cross-entropy in nats, and its exponential, perplexity."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

TARGETS = "tokens"
LOSSES = ("cross_entropy",)


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    assert fit.num_steps
    return Spec((fit.num_steps,), meta["vocabulary_size"])


def score(outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
    """Sum of cross-entropy for logits [batch, steps, vocabulary]: [1]."""
    import tensorflow as tf

    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
    return tf.reduce_sum(losses)[None]


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "perplexity": perplexity(means[0])}


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats, infinite where a float has no room for it."""
    return math.exp(loss) if loss < 709 else math.inf
