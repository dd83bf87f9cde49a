"""Language modeling: the next token's cross-entropy in nats, and its exponential, perplexity."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf

METRICS = {"loss": "lower", "perplexity": "lower"}
TARGETS = "tokens"
LOSSES = ("cross_entropy",)


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    assert fit.num_steps
    return Spec((fit.num_steps,), meta["vocabulary_size"])


def score(outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
    """Sum of cross-entropy for logits [batch, steps, vocabulary]: [1]."""
    import tensorflow as tf

    from modelmill.layers.cross_entropy import cross_entropy

    return tf.reduce_sum(cross_entropy(outputs, targets))[None]


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "perplexity": perplexity(means[0])}


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats, infinite where a float has no room for it."""
    return math.exp(loss) if loss < 709 else math.inf
