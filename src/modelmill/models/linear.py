"""y = xW + b on flattened inputs: a straight line, or the logits of softmax regression."""

from typing import TYPE_CHECKING

from modelmill.layers.initial import ZERO, Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Section):
    """W x + b.

    Attributes:
        bias: whether there is a b.
        initializer: initial values of W.
        bias_initializer: initial values of b.
    """

    bias: bool
    initializer: Initializer
    bias_initializer: Initializer = ZERO


def build(net: Net, spec: Spec) -> "keras.Model":
    """One dense layer without activation."""
    import keras

    from modelmill.layers.logits import Logits

    inputs = keras_input(spec, "x")
    outputs = Logits(
        spec.outputs,
        use_bias=net.bias,
        kernel_initializer=initializer(net.initializer),
        bias_initializer=initializer(net.bias_initializer),
    )(keras.layers.Flatten()(inputs))
    return keras.Model([inputs], outputs)
