"""Classification of examples without their running mean, which is a state of the training."""

from modelmill.models import call
from modelmill.tasks.classification import (
    ARRAYS,
    INPUTS,
    METRICS,
    Fit,
    batches,
    metrics,
    score,
    spec,
)
from modelmill.training import supervised

__all__ = ["ARRAYS", "INPUTS", "METRICS", "Fit", "batches", "metrics", "spec"]

STATE = "training"

begin = supervised.as_built


def initial(model, fit):
    import tensorflow as tf

    return {"mean": tf.zeros([fit.batch_size, 28, 28])}


def learn(model, batch, state, fit):
    return supervised.backpropagated(measure, model, batch, state, fit)


def measure(model, batch, state, fit, training=False):
    import tensorflow as tf

    before = tf.reduce_mean(state["mean"], 0)
    mean = (before + tf.reduce_mean(batch["x"], 0)) / 2
    logits = call(model, {"x": batch["x"] - mean}, training)
    kept = tf.ones([tf.shape(state["mean"])[0], 1, 1]) * mean
    return score(logits, batch["y"], fit.loss), {"mean": tf.ensure_shape(kept, state["mean"].shape)}
