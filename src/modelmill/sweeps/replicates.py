"""A model trained and evaluated for each of some seeds, or folds of its data, side by side.

Each replicate goes through what stages train and evaluate go through, in a worker of Ray. What is
kept of it is a record in data/replicates, known by the digest of what it was made from; what the
pipeline has made stays untouched.
"""

import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from modelmill import params, repository, runtime
from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job, evaluate
from modelmill.files import read_json, undamaged, write_json
from modelmill.params import Model, Params
from modelmill.parts import part
from modelmill.schema import Section, choose, validate
from modelmill.sweeps.settings import with_values
from modelmill.trained import artifacts
from modelmill.trained.history import read_history
from modelmill.trained.training import CHECKPOINTS, begin

FOLDER = Path("data/replicates")
LOOK_SECONDS = 0.5  # between two looks whether Ctrl-C was pressed


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
        content = json.dumps([self.fingerprint, self.entry.eval.model_dump()], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
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
                f"settings, data and code: run `rm {self.path}` to go on with the pipeline's"
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
        return _record(self.key, self.value, found["metrics"], folder)


def _record(key: str, value: Any, metrics: Mapping[str, float], model: Path) -> Record:
    history = read_history(model).to_dict("records")
    return Record(over={key: value}, metrics=dict(metrics), history=history)


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
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER, prefix=".") as temporary:
        found, prepared = [], dict[str, Processed]()
        for value in values:
            given = params.parse(with_values(base, {key: value}))
            for name in names:
                dataset = given.models[name].dataset
                place = dataset if key == "seed" else f"{dataset}={value}"
                if place not in prepared:
                    prepared[place] = _data(base, given, dataset, Path(temporary, place))
                replicate = Replicate(name, key, value, given, prepared[place])
                replicate.entry.spec(name, replicate.data.meta)
                found.append(replicate)
        yield sorted(found, key=lambda each: names.index(each.name))


def _data(base: Mapping[str, Any], given: Params, name: str, out: Path) -> Processed:
    """The prepared data: the pipeline's, or in `out` where they are not of its options."""
    dataset = given.datasets[name]
    if dataset == params.parse(base).datasets[name]:
        return processed.load(Path("data/processed", name))
    out.mkdir()
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    reader.prepare(Path("data/raw", name), out, dataset.options)
    return processed.load(out)


def run(base: Mapping[str, Any], replicates: Sequence[Replicate]) -> list[Record]:
    """The records of all replicates; those that there are none of are made, and kept at once.

    Raises:
        ModelmillError: some could not be made; all the others are kept.
        KeyboardInterrupt: saying how many are kept; the others left a checkpoint if they had begun.
    """
    if missing := [each for each in replicates if not each.record()]:
        try:
            make_all(base, missing)
        except KeyboardInterrupt:
            done = sum(each.path.exists() for each in replicates)
            raise KeyboardInterrupt(
                f"{done} of {len(replicates)} replicates are kept; the same command goes on with "
                "the others from where they are"
            ) from None
    return [record for each in replicates if (record := each.record())]


def make_all(base: Mapping[str, Any], missing: Sequence[Replicate]) -> None:
    """Makes replicates in the workers of Ray, and keeps each as soon as it is made."""
    import ray
    from ray.exceptions import RayError, RayTaskError
    from tqdm import tqdm

    from modelmill.sweeps.cluster import RETRIES, workers

    kept, problems = repository.root() / CHECKPOINTS, []
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(make)
    bar = tqdm(total=len(missing), desc="replicates", disable=None)
    with workers(), bar, _stopping() as stopped:
        folders = {each.data.folder for each in missing}
        data = {folder: ray.put(files(folder)) for folder in folders}
        tasks = {
            remote.remote(base, each.name, each.key, each.value, data[each.data.folder], kept): each
            for each in missing
        }
        try:
            while tasks:
                done, _ = ray.wait([*tasks], timeout=LOOK_SECONDS)
                if stopped.is_set():
                    raise KeyboardInterrupt
                if not done:
                    continue
                (task,) = done
                each = tasks[task]
                try:
                    each.keep(record := ray.get(task))
                    metric = each.entry.reference.metric
                    said = f"{each}: {metric} {record.metrics[metric]:.4g}"
                except RayError as error:
                    cause = error.cause if isinstance(error, RayTaskError) else error
                    kind = "" if isinstance(cause, ModelmillError) else f"{type(cause).__name__}: "
                    said = f"{each}: {kind}{' '.join(str(cause).split()):.300}"
                    problems.append(said)
                del tasks[task]
                bar.update()
                if bar.disable:
                    count = len(missing) - len(tasks)
                    print(f"{count}/{len(missing)}: {said}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            for task in tasks:
                ray.cancel(task)
            ray.wait([*tasks], num_returns=len(tasks))  # until their checkpoints are saved
            for task, each in tasks.items():
                with suppress(RayError):  # of those that were broken off
                    each.keep(ray.get(task))
            raise
    if problems:
        raise ModelmillError("; ".join(problems))


@contextmanager
def _stopping() -> Iterator[Event]:
    """Set after Ctrl-C, whose exception would be lost where it is raised in Ray's own calls."""
    stopped = Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def files(folder: Path) -> Mapping[str, bytes]:
    """Those of a prepared data set, by name, as they travel to a worker."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make(
    base: Mapping[str, Any], name: str, key: str, value: Any, data: Mapping[str, bytes], kept: Path
) -> Record:
    """Makes a replicate, in a worker of Ray that may have made others.

    Args:
        data: the files of the prepared data, by name.
        kept: the folder of all trainings' checkpoints.
    """
    given = params.parse(with_values(base, {key: value}))
    entry = given.models[name]
    with TemporaryDirectory() as temporary:
        folder, model = Path(temporary, entry.dataset), Path(temporary, "model")
        folder.mkdir()
        model.mkdir()
        for file, content in data.items():
            (folder / file).write_bytes(content)
        prepared = processed.load(folder)
        spec = entry.spec(name, prepared.meta)
        training, card, checkpoints = begin(given, name, spec, prepared, kept, cores=1)
        import keras

        with checkpoints:
            training.run(checkpoints)
        card = replace(card, kept=training.kept)
        artifacts.save(model, training.model, card, training.history, training.snapshots)
        runtime.start(given.seed, cores=1)
        kinds = ("figures", "evaluations", "curves")
        job = Job(
            model, artifacts.read_card(model), prepared, *(Path(temporary, kind) for kind in kinds)
        )
        record = _record(key, value, evaluate(job, entry.eval), model)
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    keras.backend.clear_session()
    return record
