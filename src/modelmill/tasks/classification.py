"""Classification: softmax cross-entropy in nats, accuracy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modelmill.errors import ModelmillError
from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.training import supervised
from modelmill.training.supervised import answer, backpropagated, penalised, stateless
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Examples

METRICS: Mapping[str, Better] = {"loss": "lower", "accuracy": "higher"}
ARRAYS = {"x": "values", "y": "classes"}
INPUTS = ("x",)
STATE = "pass"

initial = stateless


class Fit(supervised.Fit):
    """How a classifier is trained.

    Attributes:
        loss: cross-entropy of a softmax, or ``half_squared_error`` of a sigmoid for each class:
            sum((sigmoid(z) - y)^2) / 2 over the classes, y being 1 for the right one, else 0.
    """

    loss: Literal["cross_entropy", "half_squared_error"] = "cross_entropy"


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """Any examples; a class for each, as an integer."""
    supervised.require_shape(meta, "y", (), "where each has one class:")
    if not meta["arrays"]["y"]["dtype"].removeprefix("u").startswith("int"):
        found = meta["arrays"]["y"]["dtype"]
        raise ModelmillError(f"array y: {found} numbers are no classes, which are integers")
    return Spec.examples(tuple(meta["input_shape"]), len(meta["class_names"]))


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Examples":
    return supervised.examples(data, split, fit, seed, ("x", "y"))


def begin(model: "keras.Model", data: "Processed", fit: Fit) -> None:
    """Raises ModelmillError unless the model has an output for each class."""
    classes = len(data.meta["class_names"])
    for outputs in model.outputs:
        if outputs.shape[1:] != (classes,):
            raise ModelmillError(
                f"the model's outputs have shape {outputs.shape[1:]}, there are {classes} classes"
            )


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    return backpropagated(measure, model, batch, state, fit)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit, training: bool = False
) -> tuple[Score, Tensors]:
    logits = answer(model, batch, training)
    return penalised(model, score(logits, batch["y"], fit.loss)), state


def score(logits: "tf.Tensor", y: "tf.Tensor", loss: str) -> Score:
    """Sums of the losses and of right answers for logits [batch, classes] and classes [batch]."""
    import tensorflow as tf

    if loss == "cross_entropy":
        if tf.config.list_physical_devices("GPU"):  # where the kernel itself is not deterministic
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        else:  # with op determinism, that would take 20 kernels to do the same
            losses, _ = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=y)
    else:
        losses = tf.nn.l2_loss(tf.sigmoid(logits) - tf.one_hot(y, logits.shape[-1]))
    right = tf.argmax(logits, axis=-1, output_type=y.dtype) == y
    sums = tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])
    return Score(sums, tf.cast(tf.size(y), tf.float32))


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0], "accuracy": means[1]}


def probabilities(logits: np.ndarray, loss: str) -> np.ndarray:
    """Of each class, in float64: as a whole, or each by itself where sigmoids were trained."""
    if loss == "half_squared_error":
        return 1 / (1 + np.exp(-logits.astype(np.float64)))
    return np.exp(log_probabilities(logits))


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
