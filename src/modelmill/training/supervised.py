"""What tasks share that hold the outputs of a model against targets."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from modelmill.errors import ModelmillError
from modelmill.models import call
from modelmill.schema import PositiveFloat, PositiveInt, Section
from modelmill.training import settings
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Change, Examples

SMALLEST_MEASURED = 500  # examples at once, where nothing is learnt from them


class Pretrain(Section):
    """How hidden layers learn before the whole, each as a Boltzmann machine.

    Batches, shards, laps and shuffling are those of `fit`; nothing is clipped or averaged. The
    output layer learns as `fit` says, at a constant rate.

    Attributes:
        length: of each layer's learning.
        output_alone: how long the output layer then learns alone what the task asks.
        optimizer: what makes steps of gradients.
        learning_rate: what steps are multiplied by, where the schedule begins.
        schedule: how the learning rate changes.
    """

    length: settings.Length
    output_alone: settings.Length
    optimizer: settings.Optimizer
    learning_rate: PositiveFloat
    schedule: settings.AnySchedule = settings.ConstantRate(name="constant")


class Rows(settings.Fit):
    """How a model is trained on independent rows.

    Attributes:
        shuffle: whether each epoch has an order of its own; else the last examples, which do not
            fill a batch, are never learnt from.
        reduction: of a batch's losses to the number that is differentiated.
    """

    shuffle: bool = True
    reduction: Literal["mean", "sum"] = "mean"

    @property
    def scale(self) -> float:
        """What the sum of a batch's losses is multiplied by."""
        return 1 / self.batch_size if self.reduction == "mean" else 1.0


class Selected(Rows):
    """How a model is trained on independent examples.

    Attributes:
        examples: how many of the training examples, the first ones; null is all. Hidden layers
            that are trained before learn from all.
    """

    examples: PositiveInt | None = None


class Fit(Selected):
    """How a model is trained that may learn layer by layer first.

    Attributes:
        pretrain: how hidden layers learn first, which need no targets; null is without.
    """

    pretrain: Pretrain | None = None


def examples(
    data: "Processed",
    split: str,
    fit: Selected,
    seed: int,
    names: tuple[str, ...],
    change: "Change | None" = None,
    numbers: tuple[str, ...] = ("x",),
) -> "Examples":
    """Batches of the arrays of these names; integers of x are scaled as the data set says.

    Args:
        numbers: the arrays whose integers are numbers, and no ids or classes.
        change: of a batch, for training and measuring alike.
    """
    from modelmill.training.batches import Examples

    arrays, training = data.split(split), split == "train"
    count, there = fit.examples if training else None, len(arrays[names[0]])
    if count and count > there:
        raise ModelmillError(f"examples: {count:,}, of {there:,} that there are")
    return Examples(
        {name: arrays[name][:count] for name in names},
        {name: data.meta.get("scale", 1.0) if name == "x" else 1.0 for name in numbers},
        fit.batch_size if training else max(fit.batch_size, SMALLEST_MEASURED),
        seed,
        shuffle=fit.shuffle and training,
        keep_rest=not training,
        change=change,
    )


def as_built(model: "keras.Model", data: "Processed", fit: Any) -> None:
    """Begins with weights that owe nothing to the data."""


def stateless(model: "keras.Model", fit: Any) -> Tensors:
    """The state of what carries none."""
    return {}


def backpropagated(
    measure: Callable[..., tuple[Score, Tensors]],
    model: "keras.Model",
    batch: Tensors,
    state: Tensors,
    fit: Any,
) -> Learnt:
    """What the gradients of a batch's loss teach.

    Args:
        measure: the task's, which is told that it is for training.
        fit: its `scale` makes the number to be differentiated of the sum of losses.

    Raises:
        ModelmillError: a trainable variable has no part in the score.
    """
    import tensorflow as tf

    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        found, state = measure(model, batch, state, fit, training=True)
        loss = found.sums[0] * fit.scale
    gradients = tape.gradient(loss, variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if gradient is None:
            raise ModelmillError(f"the loss does not depend on the model's {variable.path}")
    return Learnt(found, gradients, state)


def answer(model: "keras.Model", batch: Tensors, training: bool) -> "tf.Tensor":
    """The one output of a model for a batch.

    Raises:
        ModelmillError: it has several.
    """
    found = call(model, batch, training)
    if isinstance(found, dict | list | tuple):
        raise ModelmillError(f"the model has {len(found)} outputs, and the task asks for one")
    return found


def squared_error(outputs: "tf.Tensor", targets: "tf.Tensor") -> Score:
    """Sum of squared errors over all values; it counts the examples.

    Raises:
        ModelmillError: the one would be broadcast against the other.
    """
    import tensorflow as tf

    if outputs.shape[1:] != targets.shape[1:]:
        raise ModelmillError(
            f"the model's outputs have shape {tuple(outputs.shape[1:])}, "
            f"their targets {tuple(targets.shape[1:])}"
        )
    sums = tf.reduce_sum(tf.math.squared_difference(outputs, targets))[None]
    return Score(sums, tf.cast(tf.shape(targets)[0], tf.float32))


def penalised(model: "keras.Model", score: Score) -> Score:
    """The score of the model's last call with what its layers add to each prediction's loss.

    That are the regularizers of weights, and whatever a layer passes to `add_loss`.
    """
    import tensorflow as tf

    if not model.losses:
        return score
    # A shard may be empty, and a mean over it no number.
    added = tf.where(score.predictions > 0, tf.add_n(model.losses) * score.predictions, 0.0)
    return score._replace(sums=tf.concat([score.sums[:1] + added, score.sums[1:]], 0))


def require_shape(meta: Mapping[str, Any], name: str, shape: tuple[int, ...], why: str) -> None:
    """Raises ModelmillError unless an example of an array has this shape, as `meta` has it."""
    found = tuple(meta["arrays"][name]["shape"][1:])
    if found != shape:
        raise ModelmillError(f"array {name}: examples of shape {found}, {why} {shape}")


def require_numbers(meta: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises ModelmillError unless an example of each of these arrays is a number."""
    for name in names:
        require_shape(meta, name, (), "where each is one number:")
