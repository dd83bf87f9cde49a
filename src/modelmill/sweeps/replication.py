"""Replicates made side by side, as stages train and evaluate would make them, in workers of Ray."""

import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

from modelmill import params, repository, runtime
from modelmill.datasets import processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job, evaluate
from modelmill.sweeps.replicates import Record, Replicate
from modelmill.sweeps.settings import with_values
from modelmill.trained import artifacts
from modelmill.trained.training import CHECKPOINTS, begin

if TYPE_CHECKING:
    import ray

LOOK_SECONDS = 0.5  # between two looks whether Ctrl-C was pressed


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
    from tqdm import tqdm

    from modelmill.sweeps.cluster import workers

    problems = []
    bar = tqdm(total=len(missing), desc="replicates", disable=None)
    with workers(), bar, _stopping() as stopped:
        tasks = _begin(base, missing)
        try:
            while tasks:
                done, _ = ray.wait([*tasks], timeout=LOOK_SECONDS)
                if stopped.is_set():
                    raise KeyboardInterrupt
                for task in done:
                    each = tasks.pop(task)
                    try:
                        said = f"{each}: {_keep(each, task)}"
                    except ModelmillError as error:
                        problems.append(said := f"{each}: {error}")
                    bar.update()
                    if bar.disable:
                        count = len(missing) - len(tasks)
                        print(f"{count}/{len(missing)}: {said}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            for task in tasks:
                ray.cancel(task)
            stopped.clear()
            running = [*tasks]
            while running and not stopped.is_set():  # until checkpoints are saved, or Ctrl-C again
                _, running = ray.wait([*tasks], num_returns=len(tasks), timeout=LOOK_SECONDS)
            for task in tasks.keys() - running:
                with suppress(ModelmillError):  # of those that were broken off
                    _keep(tasks[task], task)
            raise
    if problems:
        raise ModelmillError("; ".join(problems))


def _begin(
    base: Mapping[str, Any], missing: Sequence[Replicate]
) -> "dict[ray.ObjectRef[Record], Replicate]":
    import ray

    from modelmill.sweeps.cluster import RETRIES

    kept = repository.root() / CHECKPOINTS
    data = {folder: ray.put(files(folder)) for folder in {each.data.folder for each in missing}}
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(make)
    return {
        remote.remote(base, each.name, each.key, each.value, data[each.data.folder], kept): each
        for each in missing
    }


def _keep(each: Replicate, task: "ray.ObjectRef[Record]") -> str:
    """Keeps what a worker has made; returns its figure.

    Raises:
        ModelmillError: the worker did not come to its end.
    """
    import ray
    from ray.exceptions import RayError

    from modelmill.sweeps.cluster import told

    try:
        each.keep(record := ray.get(task))
    except RayError as error:
        raise ModelmillError(f"{told(error):.300}") from None
    reference = each.entry.reference
    return f"{reference.metric} {reference.of(record.metrics, each.name):.4g}"


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
        record = Record.of(key, value, evaluate(job, entry.eval), model)
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    keras.backend.clear_session()
    return record
