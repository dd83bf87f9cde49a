"""Batches cut inside the compiled loop: shuffled examples, or windows of a long sequence.

A pass over the data has `steps` batches. The loop asks `load` on the host for what a run of them
needs, and `batch` in the graph for each.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.training.task import Tensors

Change = Callable[[Tensors, tf.Tensor], Tensors]  # of a batch, with a seed int32 [2] of its own


class Examples:
    """Independent examples, kept on the device, in another order each epoch.

    The order is a pseudo-random permutation computed place by place from the seed and the epoch,
    so that nothing needs to be stored to go on from any step. Of up to 65,536 examples, it is that
    of 256 seeds, or epochs, before.

    Args:
        arrays: of the same length; integers become int32 where they are not scaled.
        scales: factors that take arrays of integers to the range that models see, by name.
        seed: of the order, and of `change`.
        shuffle: whether there is an order other than the data's own.
        keep_rest: whether the examples that do not fill a batch make a last, smaller one.
        change: what is done to each batch.
    """

    signature = tf.TensorSpec([2], tf.int64)

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        scales: Mapping[str, float],
        batch_size: int,
        seed: int,
        shuffle: bool,
        keep_rest: bool,
        change: Change | None = None,
    ) -> None:
        self.arrays = {name: tf.constant(array) for name, array in arrays.items()}
        self.scales, self.change = scales, change
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.count = len(next(iter(arrays.values())))
        self.steps = (self.count + (batch_size - 1 if keep_rest else 0)) // batch_size
        self.rest = keep_rest and self.count % batch_size > 0
        if not self.steps:
            raise ModelmillError(f"{self.count} examples do not fill one batch of {batch_size}")

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        return tf.constant([epoch, first], tf.int64)

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> Tensors:
        start = (loaded[1] + tf.cast(index, tf.int64)) * self.batch_size
        rows = start + tf.range(self.batch_size, dtype=tf.int64)
        if self.rest:
            rows = rows[: self.count - start]
        key = tf.cast(tf.stack([tf.constant(self.seed, tf.int64), loaded[0]]), tf.int32)
        if self.shuffle:
            last = tf.constant(self.count - 1, tf.int64)
            rows = tf.random.experimental.index_shuffle(rows, key, last)
        batch = {name: self._taken(name, rows) for name in self.arrays}
        if self.change is None:
            return batch
        return self.change(batch, tf.random.experimental.stateless_fold_in(key, start))

    def _taken(self, name: str, rows: tf.Tensor) -> tf.Tensor:
        values = tf.gather(self.arrays[name], rows)
        if values.dtype.is_floating:
            return tf.cast(values, tf.float32)
        if name in self.scales:
            return tf.cast(values, tf.float32) * self.scales[name]
        return tf.cast(values, tf.int32)


class Windows:
    """Windows of parallel streams over one sequence of tokens, in order.

    A batch has `tokens` and, of the same shape, `following`: the token after each of them. Only
    what a run of windows needs is read from the (memory-mapped) tokens.
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, num_steps: int) -> None:
        self.streams = Streams(tokens, batch_size, num_steps)
        self.steps = self.streams.windows
        self.signature = tf.TensorSpec([batch_size, None], tf.int32)

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        return tf.constant(self.streams.block(first, count).astype(np.int32))

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> Tensors:
        shape = [self.streams.batch_size, self.streams.num_steps]
        start = index * self.streams.num_steps
        return {
            "tokens": tf.slice(loaded, [0, start], shape),
            "following": tf.slice(loaded, [0, start + 1], shape),
        }
