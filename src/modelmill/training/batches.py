"""Batches cut inside the compiled loop: shuffled examples, or windows of a long sequence.

A pass over the data has `steps` batches. The loop asks `load` on the host for what a run of them
needs, and `batch` in the graph for each.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.training.settings import Fit


class Batches(Protocol):
    """One pass is `steps` batches with `predictions` targets in all."""

    steps: int
    predictions: int
    signature: tf.TensorSpec

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        """What `batch` needs for batches `first` to `first + count` of a pass."""

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs and targets of the batch `index` places after the first one loaded."""


class Examples:
    """Independent examples, kept on the device, in a new order each epoch.

    The order is a pseudo-random permutation computed place by place from the seed and the epoch,
    so that nothing needs to be stored to go on from any step.

    Args:
        x: inputs; integers are scaled by `scale`.
        y: targets, kept as they are; None makes the (scaled) inputs the targets.
        scale: factor that takes `x` to the range the models see.
        seed: of the order, and of which values are corrupted.
        shuffle: whether there is an order other than the data's own.
        keep_rest: whether the examples that do not fill a batch make a last, smaller one.
        corruption: share of the input values that are set to zero, others in every epoch.
    """

    signature = tf.TensorSpec([2], tf.int64)

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        scale: float,
        batch_size: int,
        seed: int,
        shuffle: bool,
        keep_rest: bool,
        corruption: float = 0.0,
    ) -> None:
        self.x, self.y = tf.constant(x), None if y is None else tf.constant(y)
        self.scale, self.corruption = scale, corruption
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.steps = (len(x) + (batch_size - 1 if keep_rest else 0)) // batch_size
        self.predictions = len(x) if keep_rest else self.steps * batch_size
        if not self.steps:
            raise ModelmillError(f"{len(x)} examples do not fill one batch of {batch_size}")

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        return tf.constant([epoch, first], tf.int64)

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = (loaded[1] + tf.cast(index, tf.int64)) * self.batch_size
        rows = start + tf.range(self.batch_size, dtype=tf.int64)
        if self.predictions % self.batch_size:
            rows = rows[: self.predictions - start]
        key = tf.cast(tf.stack([tf.constant(self.seed, tf.int64), loaded[0]]), tf.int32)
        if self.shuffle:
            last = tf.constant(len(self.x) - 1, tf.int64)
            rows = tf.random.experimental.index_shuffle(rows, key, last)
        x = tf.gather(self.x, rows)
        if not x.dtype.is_floating:
            x = tf.cast(x, tf.float32) * self.scale
        if self.y is None:
            return self._corrupted(x, tf.random.experimental.stateless_fold_in(key, start)), x
        y = tf.gather(self.y, rows)
        return x, tf.cast(y, tf.int32) if y.dtype.is_integer else y

    def _corrupted(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if not self.corruption:
            return x
        return tf.where(tf.random.stateless_uniform(tf.shape(x), seed) < self.corruption, 0.0, x)


class Windows:
    """Windows of parallel streams over one sequence of tokens, in order.

    Only what a run of windows needs is read from the (memory-mapped) tokens.
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, num_steps: int) -> None:
        self.streams = Streams(tokens, batch_size, num_steps)
        self.steps = self.streams.windows
        self.predictions = self.steps * batch_size * num_steps
        self.signature = tf.TensorSpec([batch_size, None], tf.int32)

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        return tf.constant(self.streams.block(first, count).astype(np.int32))

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = [self.streams.batch_size, self.streams.num_steps]
        start = index * self.streams.num_steps
        return tf.slice(loaded, [0, start], shape), tf.slice(loaded, [0, start + 1], shape)


Arrays = Mapping[str, np.ndarray]


def training(arrays: Arrays, targets: str, scale: float, fit: Fit, seed: int) -> Batches:
    """Batches to train on, as `fit` wants them; `targets` is the task's."""
    if targets == "tokens":
        return _windows(arrays, fit)
    y = arrays["y"] if targets == "y" else None
    return Examples(arrays["x"], y, scale, fit.batch_size, seed, fit.shuffle, False, fit.corruption)


def validation(arrays: Arrays, targets: str, scale: float, fit: Fit, seed: int) -> Batches:
    """Batches to measure on: every example once, or the streams that training would read."""
    if targets == "tokens":
        return _windows(arrays, fit)
    size = max(fit.batch_size, 500)
    y = arrays["y"] if targets == "y" else None
    return Examples(arrays["x"], y, scale, size, seed, False, True, fit.corruption)


def _windows(arrays: Arrays, fit: Fit) -> Windows:
    assert fit.num_steps
    return Windows(arrays["tokens"], fit.batch_size, fit.num_steps)
