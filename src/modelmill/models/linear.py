"""A straight line or plane: y = xW + b."""

from typing import TYPE_CHECKING

from modelmill.models import Spec
from modelmill.params import Initializer, Section

if TYPE_CHECKING:
    import keras


class Net(Section):
    """Whether there is a b, and where W and b start."""

    bias: bool
    initializer: Initializer
    bias_initializer: Initializer | None = None


def build(net: Net, spec: Spec) -> "keras.Model":
    """One dense layer without activation."""
    import keras

    from modelmill.layers.initial import initializer

    inputs = keras.Input(spec.inputs)
    outputs = keras.layers.Dense(
        spec.outputs,
        use_bias=net.bias,
        kernel_initializer=initializer(net.initializer),
        bias_initializer=initializer(net.bias_initializer or net.initializer),
    )(inputs)
    return keras.Model(inputs, outputs)
