"""Dropout whose masks cost next to nothing."""

from collections.abc import Callable

import keras
import tensorflow as tf

shift, xor = tf.bitwise.right_shift, tf.bitwise.bitwise_xor


class Dropout(keras.layers.Layer):
    """Sets a share `rate` of its inputs to zero while training, and scales up the others.

    The mask is never stored: it is a hash of each value's place and of the call, computed in the
    loop that applies it, forward and again backward. Drawing it from one of TensorFlow's random
    generators takes about twenty times as long.

    Args:
        rectified: whether inputs come from a rectifier, to whose zeros no gradient matters: the
            mask is then read off the outputs, which takes half the time.
    """

    def __init__(self, rate: float, rectified: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.rate, self.rectified = rate, rectified
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        key = tf.cast(self.seed_generator.next(), tf.int32)
        return _dropout(inputs, key, self.rate, self.rectified)


def _dropout(x: tf.Tensor, key: tf.Tensor, rate: float, rectified: bool) -> tf.Tensor:
    @tf.custom_gradient
    def dropout(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y = _masked(x, key, rate)

        def gradient(d: tf.Tensor) -> tf.Tensor:
            if rectified:
                return tf.raw_ops.ReluGrad(gradients=d, features=y) / (1 - rate)
            return _masked(d, key, rate)

        return y, gradient

    return dropout(x)


@tf.function(jit_compile=True)
def _masked(x: tf.Tensor, key: tf.Tensor, rate: float) -> tf.Tensor:
    kept = hashes(tf.size(x), key) >= tf.constant(int(rate * 2**32), tf.uint32)
    return tf.where(tf.reshape(kept, tf.shape(x)), x / (1 - rate), 0.0)


def hashes(count: int | tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Uniform uint32 [count], others for every `key` int32 [2]: a seed and the number of a call."""
    seed, call = tf.unstack(tf.bitcast(key, tf.uint32))
    start = _lowbias32(_lowbias32(seed) + call * tf.constant(0x9E3779B9, tf.uint32))
    return _lowbias32(xor(tf.bitcast(tf.range(count), tf.uint32), start))


def _lowbias32(x: tf.Tensor) -> tf.Tensor:
    """Wellons' integer hash, https://nullprogram.com/blog/2018/07/31/."""
    for by, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = xor(x, shift(x, tf.constant(by, tf.uint32))) * tf.constant(factor, tf.uint32)
    return xor(x, shift(x, tf.constant(16, tf.uint32)))
