"""A trained model as MLflow serves it: ``mlflow models serve`` loads this module with the model."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.files import sha256, undamaged
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

TASKS = ("classification", "reconstruction", "regression")  # those that take examples
SEAL = "meta.sha256"  # of meta.json, beside it: here are no arrays, which its digest is of too
REQUIREMENTS = ("tensorflow", "keras", "numpy", "pandas", "pydantic", "ruamel.yaml")


def pack(model: Path, data: Processed, folder: Path) -> Path:
    """Makes `folder` with what `_load_pyfunc` needs of a trained model, and returns it."""
    folder.mkdir()
    for path in (model / artifacts.CARD, model / artifacts.WEIGHTS, data.folder / processed.META):
        shutil.copy(path, folder)
    (folder / SEAL).write_text(sha256(folder / processed.META), encoding="ascii")
    return folder


def signature(card: Card, data: Processed) -> "ModelSignature":
    """Inputs as the data set stores them; classes and probabilities, or outputs as they are.

    Integers are declared as float64, which holds them all: MLflow makes what it is sent into what
    is declared here, and would make integers of fractions without a word.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    stored = data.arrays["x"].dtype
    declared = stored if stored.kind == "f" else np.dtype("float64")
    inputs = TensorSpec(declared, (-1, *card.spec.inputs["x"].shape))
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
        meta, seal = folder / processed.META, folder / SEAL
        with undamaged(meta, "make sync"):
            # Models that were logged before there were seals have none.
            if seal.exists() and seal.read_text(encoding="ascii") != sha256(meta):
                raise ValueError(f"it is not what {SEAL} was written of")
        self.outputs = predictor(artifacts.restore(folder), self.meta["scale"])

    def predict(self, inputs: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """A row of class and probabilities per example of a classifier, else the outputs."""
        outputs = self.outputs(self._as_stored(np.asarray(inputs)))
        if self.card.settings["task"] != "classification":
            return outputs
        import pandas as pd

        from modelmill.tasks.classification import probabilities

        names, loss = self.meta["class_names"], self.card.settings["fit"]["loss"]
        frame = pd.DataFrame(probabilities(outputs, loss), columns=names)
        frame.insert(0, "class", [names[index] for index in outputs.argmax(axis=1)])
        return frame

    def _as_stored(self, x: np.ndarray) -> np.ndarray:
        """The numbers in the data set's own type.

        Raises:
            MlflowException: a pixel is not a whole number from 0 to 255, or the like.
        """
        stored = np.dtype(self.meta["arrays"]["x"]["dtype"])
        limits = np.finfo(stored) if stored.kind == "f" else np.iinfo(stored)
        whole = "" if stored.kind == "f" else "whole "
        fits = (limits.min <= x) & (x <= limits.max)
        if whole:
            fits &= x == np.rint(x)
        if not fits.all():
            from mlflow.exceptions import MlflowException

            raise MlflowException.invalid_parameter_value(
                f"{x[~fits][0]:g} is none of the {whole}numbers from {limits.min:g} to "
                f"{limits.max:g} that {self.card.settings['model']} takes"
            )
        return x.astype(stored)


def _load_pyfunc(path: str) -> Served:
    return Served(Path(path))
