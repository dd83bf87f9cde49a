"""A trained model on disk: weights, the card that says how to rebuild it, its history.

model.weights.h5, history.csv and snapshots.npy (the weights after each lap, where `fit` asks for
them) hold results; model.json says what the training was made from, so that a model is rebuilt,
and its run recorded, without params.yaml.
"""

import csv
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelmill import models, runtime
from modelmill.errors import ModelmillError
from modelmill.files import json_text, write_json
from modelmill.models import Input, Spec
from modelmill.parts import PACKAGE, part
from modelmill.schema import validate

if TYPE_CHECKING:
    import keras
    import pandas as pd

WEIGHTS, CARD, HISTORY = "model.weights.h5", "model.json", "history.csv"
SNAPSHOTS = "snapshots.npy"
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
    """

    settings: dict[str, Any]
    spec: Spec
    data: str
    fingerprint: str
    parameters: int
    numerics: dict[str, str] = field(default_factory=dict)
    kept: int = 0

    @property
    def continued(self) -> str:
        """Hex digest that two trainings share if the one may go on from where the other stopped."""
        content = [self.fingerprint, self.numerics]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def card(settings: dict[str, Any], spec: Spec, data: str, model: "keras.Model") -> Card:
    """The card of a model about to be trained on data with that digest."""
    made_from = fingerprint(settings, data)
    return Card(settings, spec, data, made_from, model.count_params(), runtime.numerics())


def fingerprint(settings: Mapping[str, Any], data: str) -> str:
    """Hex digest that two trainings share if they have the same settings, data and code.

    The code is what `code` lists, and TensorFlow's and Keras's versions.
    """
    content = [settings, data, version("tensorflow"), version("keras")]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for path in code(settings):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


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
    history: list[dict[str, float]],
    snapshots: np.ndarray,
) -> None:
    """Writes the four files, the same bytes for the same training."""
    model.save_weights(folder / WEIGHTS)
    np.save(folder / SNAPSHOTS, snapshots)
    write_json(folder / CARD, asdict(card))
    with (folder / HISTORY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history[0])
        writer.writerows([f"{value:.9g}" for value in row.values()] for row in history)


def read_card(folder: Path) -> Card:
    """Reads model.json.

    Raises:
        ModelmillError: there is no trained model in `folder`, or its card is damaged.
    """
    try:
        fields = json.loads((folder / CARD).read_text(encoding="utf-8"))
        inputs = {
            name: Input(tuple(given["shape"]), given["ids"])
            for name, given in fields["spec"]["inputs"].items()
        }
        spec = Spec(inputs, fields["spec"]["outputs"])
        return Card(**{**fields, "spec": spec})
    except FileNotFoundError:
        raise ModelmillError(
            f"no trained model in {folder}: run `dvc repro train@{folder.name}`"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelmillError(f"{folder / CARD} is damaged: {error}") from None


def read_history(folder: Path) -> "pd.DataFrame":
    """Reads history.csv: a row per lap."""
    import pandas as pd

    return pd.read_csv(folder / HISTORY)


def save_evaluation(
    figures: Path, card: Card, options: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Writes evaluation.json beside the figures: what was evaluated, and which metrics it gave.

    The metrics are known by the digest of their file, which is written after this one: of an
    evaluation that was killed between the two, neither is believed.

    Args:
        options: the model's `eval` in params.yaml.
        metrics: what data/metrics/NAME.json gets.
    """
    digest = hashlib.sha256(json_text(metrics).encode()).hexdigest()
    content = {"fingerprint": card.fingerprint, "eval": dict(options), "metrics": digest}
    write_json(figures / EVALUATION, content)


def read_evaluation(data: Path, card: Card) -> dict[str, Any] | None:
    """The `eval` and the `metrics` of the model of that card, None if it was not evaluated.

    Args:
        data: the folder with figures/ and metrics/.
    """
    name = card.settings["model"]
    try:
        found = json.loads((data / "figures" / name / EVALUATION).read_text(encoding="utf-8"))
        metrics = (data / "metrics" / f"{name}.json").read_bytes()
    except FileNotFoundError:
        return None
    evaluated = card.fingerprint, hashlib.sha256(metrics).hexdigest()
    if (found["fingerprint"], found["metrics"]) != evaluated:
        return None
    return {"eval": found["eval"], "metrics": json.loads(metrics)}


def read_snapshots(folder: Path) -> np.ndarray:
    """Opens snapshots.npy: the weights after each lap, float32 [laps, parameters], or no laps."""
    return np.load(folder / SNAPSHOTS, mmap_mode="r", allow_pickle=False)


def set_weights(model: "keras.Model", snapshot: np.ndarray) -> None:
    """Gives `model` the weights of a row of `read_snapshots`."""
    ends = np.cumsum([math.prod(weight.shape) for weight in model.weights])
    parts = np.split(snapshot, ends[:-1])
    model.set_weights([p.reshape(w.shape) for p, w in zip(parts, model.weights, strict=True)])


def restore(folder: Path, spec: Spec | None = None) -> "keras.Model":
    """The trained model in `folder`, rebuilt for `spec` if that differs from its own."""
    card = read_card(folder)
    name, arch = card.settings["model"], card.settings["arch"]
    net = validate(part("models", arch, f"{CARD}: arch").Net, card.settings["net"], "net", CARD)
    model = models.build(name, arch, net, spec or card.spec)
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise ModelmillError(f"{folder / WEIGHTS} does not fit {CARD}: {error}") from None
    return model
