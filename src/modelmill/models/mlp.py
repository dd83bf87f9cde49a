"""Multi-layer perceptron: dense layers with an activation and dropout, then logits."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from modelmill.layers.initial import ZERO, Initializer, initializer
from modelmill.models import Spec
from modelmill.schema import PositiveInt, Probability, Section

if TYPE_CHECKING:
    import keras


class Net(Section):
    """`hidden_units` from the inputs on; `dropout` acts on the output of each hidden layer."""

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
    activation: Literal["sigmoid", "tanh", "relu"]
    dropout: Probability = 0.0
    bias: bool
    initializer: Initializer
    bias_initializer: Initializer = ZERO


def build(net: Net, spec: Spec) -> "keras.Model":
    """Inputs of any shape, flattened -> logits."""
    import keras

    from modelmill.layers.dropout import Dropout

    def dense(units: int, activation: str | None = None) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation,
            use_bias=net.bias,
            kernel_initializer=initializer(net.initializer),
            bias_initializer=initializer(net.bias_initializer),
        )

    inputs = keras.Input(spec.inputs)
    x = keras.layers.Flatten()(inputs)
    for units in net.hidden_units:
        x = Dropout(net.dropout)(dense(units, net.activation)(x))
    return keras.Model(inputs, dense(spec.outputs)(x))
