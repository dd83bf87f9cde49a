"""A dense layer that has no matrix of its own."""

import keras
import tensorflow as tf


class Transposed(keras.layers.Layer):
    """The way back through the dense layer `of`: its matrix transposed, a bias of its own."""

    def __init__(self, of: keras.layers.Dense, activation: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        # A function, or Keras would take the other layer for a part of this one and save it twice.
        self._kernel = lambda: of.kernel
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple[int, ...]) -> None:
        outputs = self._kernel().shape[0]
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self._kernel())
        return self.activation(tf.matmul(inputs, kernel, transpose_b=True) + self.bias)
