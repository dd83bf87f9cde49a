"""The typed, validated view of params.yaml, and its only reader.

Nothing here imports TensorFlow, so that a typo is answered at once. What one part of the pipeline
needs is declared beside its code: `Fit` in ``tasks/TASK.py``, `Net` in ``models/ARCH.py``, `Eval`
in ``evaluation/TASK.py``, `Options` in ``datasets/READER.py``.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field

from modelmill.datasets.settings import Dataset
from modelmill.errors import ModelmillError
from modelmill.models import Spec
from modelmill.parts import metrics, part
from modelmill.plain_yaml import read_yaml
from modelmill.reference import Reference
from modelmill.schema import Section, check_choice, validate
from modelmill.training.settings import Fit, Length

NAME = re.compile(r"[a-z][a-z0-9_]*")


class Model(Section):
    """One entry of `models`; `net` is typed by the architecture, `fit` and `eval` by the task.

    Attributes:
        about: one line for people.
        dataset: a key of `datasets`.
        task: a module of `tasks/`: what is learnt, and how.
        arch: a module of `models/`: the architecture.
        net: the architecture's own settings.
        train_for: how long, for each profile; `full` is what the goal is set for.
        pretrain_for: how long hidden layers learn before, for each profile, where they do.
        fit: how it is trained.
        eval: what is measured after training.
        reference: what the result is held against.
    """

    about: str
    dataset: str
    task: str
    arch: str
    net: Any
    train_for: dict[str, Length]
    pretrain_for: dict[str, dict[str, Length]] = Field(default_factory=dict)
    fit: Any
    eval: Any
    reference: Reference

    def typed(self, name: str, origin: str) -> "Model":
        """With `net`, `fit` and `eval` of the model that is called `name` typed and validated."""
        where = f"models.{name}"
        task = part("tasks", self.task, f"{origin}: {where}.task")
        evaluation = part("evaluation", self.task, f"{origin}: {where}.task")
        arch = part("models", self.arch, f"{origin}: {where}.arch")
        typed = {
            "net": validate(arch.Net, self.net, f"{where}.net", origin),
            "fit": validate(task.Fit, self.fit, f"{where}.fit", origin),
            "eval": validate(evaluation.Eval, self.eval, f"{where}.eval", origin),
        }
        return self.model_copy(update=typed)

    def spec(self, name: str, meta: Mapping[str, Any]) -> Spec:
        """What the data set described by `meta` asks of this model, which is called `name`.

        Raises:
            ModelmillError: the task has no use for such data, or the architecture cannot take them.
        """
        arch = part("models", self.arch, f"models.{name}.arch")
        try:
            spec = part("tasks", self.task, f"models.{name}.task").spec(meta, self.fit)
        except ModelmillError as error:
            raise ModelmillError(
                f"models.{name}: task '{self.task}' on data set '{self.dataset}': {error}"
            ) from None
        try:
            if hasattr(arch, "check"):
                arch.check(self.net, spec)
        except ModelmillError as error:
            raise ModelmillError(f"models.{name}: architecture '{self.arch}' {error}") from None
        return spec


class Params(Section):
    """All of params.yaml.

    Attributes:
        profile: a file of conf/profile, which chooses data and lengths of training.
        seed: of every training: initial weights, order of examples, dropout.
        synthetic_data: what data sets are made up from in this profile; null for the real ones.
        log_models: whether MLflow gets each model, so that it can be served.
        datasets: by name.
        models: by name.
    """

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


def require_unchanged(before: Params, read: Callable[[Params], Any], done: str) -> None:
    """Looks whether params.yaml still says what a stage was run with.

    DVC records a result under the parameters that there are at its end.

    Args:
        read: takes what the stage depends on.
        done: what the stage did.

    Raises:
        ModelmillError: it does not.
    """
    with suppress(KeyError):
        if read(load()) == read(before):
            return
    raise ModelmillError(
        f"params.yaml changed while {done} with what it said before: the result is not kept; "
        "run dvc repro again"
    )


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
    check_name(f"{origin}: datasets.{name:.60}", name)
    return entry.typed(name, origin)


def _typed_model(name: str, entry: Model, datasets: Mapping[str, Dataset], origin: str) -> Model:
    where = f"{origin}: models.{name:.60}"
    check_name(where, name)
    check_choice(f"{where}.dataset", entry.dataset, datasets)
    check_choice(f"{where}.train_for", "full", entry.train_for)  # what goals are set for
    entry = entry.typed(name, origin)
    task = part("tasks", entry.task, f"{where}.task")
    arch = part("models", entry.arch, f"{where}.arch")
    reader = part("datasets", datasets[entry.dataset].reader, f"{where}.dataset")
    for array, kind in task.ARRAYS.items():
        if reader.ARRAYS.get(array) != kind:
            has = ", ".join(f"{name} ({what})" for name, what in reader.ARRAYS.items())
            raise ModelmillError(
                f"{where}.task: '{entry.task}' needs {array} ({kind}), "
                f"data set '{entry.dataset}' has {has}"
            )
    if set(arch.INPUTS) != set(task.INPUTS):
        raise ModelmillError(
            f"{where}.arch: '{entry.arch}' takes {', '.join(arch.INPUTS)}, "
            f"task '{entry.task}' gives {', '.join(task.INPUTS)}"
        )
    wanted, found = (getattr(each, "MACHINE", None) for each in (task, arch))
    if wanted != found:
        raise ModelmillError(
            f"{where}.arch: task '{entry.task}' trains {wanted or 'no Boltzmann machine'}, "
            f"'{entry.arch}' is {found or 'none'}"
        )
    _check_columns(f"{where}.fit", entry.fit, task, reader.SPLITS)
    check_choice(f"{where}.eval.split", entry.eval.split, reader.SPLITS)
    check_choice(f"{where}.reference.metric", entry.reference.metric, metrics(entry.task))
    return entry


def _check_columns(where: str, fit: Fit, task: ModuleType, splits: tuple[str, ...]) -> None:
    """The columns of the history that `fit` names are there, and say something."""
    measured = [f"validation_{name}" for name in task.METRICS] if "validation" in splits else []
    if fit.stop:
        learnt = [name for name in task.METRICS if name not in getattr(task, "UNLEARNT", ())]
        check_choice(f"{where}.stop.metric", fit.stop.metric, learnt + measured)
    if fit.keep == "best":
        if not measured:
            raise ModelmillError(f"{where}.keep: the data set has no validation split to choose by")
        check_choice(f"{where}.keep_by", fit.keep_by, measured)
    elif fit.keep_by != Fit.model_fields["keep_by"].default:
        raise ModelmillError(f"{where}.keep_by: it chooses where there is `keep: best`")


def check_name(where: str, name: str) -> None:
    """Raises ModelmillError unless a thing found `where` may be called so."""
    if not NAME.fullmatch(name):
        raise ModelmillError(
            f"{where}: a name is lower-case letters, digits and _, starting with a letter"
        )
