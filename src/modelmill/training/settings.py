"""The typed keys of `fit` in params.yaml: how a model is trained."""

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from modelmill.runtime import Precision
from modelmill.schema import PositiveFloat, PositiveInt, Probability, Section


class Duration(NamedTuple):
    """A length of training as a person writes it: ``13 epochs`` or ``1000 steps``."""

    number: int
    unit: Literal["epochs", "steps"]

    def steps(self, steps_per_epoch: int) -> int:
        return self.number * (steps_per_epoch if self.unit == "epochs" else 1)


def parse_duration(value: object) -> Duration:
    """``13 epochs``, ``1 epoch``, ``1000 steps`` (a ``_`` or nothing may replace the space)."""
    match = re.fullmatch(r"([1-9]\d*)[ _]?(epoch|step)s?", str(value))
    if not match:
        raise ValueError("expected a length such as '13 epochs' or '1000 steps'")
    return Duration(int(match[1]), "epochs" if match[2] == "epoch" else "steps")


Length = Annotated[
    Duration,
    PlainValidator(parse_duration),
    PlainSerializer(lambda duration: f"{duration.number} {duration.unit}"),
]


class ConstantRate(Section):
    name: Literal["constant"]


class ExponentialDecay(Section):
    """rate * decay ** (progress / every), in whole steps of `every` if `staircase`."""

    name: Literal["exponential"]
    decay: Annotated[float, Field(gt=0, le=1)]
    every: Length
    staircase: bool = True


class DecayAfter(Section):
    """rate for the first `epoch` epochs, then multiplied by `decay` at each further one."""

    name: Literal["decay_after"]
    epoch: PositiveInt
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5


Schedule = Annotated[ConstantRate | ExponentialDecay | DecayAfter, Field(discriminator="name")]


class Sgd(Section):
    """Plain gradient descent."""

    name: Literal["sgd"]


class RmsProp(Section):
    """Hinton's RMSProp, epsilon inside the root as in TensorFlow 1."""

    name: Literal["rmsprop"]
    rho: Probability = 0.9
    momentum: Probability = 0.0
    epsilon: PositiveFloat = 1e-10
    initial_accumulator: Annotated[float, Field(ge=0)] = 1.0


class Adam(Section):
    """Kingma and Ba 2015, the form before section 2.1 (epsilon hat) as in TensorFlow 1."""

    name: Literal["adam"]
    beta_1: Probability = 0.9
    beta_2: Probability = 0.999
    epsilon: PositiveFloat = 1e-8


Optimizer = Annotated[Sgd | RmsProp | Adam, Field(discriminator="name")]


class Stop(Section):
    """Ends a training once `metric` is not `min_change` below its best for `patience` laps.

    The weights kept are those of the last lap, not of the best one.
    """

    metric: Literal["loss", "validation_loss"]
    min_change: Annotated[float, Field(ge=0)] = 0.0
    patience: PositiveInt = 1


class Fit(Section):
    """How a model is trained.

    Attributes:
        length: at most, where `stop` may end it earlier.
        num_steps: window of a task over one long sequence, in tokens.
        validate_every: a lap, after which everything is measured; one given in steps ends with
            the epoch at the latest.
        snapshots: whether the weights are kept after each lap, for pictures of how they grew.
        shards: parts of a batch that are computed side by side, the cores divided among them;
            1 is for models so small that one core is fastest.
        precision: of the operands of large products while training; weights are always float32.
        loss: one of the task's `LOSSES`; None is the first.
        reduction: of a batch's losses to the number that is differentiated.
        corruption: share of the input values set to zero at random, where inputs are targets.
        clip_norm: the largest joint norm of all gradients.
    """

    length: Length
    stop: Stop | None = None
    batch_size: PositiveInt
    num_steps: PositiveInt | None = None
    shuffle: bool = True
    validate_every: Length = Duration(1, "epochs")
    snapshots: bool = False
    shards: PositiveInt = 1
    precision: Precision = "float32"
    loss: str | None = None
    reduction: Literal["mean", "sum", "sum_over_steps"] = "mean"
    corruption: Probability = 0.0
    optimizer: Optimizer
    learning_rate: PositiveFloat
    schedule: Schedule = ConstantRate(name="constant")
    clip_norm: PositiveFloat | None = None

    @model_validator(mode="after")
    def _shards_fit_batch(self) -> "Fit":
        if self.shards > self.batch_size:
            raise ValueError(f"shards ({self.shards}) exceed batch_size ({self.batch_size})")
        return self
