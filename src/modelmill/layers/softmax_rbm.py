"""A restricted Boltzmann machine of ratings (Salakhutdinov, Mnih and Hinton 2007).

docs/unsupervised.md has the equations.
"""

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.dropout import hashes, shift
from modelmill.layers.rbm import Rbm


class SoftmaxRbm(Rbm):
    """Hidden units over visible ones that have one of `states` states each, or none that is known.

    As a layer: rows of stars [n, units], from 1 to `states`, 0 where unknown, and the number of a
    unit for each [n] -> the mean of the stars that this unit then has [n, 1].

    Attributes:
        kernel: W [units * states, hidden]: all states of a unit follow one another.
        visible_bias, hidden_bias: b [units * states] and c.
    """

    def __init__(
        self,
        states: int,
        hidden_units: int,
        initializer: keras.initializers.Initializer,
        **kwargs: object,
    ) -> None:
        super().__init__(hidden_units, initializer, **kwargs)
        self.states = states

    def build(self, input_shape: list[tuple[int, ...]]) -> None:  # type: ignore[override]
        super().build((0, input_shape[0][1] * self.states))

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        stars, unit = inputs
        h = self.hidden(self.one_hot(stars))
        kernel = tf.reshape(tf.convert_to_tensor(self.kernel), [-1, self.states, self.hidden_units])
        bias = tf.reshape(tf.convert_to_tensor(self.visible_bias), [-1, self.states])
        logits = tf.linalg.matvec(tf.gather(kernel, unit), h) + tf.gather(bias, unit)
        return self.mean_stars(logits)[:, None]

    def one_hot(self, stars: tf.Tensor) -> tf.Tensor:
        """v [n, units * states] of stars [n, units]: of a unit that is unknown all zeros."""
        units = stars.shape[1]
        return tf.reshape(tf.one_hot(stars - 1, self.states), [-1, units * self.states])

    def mean_stars(self, logits: tf.Tensor) -> tf.Tensor:
        """The mean over the states, counted from 1, of logits [..., states]."""
        counts = tf.range(1, self.states + 1, dtype=tf.float32)
        return tf.linalg.matvec(tf.nn.softmax(logits), counts)

    def expected(self, h: tf.Tensor) -> tf.Tensor:
        """The mean stars of all units [n, units] given h [n, hidden]."""
        logits = tf.matmul(h, tf.convert_to_tensor(self.kernel), transpose_b=True)
        return self.mean_stars(self._by_unit(logits + self.visible_bias))

    def redraw(self, v: tf.Tensor, logits: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """As for ones and zeros; a unit of which nothing is known stays all zeros."""
        known = tf.reduce_sum(self._by_unit(v), axis=2, keepdims=True)
        return tf.reshape(known * draw_states(self._by_unit(logits), key), tf.shape(v))

    def _by_unit(self, v: tf.Tensor) -> tf.Tensor:
        """[n, units * states] -> [n, units, states]."""
        return tf.reshape(v, [-1, v.shape[1] // self.states, self.states])


@tf.function(jit_compile=True)
def draw_states(logits: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """One state of each unit, one-hot [n, units, states], with the probabilities softmax(logits).

    Others for every `key` int32 [2].
    """
    n, units, states = tf.shape(logits)[0], tf.shape(logits)[1], logits.shape[2]
    uniform = tf.cast(shift(hashes(n * units, key), tf.constant(8, tf.uint32)), tf.float32)
    uniform = tf.reshape(uniform, [n, units, 1]) / 2.0**24
    passed = tf.cast(tf.cumsum(tf.nn.softmax(logits), axis=2) <= uniform, tf.int32)
    return tf.one_hot(tf.minimum(tf.reduce_sum(passed, 2), states - 1), states)


def log_shares(stars: np.ndarray, states: int) -> np.ndarray:
    """The logarithm of the share of each state among what is known of each unit [units * states].

    As if every unit had half a rating for each state more, divided as all ratings are: no share is
    zero, and a unit of which little is known begins as an average one.

    Args:
        stars: from 1 to `states`, 0 where unknown [rows, units].
    """
    counts = np.stack([(stars == state + 1).sum(axis=0) for state in range(states)], axis=1)
    everywhere = (counts.sum(axis=0) + 1) / (counts.sum() + states)
    added = states / 2
    shares = (counts + added * everywhere) / (counts.sum(axis=1, keepdims=True) + added)
    return np.log(shares).ravel().astype(np.float32)
