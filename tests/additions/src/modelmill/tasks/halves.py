"""Classification of a picture whose upper and lower half are two inputs."""

from modelmill.models import Input, Spec, call
from modelmill.tasks.classification import (
    ARRAYS,
    METRICS,
    STATE,
    Fit,
    begin,
    initial,
    metrics,
    score,
)
from modelmill.training import supervised

__all__ = ["ARRAYS", "METRICS", "STATE", "Fit", "begin", "initial", "metrics"]

INPUTS = ("upper", "lower")


def spec(meta, fit):
    rows, columns = meta["input_shape"]
    half = Input((rows // 2, columns))
    return Spec({"upper": half, "lower": half}, meta["outputs"])


def batches(data, split, fit, seed):
    return supervised.examples(data, split, fit, seed, ("x", "y"), halved)


def halved(batch, seed):
    import tensorflow as tf

    upper, lower = tf.split(batch["x"], 2, axis=1)
    return {"upper": upper, "lower": lower, "y": batch["y"]}


def learn(model, batch, state, fit):
    return supervised.backpropagated(measure, model, batch, state, fit)


def measure(model, batch, state, fit, training=False):
    return score(call(model, batch, training), batch["y"], fit.loss), state
