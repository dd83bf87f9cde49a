"""The perceptron rule (Rosenblatt 1958): only mistakes move the weights."""

from modelmill.models import call
from modelmill.tasks.classification import (
    ARRAYS,
    INPUTS,
    METRICS,
    STATE,
    Fit,
    batches,
    begin,
    initial,
    metrics,
    spec,
)
from modelmill.training.task import Learnt, Score

__all__ = [
    "ARRAYS",
    "INPUTS",
    "METRICS",
    "STATE",
    "Fit",
    "batches",
    "begin",
    "initial",
    "learn",
    "measure",
    "metrics",
    "spec",
]


def learn(model, batch, state, fit):
    import tensorflow as tf

    score, _ = measure(model, batch, state, fit)
    answers = tf.argmax(call(model, batch, training=True), 1, tf.int32)
    error = tf.one_hot(answers, 10) - tf.one_hot(batch["y"], 10)
    x = tf.reshape(batch["x"], [-1, 28 * 28])
    return Learnt(score, [tf.matmul(error, x, transpose_a=True), tf.reduce_sum(error, 0)], state)


def measure(model, batch, state, fit):
    """The loss is the share of mistakes."""
    import tensorflow as tf

    answers = tf.argmax(call(model, batch, training=False), 1, tf.int32)
    right = tf.reduce_sum(tf.cast(answers == batch["y"], tf.float32))
    count = tf.cast(tf.size(answers), tf.float32)
    return Score(tf.stack([count - right, right]), count), state
