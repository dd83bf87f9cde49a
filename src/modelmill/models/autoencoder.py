"""Autoencoder: sigmoid layers down to a code, and as many back up to the inputs."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras


class Net(Section):
    """`hidden_units` from the inputs to the code; the way back mirrors them.

    With `tied` weights each layer back up uses the transposed matrix of its counterpart (Vincent
    et al. 2008).
    """

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
    tied: bool
    initializer: Initializer


def build(net: Net, spec: Spec) -> "keras.Model":
    """Inputs in [0, 1] of any shape -> outputs of the same shape; biases start at zero."""
    import keras

    from modelmill.layers.tied import Transposed

    inputs = keras.Input(spec.inputs)
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
    return keras.Model(inputs, keras.layers.Reshape(spec.inputs)(x))
