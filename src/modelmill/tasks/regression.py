"""Regression: squared error."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmill.models import Spec
from modelmill.reference import Better
from modelmill.training import supervised
from modelmill.training.supervised import (
    Fit,
    answer,
    as_built,
    backpropagated,
    penalised,
    squared_error,
    stateless,
)
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    import keras

    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Examples

METRICS: Mapping[str, Better] = {"loss": "lower"}
ARRAYS = {"x": "values", "y": "values"}
INPUTS = ("x",)
STATE = "pass"

begin, initial = as_built, stateless


def spec(meta: Mapping[str, Any], fit: Fit) -> Spec:
    """Any examples; as many values for each as the data set has outputs."""
    supervised.require_shape(meta, "y", (meta["outputs"],), "where a model would give")
    return Spec.examples(tuple(meta["input_shape"]), meta["outputs"])


def batches(data: "Processed", split: str, fit: Fit, seed: int) -> "Examples":
    return supervised.examples(data, split, fit, seed, ("x", "y"), numbers=("x", "y"))


def learn(model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit) -> Learnt:
    return backpropagated(measure, model, batch, state, fit)


def measure(
    model: "keras.Model", batch: Tensors, state: Tensors, fit: Fit, training: bool = False
) -> tuple[Score, Tensors]:
    found = answer(model, batch, training)
    return penalised(model, squared_error(found, batch["y"])), state


def metrics(means: list[float]) -> dict[str, float]:
    return {"loss": means[0]}
