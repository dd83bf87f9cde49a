"""y = xW + b on flattened inputs: a straight line, or the logits of softmax regression."""

from typing import TYPE_CHECKING

from modelmill.layers.initial import Layers
from modelmill.models import Spec, keras_input

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Layers):
    """W x + b: whether there is a b, and where W and b start."""


def build(net: Net, spec: Spec) -> "keras.Model":
    """One dense layer without activation."""
    import keras

    from modelmill.layers.logits import Logits

    inputs = keras_input(spec, "x")
    outputs = Logits(spec.outputs, **net.initial())(keras.layers.Flatten()(inputs))
    return keras.Model([inputs], outputs)
