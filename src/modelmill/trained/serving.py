"""A trained model as MLflow serves it: ``mlflow models serve`` loads this module with the model."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelmill.datasets import processed, ratings, titles
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import Damaged, sha256, undamaged
from modelmill.schema import validate
from modelmill.trained import artifacts, recommender
from modelmill.trained.artifacts import Card
from modelmill.trained.writing import Sample, Writer

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

EXAMPLES = ("classification", "reconstruction", "regression")  # what takes examples
TEXT = "language_modeling"
TASKS = (*EXAMPLES, TEXT, *recommender.TASKS)  # the last take users
SEAL = "meta.sha256"  # of the files of `DATA` that are there: the arrays of the digest are not
DATA = (processed.META, processed.VOCABULARY, recommender.KNOWLEDGE, ratings.CATALOGUE)
TOP = 10
SYNC = "modelmill sync"
REQUIREMENTS = ("tensorflow", "keras", "numpy", "pandas", "pydantic", "ruamel.yaml")


def pack(model: Path, data: Processed, folder: Path) -> Path:
    """Makes `folder` with what `_load_pyfunc` needs of a trained model, and returns it."""
    folder.mkdir()
    for path in (model / artifacts.CARD, model / artifacts.WEIGHTS, data.folder / processed.META):
        shutil.copy(path, folder)
    task = artifacts.read_card(model).settings["task"]
    if task in recommender.TASKS:
        recommender.pack(data, folder)
    if task == TEXT:
        shutil.copy(data.folder / processed.VOCABULARY, folder)
    (folder / SEAL).write_text(_sealed(folder), encoding="ascii")
    return folder


def _sealed(folder: Path) -> str:
    return sha256(*(folder / name for name in DATA if (folder / name).exists()))


def _require_sealed(folder: Path) -> None:
    """Raises ModelmillError if what was packed has changed since.

    Models that were logged before there were seals have none.
    """
    seal = folder / SEAL
    with undamaged(folder / processed.META, SYNC):
        if seal.exists() and seal.read_text(encoding="ascii") != _sealed(folder):
            raise ValueError(f"it, or what is beside it, is not what {SEAL} was written of")


def signature(card: Card, data: Processed, options: Mapping[str, Any]) -> "ModelSignature":
    """Inputs as the data set stores them; classes and probabilities, or outputs as they are.

    What a text is written with is that of `options`, the model's `eval`, unless a request says so.

    Integers are declared as float64, which holds them all: MLflow makes what it is sent into what
    is declared here, and would make integers of fractions without a word.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    if card.settings["task"] in recommender.TASKS:
        answer = Schema([ColSpec(kind, name) for name, kind in _columns(card).items()])
        top = ParamSchema([ParamSpec("top", "long", TOP)])
        return ModelSignature(Schema([ColSpec("string", "user")]), answer, top)
    if card.settings["task"] == TEXT:
        text = Schema([ColSpec("string", "text")])
        kinds = {"length": "long", "pick": "string", "temperature": "double", "seed": "long"}
        params = [ParamSpec(name, kinds[name], options["sample"][name]) for name in kinds]
        return ModelSignature(text, text, ParamSchema(params))
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


def example(card: Card, data: Processed, options: Mapping[str, Any]) -> Any:
    """What a request may hold."""
    import pandas as pd

    if card.settings["task"] == TEXT:
        return pd.DataFrame({"text": [options["sample"]["prime"]]})
    if card.settings["task"] in recommender.TASKS:
        return pd.DataFrame({"user": ratings.catalogue(data.folder).users[:1]})
    declared = signature(card, data, options).inputs.input_types()[0]
    return data.arrays["x"][:1].astype(declared)


class Served:
    """A trained model that answers examples as its data set stores them: pixels from 0 to 255."""

    def __init__(self, folder: Path) -> None:
        from modelmill.trained.inference import predictor

        self.card, self.meta = artifacts.read_card(folder), processed.read_meta(folder)
        _require_sealed(folder)
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
            raise _refusal(
                f"{x[~fits][0]:g} is none of the {whole}numbers from {limits.min:g} to "
                f"{limits.max:g} that {self.card.settings['model']} takes"
            )
        return x.astype(stored)


class ServedRecommender:
    """A trained recommender that answers users' ids with films for each."""

    def __init__(self, folder: Path) -> None:
        _require_sealed(folder)
        with undamaged(folder / recommender.KNOWLEDGE, SYNC):
            knowledge, self.catalogue = recommender.unpack(folder)
        self.model = recommender.Recommender(folder, knowledge)

    def predict(self, inputs: "pd.DataFrame", params: dict[str, Any] | None = None) -> Any:
        """A row per film that is suggested, `top` of them for each user, the best first.

        Raises:
            MlflowException: a user is unknown, or `top` is none of the numbers from 1 on.
        """
        import pandas as pd

        top, rows = (params or {}).get("top", TOP), []
        if top < 1:
            raise _refusal(f"top is at least 1, not {top}")
        for user in inputs["user"]:
            try:
                number = recommender.number_of(user, self.catalogue)
            except ModelmillError as error:
                raise _refusal(str(error)) from None
            found = self.model.for_user(number, top)
            for rank, (item, value) in enumerate(found, start=1):
                film = self.catalogue.items[item]
                texts = (user, film.id, titles.label(film), ", ".join(film.genres))
                rows.append((*texts, rank, value))
        return pd.DataFrame(rows, columns=[*_columns(self.model.card)])


class ServedWriter:
    """A trained language model that answers texts with what it makes of them."""

    def __init__(self, folder: Path) -> None:
        _require_sealed(folder)
        self.writer = Writer(folder, Processed(folder, processed.read_meta(folder), {}))

    def predict(self, inputs: "pd.DataFrame", params: dict[str, Any] | None = None) -> Any:
        """Each text with its continuation.

        Args:
            params: the keys of `Sample` but for `prime`.

        Raises:
            MlflowException: a text has what the model does not know, or a key is out of range.
        """
        import pandas as pd

        texts = []
        for text in inputs["text"]:
            try:
                options = validate(Sample, {"prime": text, **(params or {})}, "", "params")
                texts.append(self.writer.prepared(options)())
            except ModelmillError as error:
                raise _refusal(str(error)) from None
        return pd.DataFrame({"text": texts})


def _columns(card: Card) -> dict[str, str]:
    """What a recommender answers with, and of which type."""
    texts = dict.fromkeys(("user", "item", "title", "genres"), "string")
    return texts | {"rank": "long", recommender.predicted(card): "double"}


def _refusal(problem: str) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(problem)


def _load_pyfunc(path: str) -> Served | ServedRecommender | ServedWriter:
    if "tensorflow" not in sys.modules:  # a server; whoever uses it already has set it up
        from modelmill import runtime

        runtime.start(seed=0)
    try:
        return _loaded(Path(path))
    except Damaged as error:  # most remedies would make data/models anew
        raise ModelmillError(
            f"{error.what}: delete what MLflow has of this model and run `{SYNC}`"
        ) from None


def _loaded(folder: Path) -> Served | ServedRecommender | ServedWriter:
    task = artifacts.read_card(folder).settings["task"]
    if task == TEXT:
        return ServedWriter(folder)
    return ServedRecommender(folder) if task in recommender.TASKS else Served(folder)
