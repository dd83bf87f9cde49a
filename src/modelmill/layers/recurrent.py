"""Recurrent layers whose time steps are unrolled in the graph and whose state is explicit."""

from typing import Literal

import keras
import tensorflow as tf

Cell = Literal["rnn", "gru", "lstm"]
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STATES = {"rnn": 1, "gru": 1, "lstm": 2}


class Recurrent(keras.layers.Layer):
    """A simple (tanh), gated (Cho et al. 2014) or LSTM (Zaremba et al. 2014) recurrent layer.

    The inputs of all time steps are projected in one product; only the product with the
    previous output is left inside the loop. An LSTM's gates are stored in the order input,
    forget, output, candidate; a GRU's as reset, update, candidate, the reset gate applied after
    the product (Keras' `reset_after`).

    Call arguments:
        inputs: float [batch, steps, features], the number of steps known.
        state: `STATES[cell]` tensors [batch, units]; None is the start of a sequence, zeros.

    Returns:
        Outputs [batch, steps, units], then the state after the last step.
    """

    def __init__(
        self,
        cell: Cell,
        units: int,
        forget_bias: float = 0.0,
        kernel_initializer: keras.initializers.Initializer | str = "glorot_uniform",
        bias_initializer: keras.initializers.Initializer | str = "zeros",
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.cell, self.units, self.forget_bias = cell, units, forget_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape: tuple[int, ...], *_: object) -> None:
        width = GATES[self.cell] * self.units
        shared = {"initializer": self.kernel_initializer}
        # One matrix over [input, previous output], as TensorFlow 1 had it, so that an initial
        # value that depends on the shape is the same; the parts are sliced from it.
        features = input_shape[-1]
        self.kernel = self.add_weight(shape=(features + self.units, width), name="kernel", **shared)
        self.bias = self.add_weight(shape=(width,), name="bias", initializer=self.bias_initializer)
        self.features = features

    def call(
        self, inputs: tf.Tensor, state: list[tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, ...]:
        kernel = tf.convert_to_tensor(self.kernel)
        bias = tf.convert_to_tensor(self.bias)
        recurrent = kernel[self.features :]
        batch, steps = tf.shape(inputs)[0], inputs.shape[1]
        state = state or [tf.zeros([batch, self.units])] * STATES[self.cell]
        # Time first: each step is then one contiguous block.
        flat = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [-1, self.features])
        projected = tf.reshape(
            tf.matmul(flat, kernel[: self.features]) + bias, [steps, batch, bias.shape[0]]
        )
        step = getattr(self, f"_{self.cell}")
        outputs = []
        for now in tf.unstack(projected, steps):
            state = step(now, state, recurrent)
            outputs.append(state[0])
        return (tf.transpose(tf.stack(outputs), [1, 0, 2]), *state)

    def _rnn(
        self, projected: tf.Tensor, state: list[tf.Tensor], kernel: tf.Tensor
    ) -> list[tf.Tensor]:
        return [tf.tanh(projected + tf.matmul(state[0], kernel))]

    def _gru(
        self, projected: tf.Tensor, state: list[tf.Tensor], kernel: tf.Tensor
    ) -> list[tf.Tensor]:
        (h,) = state
        recurrent = tf.matmul(h, kernel)
        two = 2 * self.units
        gates = tf.sigmoid(projected[:, :two] + recurrent[:, :two])
        reset, update = tf.split(gates, 2, axis=1)
        candidate = tf.tanh(projected[:, two:] + reset * recurrent[:, two:])
        return [candidate + update * (h - candidate)]

    def _lstm(
        self, projected: tf.Tensor, state: list[tf.Tensor], kernel: tf.Tensor
    ) -> list[tf.Tensor]:
        h, c = state
        z = projected + tf.matmul(h, kernel)
        i, f, o, candidate = tf.split(z, 4, axis=1)
        c = tf.sigmoid(f + self.forget_bias) * c + tf.sigmoid(i) * tf.tanh(candidate)
        return [tf.sigmoid(o) * tf.tanh(c), c]
