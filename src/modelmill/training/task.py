"""What the training loop asks of a task, which knows what is learnt and how."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed

Tensors: TypeAlias = "dict[str, tf.Tensor]"  # by name, the batch along the first axis
Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"


class Batches(Protocol):
    """One pass over the data is `steps` batches."""

    steps: int
    signature: "tf.TensorSpec"

    def load(self, epoch: int, first: int, count: int) -> "tf.Tensor":
        """What `batch` needs for batches `first` to `first + count` of a pass."""

    def batch(self, loaded: "tf.Tensor", index: "tf.Tensor") -> Tensors:
        """Inputs and targets, by name, of the batch `index` places after the first one loaded."""


class Score(NamedTuple):
    """What a batch is worth.

    Attributes:
        sums: over its predictions, float32 [k]; the first is the loss.
        predictions: how many those are: digits, words, ratings that are known.
    """

    sums: "tf.Tensor"
    predictions: "tf.Tensor | float"


class Learnt(NamedTuple):
    """What was learnt from a batch, or from a shard of one.

    Attributes:
        gradients: of the model's trainable variables, in their order; those of shards are added.
        state: for the next batch.
    """

    score: Score
    gradients: "list[Gradient]"
    state: Tensors


class Task(Protocol):
    """The interface of a module of `modelmill.tasks`.

    Attributes:
        METRICS: names of what is measured while training, the loss first, and which way is better.
        UNLEARNT: which of them say nothing of the data that are learnt from, if any do not.
        ARRAYS: what it needs of a data set, by name: values, classes, tokens, ids.
        INPUTS: names of what a model is given.
        STATE: when the state starts anew: at each pass over the data, or never in a training.
        MACHINE: what a model has to be, where its inputs do not say it: an architecture for the
            task has the same.
        Fit: the keys of `fit` in params.yaml.
    """

    METRICS: Mapping[str, Better]
    ARRAYS: Mapping[str, str]
    INPUTS: tuple[str, ...]
    STATE: Literal["pass", "training"]
    Fit: type[Fit]

    def spec(self, meta: Mapping[str, Any], fit: Any) -> Spec:
        """What the data set described by `meta` asks of a model.

        Raises:
            ModelmillError: its arrays have shapes that the task has no use for.
        """

    def batches(self, data: "Processed", split: str, fit: Any, seed: int) -> Batches:
        """Batches to learn from if `split` is train, else to measure on: in order, as much of it
        as batches of the task's kind can hold.
        """

    def begin(self, model: "keras.Model", data: "Processed", fit: Any) -> None:
        """Before the first step: gives the model what its initial weights owe to the data.

        Raises:
            ModelmillError: the model is none for the task, as only its layers say.
        """

    def initial(self, model: "keras.Model", fit: Any) -> Tensors:
        """The state that the first batch is met with."""

    def learn(self, model: "keras.Model", batch: Tensors, state: Tensors, fit: Any) -> Learnt:
        """In the graph: what a batch, or a shard of one, teaches; it changes no variable."""

    def measure(
        self, model: "keras.Model", batch: Tensors, state: Tensors, fit: Any
    ) -> tuple[Score, Tensors]:
        """In the graph: the score of a batch, and the state for the next."""

    def metrics(self, means: list[float]) -> dict[str, float]:
        """The values of `METRICS`, from the sums of a score divided by its predictions."""
