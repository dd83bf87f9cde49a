"""Recurrent layers with explicit state and gradients of their own.

Backward, a time step does only what depends on the one after it; the gradients of the weights are
one large product each, after the loop. What automatic differentiation would make of the same
loops adds up a small product for every step.
"""

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

Cell = Literal["rnn", "gru", "lstm"]
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STATES = {"rnn": 1, "gru": 1, "lstm": 2}
Tensors = tuple[tf.Tensor, ...]
Gradient = Callable[..., Tensors]
sigmoid_gradient, tanh_gradient = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad


class Recurrent(keras.layers.Layer):
    """A simple (tanh), gated (Cho et al. 2014) or LSTM (Zaremba et al. 2014) recurrent layer.

    Gates are stored in Keras' order: an LSTM's as input, forget, candidate, output; a GRU's as
    update, reset, candidate, the reset gate applied after the product (`reset_after`).

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
        # value that depends on the shape is the same.
        features = input_shape[-1]
        self.kernel = self.add_weight(shape=(features + self.units, width), name="kernel", **shared)
        self.bias = self.add_weight(shape=(width,), name="bias", initializer=self.bias_initializer)

    def call(self, inputs: tf.Tensor, state: list[tf.Tensor] | None = None) -> Tensors:
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        state = state or [tf.zeros([tf.shape(inputs)[0], self.units])] * STATES[self.cell]
        # Time first: each step is then one contiguous block.
        inputs = tf.transpose(inputs, [1, 0, 2])
        if self.cell == "lstm":
            bias += np.repeat(np.array([0, self.forget_bias, 0, 0], np.float32), self.units)
        outputs, *state = _unrolled(*STEPS[self.cell])(inputs, kernel, bias, *state)
        return (tf.transpose(outputs, [1, 0, 2]), *state)


def zero_state(model: keras.Model, batch_size: int) -> dict[str, tf.Tensor]:
    """The state at the start of a sequence: zeros for all that `model` takes and gives back."""
    given = model.output if isinstance(model.output, dict) else {}
    carried = [tensor for tensor in model.inputs if tensor.name in given]
    return {tensor.name: tf.zeros([batch_size, *tensor.shape[1:]]) for tensor in carried}


def _unrolled(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Tensors]:
    """Outputs and last state of a layer whose cell is a pair of `STEPS`."""

    @tf.custom_gradient
    def run(
        inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, *state: tf.Tensor
    ) -> tuple[Tensors, Gradient]:
        first, features = state[0], inputs.shape[2]
        of_inputs, recurrent = tf.split(kernel, [features, first.shape[1]])
        projected = tf.matmul(tf.reshape(inputs, [-1, features]), of_inputs) + bias
        hs, kept = [], []
        for now in tf.split(projected, inputs.shape[0]):
            state, needed = forward(now, tf.matmul(state[0], recurrent), *state)
            hs.append(state[0])
            kept.append(needed)
        outputs = tf.stack(hs)

        def gradient(d_outputs: tf.Tensor, d_h: tf.Tensor, *d_more: tf.Tensor) -> Tensors:
            d_projected, d_products = [], []
            for needed, d_output in zip(kept[::-1], tf.unstack(d_outputs)[::-1], strict=True):
                d_now, d_product, d_h, *d_more = backward(needed, d_h + d_output, *d_more)
                d_past = tf.matmul(d_product, recurrent, transpose_b=True)
                d_h = d_past if d_h is None else d_past + d_h
                d_projected.append(d_now)
                d_products.append(d_product)
            d, d_product = tf.concat(d_projected[::-1], 0), tf.concat(d_products[::-1], 0)
            return (*_of_products(inputs, first, outputs, kernel, d, d_product), d_h, *d_more)

        return (outputs, *state), gradient

    return run


def _of_products(
    inputs: tf.Tensor,
    first: tf.Tensor,
    outputs: tf.Tensor,
    kernel: tf.Tensor,
    d_projected: tf.Tensor,
    d_products: tf.Tensor,
) -> Tensors:
    """Gradients of inputs, kernel and bias from those of the products of all time steps.

    Args:
        d_projected, d_products: [steps * batch, width], for those with inputs and with outputs.
    """
    features, units = inputs.shape[2], first.shape[1]
    x = tf.reshape(inputs, [-1, features])
    x = tf.concat([x, tf.ones([tf.shape(x)[0], 1])], 1)
    hs = tf.concat([first, tf.reshape(outputs[:-1], [-1, units])], 0)
    d_inputs = tf.matmul(d_projected, kernel[:features], transpose_b=True)
    of_inputs, d_bias = tf.split(tf.matmul(x, d_projected, transpose_a=True), [features, 1])
    d_kernel = tf.concat([of_inputs, tf.matmul(hs, d_products, transpose_a=True)], 0)
    return tf.reshape(d_inputs, tf.shape(inputs)), d_kernel, d_bias[0]


def _rnn(projected: tf.Tensor, product: tf.Tensor, h: tf.Tensor) -> tuple[Tensors, Tensors]:
    h = tf.tanh(projected + product)
    return (h,), (h,)


def _rnn_back(needed: Tensors, d_h: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    d = tanh_gradient(y=needed[0], dy=d_h)
    return d, d, None


def _gru(projected: tf.Tensor, product: tf.Tensor, h: tf.Tensor) -> tuple[Tensors, Tensors]:
    update, reset, candidate = tf.split(projected, 3, axis=1)
    of_update, of_reset, past = tf.split(product, 3, axis=1)
    update, reset = tf.sigmoid(update + of_update), tf.sigmoid(reset + of_reset)
    candidate = tf.tanh(candidate + reset * past)
    change = h - candidate
    return (candidate + update * change,), (update, reset, past, candidate, change)


def _gru_back(needed: Tensors, d_h: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    update, reset, past, candidate, change = needed
    d_candidate = tanh_gradient(y=candidate, dy=d_h * (1 - update))
    d_update = sigmoid_gradient(y=update, dy=d_h * change)
    d_reset = sigmoid_gradient(y=reset, dy=d_candidate * past)
    return (
        tf.concat([d_update, d_reset, d_candidate], 1),
        tf.concat([d_update, d_reset, d_candidate * reset], 1),
        d_h * update,
    )


def _lstm(
    projected: tf.Tensor, product: tf.Tensor, h: tf.Tensor, c: tf.Tensor
) -> tuple[Tensors, Tensors]:
    i, f, g, o = tf.split(projected + product, 4, axis=1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    cell = f * c + i * g
    shown = tf.tanh(cell)
    return (o * shown, cell), (i, f, g, o, shown, c)


def _lstm_back(needed: Tensors, d_h: tf.Tensor, d_cell: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    i, f, g, o, shown, c = needed
    d_cell += tanh_gradient(y=shown, dy=d_h * o)
    d_gates = [
        sigmoid_gradient(y=i, dy=d_cell * g),
        sigmoid_gradient(y=f, dy=d_cell * c),
        tanh_gradient(y=g, dy=d_cell * i),
        sigmoid_gradient(y=o, dy=d_h * shown),
    ]
    d = tf.concat(d_gates, 1)
    return d, d, None, d_cell * f


# Forward: the projected inputs, the product with the last output, and the last state, to the new
# state and what backward needs. Backward: that and the gradients of the new state, to those of the
# projected inputs, of the product, and of the last state but for what comes through the product.
STEPS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rnn": (_rnn, _rnn_back),
    "gru": (_gru, _gru_back),
    "lstm": (_lstm, _lstm_back),
}
