"""A recurrent layer that reads an image row by row; its last output decides."""

from typing import TYPE_CHECKING, Literal

from modelmill.layers.initial import ZERO, Initializer, initializer
from modelmill.models import Spec, keras_input, require_rank
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Section):
    """The recurrent layer, and what it and the output layer after it start from.

    Attributes:
        cell: of the recurrent layer.
        forget_bias: added to the forget gate of an LSTM, beside what is learnt.
        units: of the recurrent layer.
        initializer: initial values of the recurrent layer's weights; its biases start at 0.
        output_initializer: initial values of the output layer's weights.
        output_bias_initializer: initial values of the output layer's biases.
    """

    cell: Literal["rnn", "gru", "lstm"]
    forget_bias: float = 0.0
    units: PositiveInt
    initializer: Initializer
    output_initializer: Initializer
    output_bias_initializer: Initializer = ZERO


def check(net: Net, spec: Spec) -> None:
    require_rank(spec, 2, wanted="sequences [steps, features]")


def build(net: Net, spec: Spec) -> "keras.Model":
    """Sequences [batch, steps, features] -> logits."""
    import keras

    from modelmill.layers.logits import Logits
    from modelmill.layers.recurrent import Recurrent

    inputs = keras_input(spec, "x")
    _, last, *_ = Recurrent(net.cell, net.units, net.forget_bias, initializer(net.initializer))(
        inputs
    )
    logits = Logits(
        spec.outputs,
        use_bias=True,
        kernel_initializer=initializer(net.output_initializer),
        bias_initializer=initializer(net.output_bias_initializer),
    )(last)
    return keras.Model([inputs], logits)
