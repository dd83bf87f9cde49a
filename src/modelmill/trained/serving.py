"""A trained model as MLflow serves it: ``mlflow models serve`` loads this module with the model."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

TASKS = ("classification", "reconstruction", "regression")  # those that take examples
REQUIREMENTS = ("tensorflow", "keras", "numpy", "pandas", "pydantic", "ruamel.yaml")


def pack(model: Path, data: Processed, folder: Path) -> Path:
    """Makes `folder` with what `_load_pyfunc` needs of a trained model, and returns it."""
    folder.mkdir()
    for path in (model / artifacts.CARD, model / artifacts.WEIGHTS, data.folder / processed.META):
        shutil.copy(path, folder)
    return folder


def signature(card: Card, data: Processed) -> "ModelSignature":
    """Inputs as the data set stores them; classes and probabilities, or outputs as they are."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = TensorSpec(data.arrays["x"].dtype, (-1, *card.spec.inputs["x"].shape))
    if card.settings["task"] == "classification":
        columns = [ColSpec("double", name) for name in data.meta["class_names"]]
        outputs = Schema([ColSpec("string", "class"), *columns])
    else:
        shape = card.spec.inputs["x"].shape if card.settings["task"] == "reconstruction" else (-1,)
        outputs = Schema([TensorSpec(np.dtype("float32"), (-1, *shape))])
    return ModelSignature(Schema([inputs]), outputs)


class Served:
    """A trained model that answers examples as its data set stores them: pixels from 0 to 255."""

    def __init__(self, folder: Path) -> None:
        if "tensorflow" not in sys.modules:  # a server; whoever uses it already has set it up
            from modelmill import runtime

            runtime.start(seed=0)
        from modelmill.trained.inference import predictor

        self.card, self.meta = artifacts.read_card(folder), processed.read_meta(folder)
        self.outputs = predictor(artifacts.restore(folder), self.meta["scale"])

    def predict(self, inputs: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """A row of class and probabilities per example of a classifier, else the outputs."""
        outputs = self.outputs(np.asarray(inputs))
        if self.card.settings["task"] != "classification":
            return outputs
        import pandas as pd

        from modelmill.tasks.classification import probabilities

        names, loss = self.meta["class_names"], self.card.settings["fit"]["loss"]
        frame = pd.DataFrame(probabilities(outputs, loss), columns=names)
        frame.insert(0, "class", [names[index] for index in outputs.argmax(axis=1)])
        return frame


def _load_pyfunc(path: str) -> Served:
    return Served(Path(path))
