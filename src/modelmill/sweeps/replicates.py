"""A model for each of some seeds, or folds of its data, and what is known of each.

That is a record in data/replicates, known by the digest of what it was made from; what the
pipeline has made stays untouched.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelmill import params
from modelmill.datasets import prepared, processed
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import data_sha256, read_json, undamaged, write_json
from modelmill.params import Model, Params
from modelmill.schema import Section, choose, validate
from modelmill.sweeps.settings import with_values
from modelmill.trained import artifacts
from modelmill.trained.history import read_history

FOLDER = Path("data/replicates")


class Record(Section):
    """What a replicate gave.

    Attributes:
        over: the key of params.yaml, with its value.
        metrics: of the evaluation.
        history: a row per lap of the training, of its last phase where it has several.
    """

    over: dict[str, Any]
    metrics: dict[str, int | float]
    history: list[dict[str, float]]

    @classmethod
    def of(cls, key: str, value: Any, metrics: Mapping[str, float], model: Path) -> "Record":
        """Of the model that was trained in a folder, and evaluated."""
        history = read_history(model).to_dict("records")
        return cls(over={key: value}, metrics=dict(metrics), history=history)


@dataclass(frozen=True)
class Replicate:
    """Model `name` of params.yaml where `key` has that value."""

    name: str
    key: str
    value: Any
    params: Params
    data: Processed

    def __str__(self) -> str:
        return f"{self.name}, {self.kind} {self.value}"

    @property
    def kind(self) -> str:
        """What it is one of: a seed, a fold."""
        return self.key.rpartition(".")[2]

    @property
    def entry(self) -> Model:
        return self.params.models[self.name]

    @cached_property
    def fingerprint(self) -> str:
        return artifacts.fingerprint(self.params.training(self.name), self.data.digest)

    @property
    def path(self) -> Path:
        """Where its record is, or will be."""
        digest = data_sha256([self.fingerprint, self.entry.eval.model_dump()])
        return FOLDER / self.name / f"{digest[:16]}.json"

    def record(self) -> Record | None:
        """What is known of it: the pipeline's own run where it is of the same, else its record.

        Raises:
            ModelmillError: there are both, and they differ.
        """
        own, kept = self._of_pipeline(), None
        if self.path.exists():
            with undamaged(self.path, f"rm {self.path}"):
                kept = validate(Record, read_json(self.path), "", str(self.path))
        if not own:
            return kept
        if not kept:
            self.keep(own)
        elif own.metrics != kept.metrics:
            metric = self.entry.reference.metric
            raise ModelmillError(
                f"{self}: {metric} {kept.metrics.get(metric)} in {self.path} and "
                f"{own.metrics.get(metric)} in data/metrics/{self.name}.json, of the same "
                "settings, data and code of training: if what evaluates has changed, the other "
                f"replicates are of before as well: run `rm -r {self.path.parent}`"
            )
        return own

    def keep(self, record: Record) -> None:
        write_json(self.path, record.model_dump())

    def _of_pipeline(self) -> Record | None:
        folder = Path("data/models", self.name)
        if not (folder / artifacts.CARD).exists():
            return None
        card = artifacts.read_card(folder)
        found = artifacts.read_evaluation(Path("data"), card)
        if not found or card.fingerprint != self.fingerprint:
            return None
        if found["eval"] != self.entry.eval.model_dump():
            return None
        return Record.of(self.key, self.value, found["metrics"], folder)


def check(base: Mapping[str, Any], names: Sequence[str], key: str, values: Sequence[Any]) -> None:
    """Raises ModelmillError if these models cannot have these values of a key of params.yaml."""
    place: Any = base
    for inner in key.split("."):
        if not isinstance(place, dict) or inner not in place:
            raise ModelmillError(f"--over {key}: params.yaml has no such key: no {inner}")
        place = place[inner]
    if isinstance(place, dict):
        raise ModelmillError(f"--over {key}: that is a block of keys: {', '.join(place)}")
    known = params.parse(base)
    for name in names:
        dataset = choose(known.models, name, "models").dataset
        if key != "seed" and not key.startswith(f"datasets.{dataset}.options."):
            raise ModelmillError(
                f"--over {key}: replicates of {name} differ in seed or datasets.{dataset}.options; "
                "settings are compared by `modelmill sweep`"
            )
    for value in values:
        params.parse(with_values(base, {key: value}), f"--over {key}={value}")


@contextmanager
def planned(
    base: Mapping[str, Any], names: Sequence[str], key: str, values: Sequence[Any]
) -> Iterator[list[Replicate]]:
    """The replicates of all models; within it there are the data that each is trained on.

    Raises:
        ModelmillError: data are missing, or are none for the model.
    """
    with TemporaryDirectory() as temporary:
        found, opened = [], dict[str, Processed]()
        for value in values:
            given = params.parse(with_values(base, {key: value}))
            for name in names:
                dataset = given.models[name].dataset
                place = dataset if key == "seed" else f"{dataset}={value}"
                if place not in opened:
                    opened[place] = _data(base, given, dataset, Path(temporary, place))
                replicate = Replicate(name, key, value, given, opened[place])
                replicate.entry.spec(name, replicate.data.meta)
                found.append(replicate)
        yield sorted(found, key=lambda each: names.index(each.name))


def _data(base: Mapping[str, Any], given: Params, name: str, out: Path) -> Processed:
    """The prepared data: the pipeline's, or in `out` where they are not of its options."""
    dataset = given.datasets[name]
    if dataset == params.parse(base).datasets[name]:
        return prepared.load(name, dataset)
    out.mkdir()
    dataset.prepare(name, out)
    return processed.load(out)
