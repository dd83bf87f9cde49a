"""The typed keys of `fit` in params.yaml: how a model is trained."""

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from modelmill.schema import PositiveFloat, PositiveInt, Probability, Section

SHOWN = 10  # validation examples whose outputs may be kept
DURATION = re.compile(r"([1-9]\d*)[ _]?(epoch|step)s?")


class Duration(NamedTuple):
    """A length of training as a person writes it: ``13 epochs`` or ``1000 steps``."""

    number: int
    unit: Literal["epochs", "steps"]

    def __str__(self) -> str:
        return f"{self.number} {self.unit.removesuffix('s') if self.number == 1 else self.unit}"

    def steps(self, steps_per_epoch: int) -> int:
        return self.number * (steps_per_epoch if self.unit == "epochs" else 1)


def parse_duration(value: object) -> Duration:
    """``13 epochs``, ``1 epoch``, ``1000 steps`` (a ``_`` or nothing may replace the space)."""
    match = DURATION.fullmatch(str(value))
    if not match:
        raise ValueError("expected a length such as '13 epochs' or '1000 steps'")
    return Duration(int(match[1]), "epochs" if match[2] == "epoch" else "steps")


Length = Annotated[
    Duration,
    PlainValidator(parse_duration),
    PlainSerializer(lambda duration: f"{duration.number} {duration.unit}"),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"}),
]


class Schedule(Section):
    """How the learning rate changes.

    Attributes:
        warmup: how long it rises evenly from 0 first.
    """

    warmup: Length | None = None


class ConstantRate(Schedule):
    """The same rate all the time."""

    name: Literal["constant"]


class ExponentialDecay(Schedule):
    """rate * decay ** (progress / every), in whole steps of `every` if `staircase`.

    Attributes:
        decay: what the rate is multiplied by after each `every`.
        every: how long that takes.
        staircase: whether it falls in steps, or evenly.
    """

    name: Literal["exponential"]
    decay: Annotated[float, Field(gt=0, le=1)]
    every: Length
    staircase: bool = True


class DecayAfter(Schedule):
    """rate for the first `epoch` epochs, then multiplied by `decay` at each further one.

    Attributes:
        epoch: how many keep the rate.
        decay: what it is multiplied by at each epoch after those.
    """

    name: Literal["decay_after"]
    epoch: PositiveInt
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5


class Cosine(Schedule):
    """Falls along half a cosine over the whole length (Loshchilov and Hutter 2017).

    Attributes:
        floor: the share of the rate that is left at the end.
    """

    name: Literal["cosine"]
    floor: Probability = 0.0


class Linear(Schedule):
    """Falls evenly over the whole length.

    Attributes:
        floor: the share of the rate that is left at the end.
    """

    name: Literal["linear"]
    floor: Probability = 0.0


AnySchedule = Annotated[
    ConstantRate | ExponentialDecay | DecayAfter | Cosine | Linear, Field(discriminator="name")
]


class Sgd(Section):
    """Gradient descent, with Polyak's momentum or Nesterov's (Sutskever et al. 2013).

    Attributes:
        momentum: share of the last step that the next one keeps.
        nesterov: whether the gradient is taken, in effect, where momentum leads.
        weight_decay: added to the gradients of matrices, kernels and embeddings, times their
            values.
    """

    name: Literal["sgd"]
    momentum: Probability = 0.0
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class RmsProp(Section):
    """Hinton's RMSProp, epsilon inside the root as in TensorFlow 1.

    Attributes:
        rho: share of the mean square of gradients that each step keeps.
        momentum: share of the last step that the next one keeps.
        epsilon: added to the mean square.
        initial_accumulator: where the mean square starts.
    """

    name: Literal["rmsprop"]
    rho: Probability = 0.9
    momentum: Probability = 0.0
    epsilon: PositiveFloat = 1e-10
    initial_accumulator: Annotated[float, Field(ge=0)] = 1.0


class Adam(Section):
    """Kingma and Ba 2015, the form before section 2.1 (epsilon hat) as in TensorFlow 1.

    Attributes:
        beta_1: share of the mean gradient that each step keeps.
        beta_2: share of the mean square of gradients that each step keeps.
        epsilon: added to the root of the mean square.
        weight_decay: share of matrices, kernels and embeddings, times the rate, taken off at
            each step, whatever their gradients (AdamW: Loshchilov and Hutter 2019).
    """

    name: Literal["adam"]
    beta_1: Probability = 0.9
    beta_2: Probability = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


Optimizer = Annotated[Sgd | RmsProp | Adam, Field(discriminator="name")]


class Stop(Section):
    """Ends a training once `metric` is not `min_change` better than its best for `patience` laps.

    Attributes:
        metric: a column of the history: loss, validation_accuracy, ...
        min_change: by which it has to be better to count.
        patience: laps (see `validate_every`) without such a one.
    """

    metric: str
    min_change: Annotated[float, Field(ge=0)] = 0.0
    patience: PositiveInt = 1


class Fit(Section):
    """How any model is trained; a task adds keys of its own.

    Attributes:
        length: of the training, at most where `stop` may end it earlier.
        stop: when it ends earlier; null for never.
        batch_size: examples, or sequences, in a step.
        validate_every: a lap, after which everything is measured; one given in steps ends with
            the epoch at the latest. Null is an epoch, or a tenth of the length if that is less.
        keep: the weights of the last lap, or of the one that was best by `keep_by`.
        keep_by: a column of the history, measured on validation data.
        snapshots: whether the weights are kept after each lap, for pictures of how a line and a
            writer grew; ``outputs``, for those of an autoencoder, keeps only what they make of ten
            validation examples. Of other models nothing is drawn from them.
        shards: parts of a batch that are computed side by side, by a core each where there are so
            many; 1 is for models so small that one core is fastest.
        optimizer: what makes steps of gradients.
        learning_rate: what steps are multiplied by, where the schedule begins.
        schedule: how the learning rate changes.
        clip_norm: the largest joint norm of all gradients; null for any.
        average: the share of the past in moving averages of the weights, which are then what is
            validated and kept; null is without.
    """

    length: Length
    stop: Stop | None = None
    batch_size: PositiveInt
    validate_every: Length | None = None
    keep: Literal["last", "best"] = "last"
    keep_by: str = "validation_loss"
    snapshots: bool | Literal["outputs"] = False
    shards: PositiveInt = 1
    optimizer: Optimizer
    learning_rate: PositiveFloat
    schedule: AnySchedule = ConstantRate(name="constant")
    clip_norm: PositiveFloat | None = None
    average: Probability | None = None

    def lap(self, steps_per_epoch: int) -> Duration:
        """`validate_every`, or what it is where nothing is said."""
        tenth = max(self.length.steps(steps_per_epoch) // 10, 1)
        default = Duration(tenth, "steps") if tenth < steps_per_epoch else Duration(1, "epochs")
        return self.validate_every or default

    @model_validator(mode="after")
    def _shards_fit_batch(self) -> "Fit":
        if self.shards > self.batch_size:
            raise ValueError(f"shards ({self.shards}) exceed batch_size ({self.batch_size})")
        return self
