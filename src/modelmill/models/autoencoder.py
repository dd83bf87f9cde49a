"""Autoencoder: dense layers down to a code, and as many back up to the inputs."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from modelmill.errors import ModelmillError
from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)

Activation: TypeAlias = Literal["linear", "sigmoid", "tanh", "relu", "elu", "gelu", "silu"]


class Net(Section):
    """`hidden_units` from the inputs to the code; the way back mirrors them, and ends in a sigmoid.

    With `tied` weights each layer back up uses the transposed matrix of its counterpart (Vincent
    et al. 2008).

    Attributes:
        hidden_units: of each layer down to the code.
        activation: of the layers between the inputs, the code and the outputs.
        code: activation of the code; Hinton and Salakhutdinov 2006 have a linear one.
        tied: whether the way back has the weights of the way there.
        initializer: initial values of the weights; biases start at 0.
    """

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
    activation: Activation = "sigmoid"
    code: Activation = "sigmoid"
    tied: bool
    initializer: Initializer


def check(net: Net, spec: Spec) -> None:
    values = math.prod(spec.inputs["x"].shape)
    if values != spec.outputs:
        raise ModelmillError(f"gives back its {values} inputs, not {spec.outputs} outputs")


def build(net: Net, spec: Spec) -> "keras.Model":
    """Inputs in [0, 1] of any shape -> outputs of the same shape; biases start at zero."""
    import keras

    from modelmill.layers.tied import Transposed

    def dense(units: int, activation: str) -> keras.layers.Dense:
        kernel_initializer = initializer(net.initializer)
        return keras.layers.Dense(units, activation, kernel_initializer=kernel_initializer)

    inputs = keras_input(spec, "x")
    x = keras.layers.Flatten()(inputs)
    *between, last = net.hidden_units
    encoder = [*(dense(units, net.activation) for units in between), dense(last, net.code)]
    for layer in encoder:
        x = layer(x)
    back = [*((units, net.activation) for units in reversed(between)), (spec.outputs, "sigmoid")]
    for layer, (units, activation) in zip(reversed(encoder), back, strict=True):
        x = (Transposed(layer, activation) if net.tied else dense(units, activation))(x)
    return keras.Model([inputs], keras.layers.Reshape(inputs.shape[1:])(x))
