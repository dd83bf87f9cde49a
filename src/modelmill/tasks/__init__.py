"""What a model is trained for: one module per task, read by the training loop.

Each has the attributes of `Task`. What is done with the trained model is in the module of the
same name in `modelmill.evaluation`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf


class Task(Protocol):
    """The interface of a task module.

    Attributes:
        TARGETS: the array that outputs are held against: y, the inputs x, or the tokens of one
            long sequence, through which a recurrent state is carried.
        LOSSES: names that `score` knows, the usual one first.
    """

    TARGETS: Literal["x", "y", "tokens"]
    LOSSES: tuple[str, ...]

    def spec(self, meta: Mapping[str, Any], fit: Fit) -> Spec:
        """The shapes that the data set described by `meta` asks of a model."""

    def score(self, outputs: "tf.Tensor", targets: "tf.Tensor", loss: str) -> "tf.Tensor":
        """Sums over all predictions of a batch, float32 [k]; the first is the loss."""

    def metrics(self, means: list[float]) -> dict[str, float]:
        """Names for `score` divided by the number of predictions; the first is the loss."""
