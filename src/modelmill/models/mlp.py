"""Multi-layer perceptron: dense layers with an activation and dropout, then logits."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from modelmill.layers.initial import ZERO, Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveFloat, PositiveInt, Probability, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Section):
    """`hidden_units` from the inputs on; `dropout` acts on the output of each hidden layer.

    Attributes:
        max_norm: of the weights that lead into a hidden unit (Srivastava et al. 2014).
    """

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
    activation: Literal["sigmoid", "tanh", "relu"]
    dropout: Probability = 0.0
    max_norm: PositiveFloat | None = None
    bias: bool
    initializer: Initializer
    bias_initializer: Initializer = ZERO


def build(net: Net, spec: Spec) -> "keras.Model":
    """Inputs of any shape, flattened -> logits."""
    import keras

    from modelmill.layers.dropout import Dropout
    from modelmill.layers.logits import Logits

    def initial() -> dict[str, Any]:
        """For one layer: the same initializer again would draw the same values again."""
        return {
            "use_bias": net.bias,
            "kernel_initializer": initializer(net.initializer),
            "bias_initializer": initializer(net.bias_initializer),
        }

    inputs = keras_input(spec, "x")
    x = keras.layers.Flatten()(inputs)
    for units in net.hidden_units:
        bound = net.max_norm and keras.constraints.MaxNorm(net.max_norm)
        x = keras.layers.Dense(units, net.activation, kernel_constraint=bound, **initial())(x)
        x = Dropout(net.dropout)(x)
    return keras.Model([inputs], Logits(spec.outputs, **initial())(x))
