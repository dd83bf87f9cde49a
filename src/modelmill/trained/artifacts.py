"""A trained model on disk: weights, the card that says how to rebuild it, its history.

model.weights.h5, history.csv and snapshots.npy (the weights after each lap, or what they make of
examples, where `fit` asks for them) hold results; model.json says what the training was made from,
so that a model is rebuilt, and its run recorded, without params.yaml.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from modelmill import models, runtime
from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import (
    data_sha256,
    json_text,
    read_json,
    sha256,
    text_sha256,
    undamaged,
    write_json,
)
from modelmill.models import Input, Spec
from modelmill.parts import PACKAGE, part
from modelmill.schema import Open, Section, validate
from modelmill.trained.history import read_history, remedy, write_history
from modelmill.training.settings import SHOWN

if TYPE_CHECKING:
    import keras

WEIGHTS, CARD, SNAPSHOTS = "model.weights.h5", "model.json", "snapshots.npy"
EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Card:
    """What a model was trained from.

    Attributes:
        settings: model (its name), seed, dataset, task, arch, net and fit, as in params.yaml.
        spec: what the data asked of the model.
        data: digest of the prepared data.
        fingerprint: of all of the above and of the code that trained.
        parameters: number of trained values.
        numerics: what rounded its numbers, as `runtime.numerics` has it.
        kept: the step after which it had the weights that were kept.
        digest: of all of the above and of the weights, empty in cards written before there was one.
    """

    settings: dict[str, Any]
    spec: Spec
    data: str
    fingerprint: str
    parameters: int
    numerics: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    digest: str = ""

    @property
    def continued(self) -> str:
        """Hex digest that two trainings share if the one may go on from where the other stopped."""
        return data_sha256([self.fingerprint, self.numerics])[:32]


def card(settings: dict[str, Any], spec: Spec, data: str, model: "keras.Model") -> Card:
    """The card of a model about to be trained on data with that digest."""
    made_from = fingerprint(settings, data)
    return Card(settings, spec, data, made_from, model.count_params(), runtime.numerics())


def fingerprint(settings: Mapping[str, Any], data: str) -> str:
    """Hex digest that two trainings share if they have the same settings, data and code.

    The code is what `code` lists, and TensorFlow's and Keras's versions.
    """
    versions = [version("tensorflow"), version("keras")]
    return data_sha256([settings, data, *versions, sha256(*code(settings))])[:32]


def require_same_code(card: Card) -> None:
    """Looks whether a training that has come to its end is still one of the code that there is.

    DVC records a result under the code that there is at its end.

    Raises:
        ModelmillError: it is not.
    """
    if fingerprint(card.settings, card.data) != card.fingerprint:
        raise ModelmillError(
            f"the code changed while {card.settings['model']} was trained with what it was before: "
            "the result is not kept; put the code back, and `dvc repro` goes on from the last "
            "checkpoint, or train anew with `dvc repro`"
        )


def code(settings: Mapping[str, Any]) -> list[Path]:
    """The files that the training of a model goes through, as stage train of dvc.yaml has them."""
    own = [PACKAGE / f"models/{settings['arch']}.py", PACKAGE / f"tasks/{settings['task']}.py"]
    shared = [
        PACKAGE / name for name in ("runtime.py", "datasets/streams.py", "models/__init__.py")
    ]
    shared += [*PACKAGE.glob("layers/*.py"), *PACKAGE.glob("training/*.py")]
    return own + sorted(shared)


def save(
    folder: Path,
    model: "keras.Model",
    card: Card,
    rows: list[dict[str, float]],
    snapshots: np.ndarray,
) -> None:
    """Writes the four files, the same bytes for the same training; the card gets its digest."""
    model.save_weights(folder / WEIGHTS)
    np.save(folder / SNAPSHOTS, snapshots)
    write_json(folder / CARD, asdict(replace(card, digest=_digest(folder, card))))
    write_history(folder, rows)


def _digest(folder: Path, card: Card) -> str:
    """Of a card, whatever it says its own is, and of the weights beside it."""
    return data_sha256([asdict(replace(card, digest="")), sha256(folder / WEIGHTS)])


Size = Annotated[int, Field(ge=1, le=10_000_000)]  # of what a model is built for


class _Input(Section):
    shape: list[Size]
    ids: Size | None


class _Spec(Section):
    inputs: dict[str, _Input]
    outputs: Size


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]  # part of paths


class _Settings(Section):
    model: Name
    seed: int
    dataset: Name
    task: str
    arch: str
    net: dict[str, Any]
    fit: dict[str, Any]


class _Card(Section):
    """What model.json says; see `Card`."""

    settings: _Settings
    spec: _Spec
    data: str
    fingerprint: str
    parameters: int
    numerics: dict[str, str] = Field(default_factory=dict)
    kept: int = 0
    digest: str = ""


def read_card(folder: Path) -> Card:
    """Reads model.json.

    Raises:
        ModelmillError: there is no trained model in `folder`, or its card is damaged.
    """
    path = folder / CARD
    if not path.exists():
        raise ModelmillError(f"no trained model in {folder}: run `{remedy(folder)}`")
    with undamaged(path, remedy(folder)):
        found = validate(_Card, read_json(path), "", str(path))
        given = found.settings
        task, arch = part("tasks", given.task, "task"), part("models", given.arch, "arch")
        validate(task.Fit, given.fit, "settings.fit", str(path))
        validate(arch.Net, given.net, "settings.net", str(path))
        if not set(arch.INPUTS) <= set(found.spec.inputs):
            raise ValueError(f"spec.inputs: {given.arch} takes {', '.join(arch.INPUTS)}")
        inputs = {name: Input(tuple(of.shape), of.ids) for name, of in found.spec.inputs.items()}
        spec = Spec(inputs, found.spec.outputs)
        return Card(**{**found.model_dump(), "spec": spec})


def read_data(card: Card, processed_data: Path, verify: bool = False) -> Processed:
    """Opens the data that a model was trained on.

    Args:
        processed_data: the folder of all prepared data.
        verify: whether every byte is read, to see that they are what was prepared.

    Raises:
        ModelmillError: they are missing, damaged, or others by now.
    """
    data = processed.load(processed_data / card.settings["dataset"], verify)
    if data.digest != card.data:
        name = card.settings["model"]
        raise ModelmillError(
            f"{name} was trained on other data than {data.folder} holds now: "
            f"run `dvc repro train@{name}`"
        )
    return data


def save_evaluation(
    folder: Path, card: Card, options: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Writes evaluation.json: what was evaluated, and which metrics it gave.

    The metrics are known by the digest of their file, which is written after this one: of an
    evaluation that was killed between the two, neither is believed.

    Args:
        options: the model's `eval` in params.yaml.
        metrics: what data/metrics/NAME.json gets.
    """
    digest = text_sha256(json_text(metrics))
    content = {"fingerprint": card.fingerprint, "eval": dict(options), "metrics": digest}
    write_json(folder / EVALUATION, content)


def read_evaluation(data: Path, card: Card) -> dict[str, Any] | None:
    """The `eval` and the `metrics` of the model of that card, None if it was not evaluated.

    Args:
        data: the folder with evaluations/ and metrics/.

    Raises:
        ModelmillError: what tells of the evaluation is damaged.
    """
    name = card.settings["model"]
    path, metrics = data / "evaluations" / name / EVALUATION, data / "metrics" / f"{name}.json"
    if not (path.exists() and metrics.exists()):
        return None
    remedy = f"dvc repro evaluate@{name}"
    with undamaged(path, remedy):
        found = validate(_Evaluation, read_json(path), "", str(path))
    with undamaged(metrics, remedy):
        if (found.fingerprint, found.metrics) != (card.fingerprint, sha256(metrics)):
            return None
        measured = validate(_Metrics, {"metrics": read_json(metrics)}, "", str(metrics)).metrics
    return {"eval": found.eval.model_dump(), "metrics": measured}


class _Options(Open):
    split: str


class _Evaluation(Section):
    """What evaluation.json says; see `save_evaluation`."""

    fingerprint: str
    eval: _Options
    metrics: str


class _Metrics(Section):
    metrics: dict[str, int | float]


def read_snapshots(folder: Path) -> np.ndarray:
    """Opens snapshots.npy: what `Training.snapshots` was, float32 [laps, numbers], or no laps.

    Raises:
        ModelmillError: it is missing or damaged.
    """
    path = folder / SNAPSHOTS
    laps, card = len(read_history(folder)), read_card(folder)
    of_outputs = card.settings["fit"].get("snapshots") == "outputs"
    numbers = SHOWN * card.spec.outputs if of_outputs else card.parameters
    with undamaged(path, remedy(folder)):
        snapshots = processed.open_array(path)
        if snapshots.shape not in ((laps, numbers), (0, numbers)):
            raise ValueError(f"{snapshots.shape} for {laps} laps of {numbers} numbers")
        if snapshots.dtype != np.float32:
            raise ValueError(f"{snapshots.dtype} is not float32")
        return snapshots


def set_weights(model: "keras.Model", snapshot: np.ndarray) -> None:
    """Gives `model` the weights of a row of `read_snapshots`."""
    ends = np.cumsum([math.prod(weight.shape) for weight in model.weights])
    parts = np.split(snapshot, ends[:-1])
    model.set_weights([p.reshape(w.shape) for p, w in zip(parts, model.weights, strict=True)])


def restore(folder: Path, spec: Spec | None = None) -> "keras.Model":
    """The trained model in `folder`, rebuilt for `spec` if that differs from its own.

    Raises:
        ModelmillError: its card or its weights are damaged, or do not belong to one another.
    """
    card, path = read_card(folder), folder / WEIGHTS
    name, arch = card.settings["model"], card.settings["arch"]
    net = validate(part("models", arch, f"{CARD}: arch").Net, card.settings["net"], "net", CARD)
    with undamaged(path, remedy(folder)):
        if card.digest and card.digest != _digest(folder, card):
            raise ValueError(f"it is not what {CARD} was written of, or that has changed")
        model = models.build(name, arch, net, spec or card.spec)
        try:
            model.load_weights(path)
        except MemoryError:
            raise
        except Exception as error:  # of damaged files h5py raises almost anything
            raise ValueError(f"it does not fit {CARD}: {error}") from None
    return model
