"""Language modeling: the next token's cross-entropy in nats, and its exponential, perplexity."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from modelmill.models import Input, Spec, call
from modelmill.reference import Better
from modelmill.schema import PositiveInt
from modelmill.training import settings
from modelmill.training.supervised import as_built, backpropagated, penalised
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Windows

METRICS: Mapping[str, Better] = {"loss": "lower", "perplexity": "lower"}
ARRAYS = {"tokens": "tokens"}
INPUTS = ("tokens",)
STATE = "pass"  # zeros at each beginning of the text

begin = as_built


class Fit(settings.Fit):
    """How a language model is trained.

    Attributes:
        num_steps: tokens in a window, the length of backpropagation through time.
        snapshots: whether the weights are kept after each lap, for texts that it wrote on the way.
        reduction: of a batch's losses to the number that is differentiated.
    """

    num_steps: PositiveInt
    snapshots: bool = False
    reduction: Literal["mean", "sum", "sum_over_steps"] = "mean"

    @property
    def scale(self) -> float:
        """What the sum of a batch's losses is multiplied by."""
        return {
            "mean": 1 / (self.batch_size * self.num_steps),
            "sum_over_steps": 1 / self.batch_size,
            "sum": 1.0,
        }[self.reduction]


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """Windows of tokens of the vocabulary."""
    return windows_of(fit.num_steps, meta["vocabulary_size"])


def windows_of(steps: int, vocabulary_size: int) -> Spec:
    """A model over windows of so many tokens."""
    return Spec({"tokens": Input((steps,), vocabulary_size)}, vocabulary_size)


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Windows":
    from modelmill.training.batches import Windows

    return Windows(data.split(split)["tokens"], fit.batch_size, fit.num_steps)


def initial(model: "keras.Model", fit: Fit) -> Tensors:
    from modelmill.layers.recurrent import zero_state

    return zero_state(model, fit.batch_size)


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    return backpropagated(measure, model, batch, state, fit)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit, training: bool = False
) -> tuple[Score, Tensors]:
    found = dict(call(model, {**batch, **state}, training))
    return penalised(model, score(found.pop("logits"), batch["following"])), found


def score(logits: "tf.Tensor", following: "tf.Tensor") -> Score:
    """Sum of cross-entropy for logits [batch, steps, vocabulary] and tokens [batch, steps]."""
    import tensorflow as tf

    from modelmill.layers.cross_entropy import cross_entropy

    sums = tf.reduce_sum(cross_entropy(logits, following))[None]
    return Score(sums, tf.cast(tf.size(following), tf.float32))


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "perplexity": perplexity(means[0])}


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats, infinite where a float has no room for it."""
    return math.exp(loss) if loss < 709 else math.inf
