"""The typed, validated view of conf/sweep/NAME.yaml.

Like params.py, nothing here imports TensorFlow, Ray or Optuna: a typo is answered at once.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from modelmill.errors import ModelmillError
from modelmill.params import Params, check_name, parse
from modelmill.parts import part
from modelmill.plain_yaml import read_yaml
from modelmill.schema import (
    PositiveFloat,
    PositiveInt,
    Section,
    check_choice,
    choose,
    validate,
)

if TYPE_CHECKING:
    import optuna

Scalar = bool | int | float | str
Values = dict[str, Any]  # of a trial, by dotted key
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Integers = Annotated[list[int], Field(min_length=2, max_length=2)]


class Dimension(Section):
    """Where the values of one key come from: one of these ranges, both ends included, or a list.

    Attributes:
        uniform: real numbers, evenly.
        log_uniform: real numbers above 0, evenly by their logarithm.
        integer: whole numbers, evenly.
        log_integer: whole numbers above 0, evenly by their logarithm.
        choice: these values.
        when: values of other keys of the space without which this key keeps its value of conf/.
    """

    uniform: Pair | None = None
    log_uniform: Pair | None = None
    integer: Integers | None = None
    log_integer: Integers | None = None
    choice: Annotated[list[Scalar | list[Scalar]], Field(min_length=1)] | None = None
    when: dict[str, Scalar] = Field({})

    @model_validator(mode="after")
    def _is_one_range(self) -> "Dimension":
        kinds = sorted(set(type(self).model_fields) - {"when"})
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(kinds)}")
        if self.choice:
            if any(value in self.choice[:place] for place, value in enumerate(self.choice)):
                raise ValueError("a value is there twice")
            return self
        low, high = getattr(self, given[0])
        if low >= high or (given[0].startswith("log") and low <= 0):
            raise ValueError(
                f"{given[0]} goes from a lower to a higher number, a log_ from above 0"
            )
        return self

    def suggest(self, key: str, trial: "optuna.Trial") -> Any:
        """The value that Optuna chooses for this trial."""
        if self.choice:
            # Optuna knows no lists: it gets their text.
            labels: dict[Any, Any] = {_label(value): value for value in self.choice}
            return labels[trial.suggest_categorical(key, list(labels))]
        if reals := self.uniform or self.log_uniform:
            return trial.suggest_float(key, *reals, log=self.log_uniform is not None)
        integers = self.integer or self.log_integer
        assert integers
        return trial.suggest_int(key, *integers, log=self.log_integer is not None)

    def extremes(self) -> list[Any]:
        """The values that show whether all are valid."""
        ends = self.uniform or self.log_uniform or self.integer or self.log_integer
        return list(self.choice or ends or [])


class Asha(Section):
    """Li et al. 2018: after `grace`, `grace * factor`, ... laps the best 1 in `factor` go on.

    Attributes:
        grace: laps before the first choice.
        factor: of how many trials one goes on.
    """

    name: Literal["asha"]
    grace: PositiveInt
    factor: Annotated[int, Field(ge=2)] = 3


class Median(Section):
    """Golovin et al. 2017: after `grace` laps, those worse than the median of others' means end.

    Attributes:
        grace: laps before the first choice.
        trials: that must have come as far.
    """

    name: Literal["median"]
    grace: PositiveInt
    trials: PositiveInt = 3


class Resources(Section):
    """What a trial is given.

    Attributes:
        cpus: cores.
        gpus: graphics processors; 0.5 is half of one.
        memory_gb: of main memory, which limits how many run at once; null limits nothing.
    """

    cpus: PositiveInt = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    memory_gb: PositiveFloat | None = None


class Sweep(Section):
    """One file of conf/sweep.

    Attributes:
        about: one line for people.
        model: a key of `models`.
        overrides: of Hydra, for what all trials share: the profile, a shorter training.
        space: by dotted key of params.yaml, of the model's net or fit or seed; a number is a place
            in a list.
        trials: how many; null, which only a grid can have, is the whole grid.
        metric: a column of the history that is measured on validation data.
        mode: whether it is to be smallest or largest.
        sampler: Optuna's, which chooses the values.
        stopping: what ends poor trials early; null for nothing.
        resources: what a trial is given.
        minutes: after which no trial goes on.
        seed: of the sampler. That of the trials is the one in conf/.
    """

    about: str
    model: str
    overrides: list[str] = Field([])
    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    trials: PositiveInt | None
    metric: str
    mode: Literal["min", "max"]
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    stopping: Annotated[Asha | Median, Field(discriminator="name")] | None = None
    resources: Resources = Resources()
    minutes: PositiveFloat | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1

    @model_validator(mode="after")
    def _fits_together(self) -> "Sweep":
        seen: list[str] = []
        for key, dimension in self.space.items():
            for other, value in dimension.when.items():
                if other not in seen:
                    raise ValueError(f"space.{key}.when: {other} is no key above this one")
                if value not in (self.space[other].choice or []):
                    raise ValueError(f"space.{key}.when: {other} is never {value!r}")
            if self.sampler == "grid" and not dimension.choice:
                raise ValueError(f"space.{key}: a grid needs a choice")
            seen.append(key)
        if self.trials is None and self.sampler != "grid":
            raise ValueError(f"trials: the sampler {self.sampler!r} needs a number")
        if self.sampler == "grid" and self.trials is not None:
            raise ValueError("trials: a grid says itself how many there are; expected null")
        return self

    def suggest(self, trial: "optuna.Trial") -> Values:
        """The values of a trial."""
        return self._filled(lambda key: self.space[key].suggest(key, trial))

    def short(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """With keys as in the runs of single trainings: fit.learning_rate and so on."""
        return {key.removeprefix(f"models.{self.model}."): entries[key] for key in entries}

    def grid(self) -> list[Values]:
        """Every combination of the choices, once, as Optuna names them."""
        keys = list(self.space)
        points: list[Values] = []
        for values in itertools.product(*(self.space[key].choice or [] for key in keys)):
            point = self._filled(dict(zip(keys, values, strict=True)).__getitem__)
            if point not in points:
                points.append(point)
        return [{key: _label(value) for key, value in point.items()} for point in points]

    def _filled(self, value: Callable[[str], Any]) -> Values:
        """The values of all keys whose conditions hold."""
        values: Values = {}
        for key, dimension in self.space.items():
            if all(values.get(other) == wanted for other, wanted in dimension.when.items()):
                values[key] = value(key)
        return values

    def corners(self) -> Iterator[Values]:
        """Every extreme value of every key, with what it is conditional on, and nothing else."""
        for key, dimension in self.space.items():
            for value in dimension.extremes():
                yield {**self._conditions(key), key: value}

    def _conditions(self, key: str) -> Values:
        values: Values = {}
        for other, value in self.space[key].when.items():
            values |= {**self._conditions(other), other: value}
        return values


def load(folder: Path, name: str) -> Sweep:
    """Reads and validates conf/sweep/NAME.yaml.

    Raises:
        ModelmillError: one line that names the key at fault.
    """
    check_choice("sweep", name, [path.stem for path in folder.glob("*.yaml")])
    path = folder / f"{name}.yaml"
    check_name(str(path), name)
    return validate(Sweep, read_yaml(path), "", str(path))


def check(sweep: Sweep, base: Mapping[str, Any], origin: str) -> Params:
    """The parsed `base`, if the sweep's model, metric and every end of its ranges are valid in it.

    Args:
        base: the data of params.yaml, composed with the sweep's overrides.
        origin: the sweep's file.

    Raises:
        ModelmillError: one line that names the key at fault.
    """
    params = parse(base, "conf")
    entry = choose(params.models, sweep.model, f"{origin}: model")
    for key in sweep.space:
        parts = (f"models.{sweep.model}.net.", f"models.{sweep.model}.fit.")
        if key != "seed" and not key.startswith(parts):
            makes = f"only seed, {parts[0][:-1]} and {parts[1][:-1]} make a trial"
            raise ModelmillError(f"{origin}: space.{key}: {makes}")
    task = part("tasks", entry.task, f"models.{sweep.model}.task")
    measured = [f"validation_{name}" for name in task.METRICS]
    check_choice(f"{origin}: metric", sweep.metric, measured)
    better = task.METRICS[sweep.metric.removeprefix("validation_")]
    if sweep.mode != {"lower": "min", "higher": "max"}[better]:
        raise ModelmillError(f"{origin}: mode: of {sweep.metric} the {better} is better")
    reader = part("datasets", params.datasets[entry.dataset].reader, "reader")
    check_choice(f"{origin}: the split that trials are judged on", "validation", reader.SPLITS)
    for values in sweep.corners():
        parse(with_values(base, values, origin), f"{origin}: with {shown(values)}: conf")
    return params


def with_values(base: Mapping[str, Any], values: Values, origin: str = "sweep") -> dict[str, Any]:
    """A copy of the data of params.yaml with some keys set; the last part of a key may be new.

    Raises:
        ModelmillError: there is nothing that a key could be set in.
    """
    result: dict[str, Any] = copy.deepcopy(dict(base))
    for key, value in values.items():
        *path, last = key.split(".")
        place: Any = result
        for name in path:
            place = _inner(place, name, f"{origin}: space.{key}")
        if isinstance(place, list):
            _inner(place, last, f"{origin}: space.{key}")
            place[int(last)] = value
        elif isinstance(place, dict):
            place[last] = value
        else:
            raise ModelmillError(f"{origin}: space.{key}: {path[-1]} has no parts")
    return result


def shown(values: Mapping[str, Any]) -> str:
    """Values as one line of text."""
    return ", ".join(
        f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
        for key, value in values.items()
    )


def _inner(place: Any, name: str, where: str) -> Any:
    if isinstance(place, list):
        place = {str(index): value for index, value in enumerate(place)}
    if not isinstance(place, dict):
        raise ModelmillError(f"{where}: there is nothing below the part before {name!r}")
    return choose(place, name, where)


def _label(value: Any) -> Scalar:
    return json.dumps(value) if isinstance(value, list) else value
