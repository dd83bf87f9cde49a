"""Restricted Boltzmann machine (Smolensky 1986): visible and hidden units, all ones and zeros."""

from typing import TYPE_CHECKING

from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)
MACHINE = "a Boltzmann machine of ones and zeros"


class Net(Section):
    """Visible units, as many as an example has values, and hidden ones.

    Attributes:
        hidden_units: how many there are.
        initializer: initial values of the weights; hidden biases start at 0.
    """

    hidden_units: PositiveInt
    initializer: Initializer


def build(net: Net, spec: Spec) -> "keras.Model":
    """Ones and zeros of any shape -> the probabilities of the hidden units, as a code of them."""
    import keras

    from modelmill.layers.rbm import Rbm

    inputs = keras_input(spec, "x")
    layer = Rbm(net.hidden_units, initializer(net.initializer))
    return keras.Model([inputs], layer(keras.layers.Flatten()(inputs)))
