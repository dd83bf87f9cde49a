"""Multi-layer perceptron: dense layers with an activation and dropout, then logits."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from modelmill.layers.initial import Layers
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveFloat, PositiveInt, Probability

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Net(Layers):
    """The hidden layers, and what they and the output layer start from.

    Attributes:
        hidden_units: of each hidden layer, from the inputs on.
        activation: of the hidden layers.
        dropout: share of each hidden layer's outputs set to zero while training.
        max_norm: the largest norm of the weights that lead into a hidden unit (Srivastava et al.
            2014); null for any.
    """

    hidden_units: Annotated[list[PositiveInt], Field(min_length=1)]
    activation: Literal["sigmoid", "tanh", "relu"]
    dropout: Probability = 0.0
    max_norm: PositiveFloat | None = None


def build(net: Net, spec: Spec) -> "keras.Model":
    """Inputs of any shape, flattened -> logits."""
    import keras

    from modelmill.layers.dropout import Dropout
    from modelmill.layers.logits import Logits

    inputs = keras_input(spec, "x")
    x = keras.layers.Flatten()(inputs)
    for units in net.hidden_units:
        bound = net.max_norm and keras.constraints.MaxNorm(net.max_norm)
        x = keras.layers.Dense(units, net.activation, kernel_constraint=bound, **net.initial())(x)
        x = Dropout(net.dropout, rectified=net.activation == "relu")(x)
    return keras.Model([inputs], Logits(spec.outputs, **net.initial())(x))
