"""What a model is trained for: one module per task, read by the training loop.

Each has `SEQUENTIAL` (whether the data is one long sequence whose state is carried),
``spec(meta, fit)``, ``score(outputs, targets)`` and ``metrics(means)``. What is done with the
trained model is in the module of the same name in `modelmill.evaluation`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from modelmill.models import Spec
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import tensorflow as tf


class Task(Protocol):
    """The interface of a task module."""

    SEQUENTIAL: bool

    def spec(self, meta: Mapping[str, Any], fit: Fit) -> Spec:
        """The shapes that the data set described by `meta` asks of a model."""

    def score(self, outputs: "tf.Tensor", targets: "tf.Tensor") -> "tf.Tensor":
        """Sums over all predictions of a batch, float32 [k]; the first is the loss."""

    def metrics(self, means: list[float]) -> dict[str, float]:
        """Names for `score` divided by the number of predictions; the first is the loss."""
