"""The typed, validated view of params.yaml, and its only reader.

Nothing here imports TensorFlow, so that a typo is answered at once. What one part of the pipeline
needs is declared beside its code: `Fit` in ``training/settings.py``, `Net` in
``models/ARCH.py``, `Eval` in ``evaluation/TASK.py``, `Options` in ``datasets/READER.py``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from modelmill.datasets.settings import Dataset
from modelmill.errors import ModelmillError
from modelmill.parts import part
from modelmill.plain_yaml import read_yaml
from modelmill.reference import Reference
from modelmill.schema import Section, check_choice, validate
from modelmill.training.settings import Fit

NAME = re.compile(r"[a-z][a-z0-9_]*")


class Model(Section):
    """One entry of `models`; `net` and `eval` are typed by the architecture and the task."""

    about: str
    dataset: str
    task: str
    arch: str
    net: Any
    train_for: dict[str, str]
    fit: Fit
    eval: Any
    reference: Reference


class Params(Section):
    """All of params.yaml."""

    profile: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    synthetic_data: dict[str, int] | None
    log_models: bool
    datasets: dict[str, Dataset]
    models: dict[str, Model]

    def training(self, name: str) -> dict[str, Any]:
        """What the training of model `name` depends on, besides the data and the code."""
        keys = {"dataset", "task", "arch", "net", "fit"}
        return {"model": name, "seed": self.seed, **self.models[name].model_dump(include=keys)}


# --- loading -------------------------------------------------------------------------------


def load(path: Path = Path("params.yaml")) -> Params:
    """Reads and validates params.yaml; see `parse`."""
    return parse(read_yaml(path))


def parse(value: Any, origin: str = "params.yaml") -> Params:
    """Types and validates the data of params.yaml; `origin` is named in errors.

    Raises:
        ModelmillError: one line that names the key at fault, and the nearest valid one.
    """
    params = validate(Params, value, "", origin)
    datasets = {
        name: _typed_dataset(name, entry, origin) for name, entry in params.datasets.items()
    }
    models = {
        name: _typed_model(name, entry, datasets, origin) for name, entry in params.models.items()
    }
    return params.model_copy(update={"datasets": datasets, "models": models})


def _typed_dataset(name: str, entry: Dataset, origin: str) -> Dataset:
    from modelmill.datasets.generate import GENERATORS

    where = f"{origin}: datasets.{name:.60}"
    _check_name(where, name)
    reader = part("datasets", entry.reader, f"{where}.reader")
    typed: dict[str, Section] = {
        "options": validate(reader.Options, entry.options, f"datasets.{name}.options", origin)
    }
    if entry.generate is not None:
        check_choice(
            f"{where}.generate: among the readers to generate for", entry.reader, GENERATORS
        )
        settings = GENERATORS[entry.reader].Settings
        typed["generate"] = validate(settings, entry.generate, f"datasets.{name}.generate", origin)
    return entry.model_copy(update=typed)


def _typed_model(name: str, entry: Model, datasets: Mapping[str, Dataset], origin: str) -> Model:
    where = f"{origin}: models.{name:.60}"
    _check_name(where, name)
    check_choice(f"{where}.dataset", entry.dataset, datasets)
    task = part("tasks", entry.task, f"{where}.task")
    evaluation = part("evaluation", entry.task, f"{where}.task")
    arch = part("models", entry.arch, f"{where}.arch")
    typed = {
        "net": validate(arch.Net, entry.net, f"models.{name}.net", origin),
        "eval": validate(evaluation.Eval, entry.eval, f"models.{name}.eval", origin),
    }
    if (entry.fit.num_steps is None) == (task.TARGETS == "tokens"):
        needs = "has no meaning" if entry.fit.num_steps else "is required"
        raise ModelmillError(f"{where}.fit.num_steps {needs} for task '{entry.task}'")
    if entry.fit.reduction == "sum_over_steps" and entry.fit.num_steps is None:
        raise ModelmillError(f"{where}.fit.reduction: 'sum_over_steps' needs fit.num_steps")
    if entry.fit.corruption and task.TARGETS != "x":
        raise ModelmillError(f"{where}.fit.corruption has no meaning for task '{entry.task}'")
    check_choice(f"{where}.fit.loss", entry.fit.loss or task.LOSSES[0], task.LOSSES)
    reader = part("datasets", datasets[entry.dataset].reader, f"{where}.dataset")
    check_choice(
        f"{where}.task: among those for data set '{entry.dataset}'", entry.task, reader.TASKS
    )
    check_choice(f"{where}.eval.split", typed["eval"].split, reader.SPLITS)
    if entry.fit.stop and entry.fit.stop.metric == "validation_loss":
        check_choice(f"{where}.fit.stop.metric: the split it needs", "validation", reader.SPLITS)
    check_choice(f"{where}.reference.metric", entry.reference.metric, evaluation.METRICS)
    return entry.model_copy(update=typed)


def _check_name(where: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ModelmillError(
            f"{where}: a name is lower-case letters, digits and _, starting with a letter"
        )
