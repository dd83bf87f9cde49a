"""A dense layer for each of two inputs, added up."""

from modelmill.models import keras_input
from modelmill.schema import PositiveInt, Section

INPUTS = ("upper", "lower")


class Net(Section):
    units: PositiveInt


def build(net, spec):
    import keras

    inputs = [keras_input(spec, name) for name in INPUTS]
    hidden = [
        keras.layers.Dense(net.units, "relu")(keras.layers.Flatten()(given)) for given in inputs
    ]
    return keras.Model(inputs, keras.layers.Dense(spec.outputs)(keras.layers.Add()(hidden)))
