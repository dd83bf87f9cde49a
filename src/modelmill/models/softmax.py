"""Softmax regression: logits = xW + b on flattened inputs."""

from typing import TYPE_CHECKING

from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec
from modelmill.schema import Section

if TYPE_CHECKING:
    import keras


class Net(Section):
    """Whether there is a b (zero at the start), and where W starts."""

    bias: bool
    initializer: Initializer


def build(net: Net, spec: Spec) -> "keras.Model":
    """One dense layer; its outputs are logits."""
    import keras

    inputs = keras.Input(spec.inputs)
    logits = keras.layers.Dense(
        spec.outputs, use_bias=net.bias, kernel_initializer=initializer(net.initializer)
    )(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, logits)
