"""A restricted Boltzmann machine of ones and zeros; docs/unsupervised.md has the equations."""

from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from modelmill.errors import ModelmillError
from modelmill.layers.dropout import hashes, shift

Means: TypeAlias = tf.Tensor | float


class Rbm(keras.layers.Layer):
    """`hidden_units` over a vector v of ones and zeros; as a layer, their probabilities given v.

    Attributes:
        kernel: W [visible, hidden].
        visible_bias, hidden_bias: b and c, which start at zero.
    """

    def __init__(
        self, hidden_units: int, initializer: keras.initializers.Initializer, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_units, self.initializer = hidden_units, initializer
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: tuple[int, ...]) -> None:
        visible, hidden = input_shape[-1], self.hidden_units
        self.kernel = self.add_weight((visible, hidden), self.initializer, name="kernel")
        self.visible_bias = self.add_weight((visible,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((hidden,), "zeros", name="hidden_bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.hidden(inputs)

    def inputs(self, v: tf.Tensor) -> tf.Tensor:
        """What each hidden unit gets from v [n, visible]: c + vW [n, hidden]."""
        return tf.matmul(v, tf.convert_to_tensor(self.kernel)) + self.hidden_bias

    def hidden(self, v: tf.Tensor) -> tf.Tensor:
        """Probabilities of the hidden units [n, hidden] given v [n, visible]."""
        return tf.sigmoid(self.inputs(v))

    def visible(self, h: tf.Tensor) -> tf.Tensor:
        """Probabilities of the visible units [n, visible] given h [n, hidden]."""
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.sigmoid(tf.matmul(h, kernel, transpose_b=True) + self.visible_bias)

    def free_energy(self, v: tf.Tensor) -> tf.Tensor:
        """F [n] of v [n, visible]."""
        hidden = tf.reduce_sum(tf.nn.softplus(self.inputs(v)), axis=1)
        return -tf.linalg.matvec(v, tf.convert_to_tensor(self.visible_bias)) - hidden

    def flipped(self, v: tf.Tensor, unit: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """How much F [n] rises when in each of v [n, visible] the unit with this number flips.

        Args:
            inputs: what hidden units get from v.
        """
        change = 1 - 2 * tf.gather(v, unit, batch_dims=1)
        after = inputs + change[:, None] * tf.gather(tf.convert_to_tensor(self.kernel), unit)
        hidden = tf.reduce_sum(tf.nn.softplus(after) - tf.nn.softplus(inputs), axis=1)
        return -change * tf.gather(tf.convert_to_tensor(self.visible_bias), unit) - hidden

    def pseudo_likelihood(self, v: tf.Tensor, unit: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Its logarithm [n] in nats, estimated from one unit of each (Marlin et al. 2010)."""
        return v.shape[1] * tf.math.log_sigmoid(self.flipped(v, unit, inputs))

    def reconstruction_error(self, v: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Squared distance [n] of v [n, visible] from its probabilities given those of h."""
        return tf.reduce_sum(
            tf.math.squared_difference(self.visible(tf.sigmoid(inputs)), v), axis=1
        )

    def drawn(self, inputs: tf.Tensor) -> tf.Tensor:
        """States of the hidden units [n, hidden] given what they get."""
        return draw(inputs, tf.cast(self.seed_generator.next(), tf.int32))

    def gibbs(self, v: tf.Tensor, inputs: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
        """v [n, visible] after so many steps of Gibbs sampling, at least one.

        Args:
            v: to begin with.
            inputs: what hidden units get from it.
        """
        kernel, b, c = (tf.convert_to_tensor(weight) for weight in self.weights)
        # One key for all steps: a variable in the loop would keep shards from running side by side.
        key = tf.cast(self.seed_generator.next(), tf.int32)
        seed = tf.bitcast(hashes(1, key)[0], tf.int32)

        def walk(v: tf.Tensor, inputs: tf.Tensor, step: int | tf.Tensor) -> tf.Tensor:
            h = draw(inputs, tf.stack([seed, 2 * step]))
            logits = tf.matmul(h, kernel, transpose_b=True) + b
            return self.redraw(v, logits, tf.stack([seed, 2 * step + 1]))

        v = walk(v, inputs, 0)
        for step in tf.range(1, steps):
            v = walk(v, tf.matmul(v, kernel) + c, step)
        return v

    def redraw(self, v: tf.Tensor, logits: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """States [n, visible] in place of v, by their logits [n, visible]."""
        return draw(logits, key)


def contrast(
    data: tuple[tf.Tensor, tf.Tensor],
    dreamt: tuple[tf.Tensor, tf.Tensor],
    means: tuple[Means, Means] = (0.0, 0.0),
) -> list[tf.Tensor]:
    """What a dream has more of than the data, added up: gradients of W, b and c to descend by.

    Args:
        data, dreamt: v [n, visible] and the probabilities of h [n, hidden].
        means: of v and of h, which W is learnt without.
    """
    (v, h), (v_of_dream, h_of_dream), (mu, offset) = data, dreamt, means
    weights = tf.matmul(v_of_dream - mu, h_of_dream - offset, transpose_a=True)
    weights -= tf.matmul(v - mu, h - offset, transpose_a=True)
    return [weights, tf.reduce_sum(v_of_dream - v, axis=0), tf.reduce_sum(h_of_dream - h, axis=0)]


@tf.function(jit_compile=True)
def draw(logits: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Ones with the probability sigmoid(logits), zeros else, others for every `key` int32 [2]."""
    uniform = tf.cast(shift(hashes(tf.size(logits), key), tf.constant(8, tf.uint32)), tf.float32)
    return tf.cast(tf.reshape(uniform, tf.shape(logits)) < 2.0**24 * tf.sigmoid(logits), tf.float32)


def log_odds(x: np.ndarray) -> np.ndarray:
    """The logarithm of how much more often each value is 1 than 0 [values].

    Each counts as one more 0 and one more 1 than there are, so that no odds are infinite.

    Args:
        x: from 0 to 1 [examples, values].

    Raises:
        ModelmillError: some are not.
    """
    if x.min() < 0 or x.max() > 1:
        raise ModelmillError(
            f"a Boltzmann machine's units are from 0 to 1, the data from {x.min():g} to {x.max():g}"
        )
    mean = (x.sum(axis=0, dtype=np.float64) + 1) / (len(x) + 2)
    return np.log(mean / (1 - mean)).astype(np.float32)
