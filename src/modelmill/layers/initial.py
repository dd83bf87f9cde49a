"""Initial values as params.yaml names them."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from modelmill.schema import PositiveFloat, Section

if TYPE_CHECKING:
    import keras


class Constant(Section):
    """The same value everywhere.

    Attributes:
        value: that one.
    """

    name: Literal["constant"]
    value: float = 0.0


class Uniform(Section):
    """Evenly from [-limit, limit].

    Attributes:
        limit: the largest absolute value.
    """

    name: Literal["uniform"]
    limit: PositiveFloat


class Normal(Section):
    """From a normal distribution around 0.

    Attributes:
        stddev: its standard deviation.
    """

    name: Literal["normal"]
    stddev: PositiveFloat


class TruncatedNormal(Section):
    """From a normal distribution around 0, again where beyond two standard deviations.

    Attributes:
        stddev: the standard deviation.
    """

    name: Literal["truncated_normal"]
    stddev: PositiveFloat


class GlorotUniform(Section):
    """Glorot and Bengio 2010: evenly from ±gain * sqrt(6 / (fan_in + fan_out)).

    Attributes:
        gain: what the paper's limit is multiplied by.
    """

    name: Literal["glorot_uniform"]
    gain: PositiveFloat = 1.0


Initializer = Annotated[
    Constant | Uniform | Normal | TruncatedNormal | GlorotUniform, Field(discriminator="name")
]

ZERO = Constant(name="constant", value=0.0)


def initializer(settings: Initializer) -> "keras.initializers.Initializer":
    """The Keras initializer for a block of params.yaml."""
    import keras

    match settings:
        case Constant():
            return keras.initializers.Constant(settings.value)
        case Uniform():
            return keras.initializers.RandomUniform(-settings.limit, settings.limit)
        case Normal():
            return keras.initializers.RandomNormal(stddev=settings.stddev)
        case TruncatedNormal():
            return keras.initializers.TruncatedNormal(stddev=settings.stddev)
        case GlorotUniform():
            return keras.initializers.VarianceScaling(
                settings.gain**2, mode="fan_avg", distribution="uniform"
            )


class Layers(Section):
    """What all layers of a network start from: weights, and biases if they have any.

    Attributes:
        bias: whether layers add one.
        initializer: initial values of the weights.
        bias_initializer: initial values of the biases.
    """

    bias: bool
    initializer: Initializer
    bias_initializer: Initializer = ZERO

    @model_validator(mode="after")
    def _biases_are_there(self) -> "Layers":
        if not self.bias and self.bias_initializer != ZERO:
            raise ValueError("bias_initializer is for `bias: true`")
        return self

    def initial(self) -> dict[str, Any]:
        """Arguments of one Keras layer: the same initializer again would draw the same again."""
        return {
            "use_bias": self.bias,
            "kernel_initializer": initializer(self.initializer),
            "bias_initializer": initializer(self.bias_initializer),
        }
