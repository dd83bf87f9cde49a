"""Recurrent language model: embedding, stacked recurrent layers, softmax over the vocabulary.

With LSTM cells this is the model of Zaremba, Sutskever and Vinyals 2014.
"""

from typing import TYPE_CHECKING, Literal

from modelmill.layers.initial import ZERO, Initializer, initializer
from modelmill.models import Spec, keras_input, named
from modelmill.schema import PositiveInt, Probability, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("tokens",)


class Net(Section):
    """The embedding, the recurrent layers, and what they and the softmax start from.

    Attributes:
        cell: of the recurrent layers.
        forget_bias: added to the forget gate of an LSTM, beside what is learnt.
        embedding: numbers that stand for each token.
        units: of each recurrent layer.
        layers: recurrent ones, one upon another.
        dropout: share of the inputs of every layer and of the softmax set to zero while training;
            never along time.
        initializer: initial values of the weights.
        bias_initializer: initial values of the biases.
    """

    cell: Literal["rnn", "gru", "lstm"]
    forget_bias: float = 0.0
    embedding: PositiveInt
    units: PositiveInt
    layers: PositiveInt
    dropout: Probability = 0.0
    initializer: Initializer
    bias_initializer: Initializer = ZERO


def build(net: Net, spec: Spec) -> "keras.Model":
    """Tokens [batch, steps] and state_0, ... -> logits [batch, steps, vocabulary] and the same."""
    import keras

    from modelmill.layers.dropout import Dropout
    from modelmill.layers.recurrent import STATES, Recurrent

    per_layer = STATES[net.cell]
    tokens = keras_input(spec, "tokens")
    names = [f"state_{number}" for number in range(per_layer * net.layers)]
    states = [named(name, (net.units,)) for name in names]
    x = keras.layers.Embedding(
        spec.outputs, net.embedding, embeddings_initializer=initializer(net.initializer)
    )(tokens)
    new_states = []
    for layer in range(net.layers):
        x = Dropout(net.dropout)(x)
        x, *state = Recurrent(
            net.cell,
            net.units,
            net.forget_bias,
            initializer(net.initializer),
            initializer(net.bias_initializer),
        )(x, states[per_layer * layer : per_layer * (layer + 1)])
        new_states += state
    # As one long batch, for which TensorFlow adds the bias within the product.
    flat = keras.ops.reshape(Dropout(net.dropout)(x), (-1, net.units))
    logits = keras.layers.Dense(
        spec.outputs,
        kernel_initializer=initializer(net.initializer),
        bias_initializer=initializer(net.bias_initializer),
    )(flat)
    logits = keras.ops.reshape(logits, (-1, *tokens.shape[1:], spec.outputs))
    outputs = {"logits": logits, **dict(zip(names, new_states, strict=True))}
    return keras.Model([tokens, *states], outputs)
