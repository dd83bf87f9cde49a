"""Autoencoder: sigmoid layers down to a code, and as many back up to the inputs."""

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from modelmill.errors import ModelmillError
from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Section):
    """`hidden_units` from the inputs to the code; the way back mirrors them.

    With `tied` weights each layer back up uses the transposed matrix of its counterpart (Vincent
    et al. 2008).

    Attributes:
        hidden_units: of each layer down to the code.
        tied: whether the way back has the weights of the way there.
        initializer: initial values of the weights; biases start at 0.
    """

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
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

    inputs = keras_input(spec, "x")
    x = keras.layers.Flatten()(inputs)
    encoder = [
        keras.layers.Dense(units, "sigmoid", kernel_initializer=initializer(net.initializer))
        for units in net.hidden_units
    ]
    for layer in encoder:
        x = layer(x)
    for layer, units in zip(
        reversed(encoder), [*reversed(net.hidden_units[:-1]), spec.outputs], strict=True
    ):
        if net.tied:
            x = Transposed(layer, "sigmoid")(x)
        else:
            kernel_initializer = initializer(net.initializer)
            x = keras.layers.Dense(units, "sigmoid", kernel_initializer=kernel_initializer)(x)
    return keras.Model([inputs], keras.layers.Reshape(inputs.shape[1:])(x))
