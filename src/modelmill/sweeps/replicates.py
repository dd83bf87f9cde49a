"""The same model trained and evaluated for each of some values of one key: folds, seeds, widths.

It goes through what the stages preprocess, train and evaluate go through, in a folder of its own;
what the pipeline has made stays untouched.
"""

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from modelmill import params
from modelmill.datasets import processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job
from modelmill.files import read_json, undamaged, write_json
from modelmill.parts import part
from modelmill.schema import choose
from modelmill.sweeps.settings import with_values
from modelmill.trained import artifacts

Metrics: TypeAlias = dict[str, float]
FOLDER = Path("data/replicates")


def check(base: Mapping[str, Any], names: Sequence[str], key: str, values: Sequence[Any]) -> None:
    """Raises ModelmillError if params.yaml has no such key, or is none with one of the values."""
    place: Any = base
    for inner in key.split("."):
        if not isinstance(place, dict) or inner not in place:
            raise ModelmillError(f"--over {key}: params.yaml has no such key: no {inner}")
        place = place[inner]
    if isinstance(place, dict):
        raise ModelmillError(f"--over {key}: that is a block of keys: {', '.join(place)}")
    known = params.parse(base)
    for name in names:
        choose(known.models, name, "models")
    for value in values:
        params.parse(with_values(base, {key: value}), f"--over {key}={value}")


def replicate(base: Mapping[str, Any], name: str, key: str, value: Any) -> Metrics:
    """What the evaluation of model `name` gives where `key` of params.yaml has that value.

    What was trained before by the same settings, data and code is not trained again.
    """
    with multiprocessing.get_context("spawn").Pool(1) as fresh:  # TensorFlow starts once a process
        return fresh.apply(_replicate, (base, name, key, value))


def _replicate(base: Mapping[str, Any], name: str, key: str, value: Any) -> Metrics:
    given = params.parse(with_values(base, {key: value}))
    entry, path = given.models[name], FOLDER / name / f"{key}={value}.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER, prefix=".") as temporary:
        folder = Path(temporary)
        if given.datasets[entry.dataset] == params.parse(base).datasets[entry.dataset]:
            prepared = Path("data/processed", entry.dataset)
        else:
            prepared = folder / entry.dataset
            _prepare(given, entry.dataset, prepared)
        data, settings = processed.load(prepared), given.training(name)
        made_from = {
            "fingerprint": artifacts.fingerprint(settings, data.digest),
            "eval": json.loads(json.dumps(entry.eval.model_dump())),
        }
        if path.exists():
            with undamaged(path, f"rm '{path}'"):
                known = read_json(path)
                if known["made_from"] == made_from:
                    return known["metrics"]
        metrics = _train_and_evaluate(given, name, data, folder)
    write_json(path, {"made_from": made_from, "metrics": metrics})
    return metrics


def _prepare(given: params.Params, name: str, out: Path) -> None:
    out.mkdir()
    dataset = given.datasets[name]
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    reader.prepare(Path("data/raw", name), out, dataset.options)


def _train_and_evaluate(
    given: params.Params, name: str, data: processed.Processed, folder: Path
) -> Metrics:
    from modelmill import runtime

    entry = given.models[name]
    spec = entry.spec(name, data.meta)
    runtime.start(given.seed, entry.fit.shards, precision=entry.fit.precision)
    from modelmill.training.progress import Progress
    from modelmill.training.session import Training

    training = Training(name, entry, spec, data, given.seed)
    card = artifacts.card(given.training(name), spec, data.digest, training.model)
    with Progress() as progress:
        training.run(progress)
    model, figures, texts = (folder / kind for kind in ("model", "figures", "texts"))
    for each in (model, figures, texts):
        each.mkdir()
    artifacts.save(model, training.model, card, training.history, training.snapshots)
    job = Job(model, artifacts.read_card(model), data, figures, texts)
    evaluation = part("evaluation", entry.task, f"models.{name}.task")
    metrics = evaluation.evaluate(job, entry.eval)
    job.require_whole(entry.eval.split, metrics)
    return {key: value for key, value in metrics.items() if isinstance(value, float)}


def table(found: Mapping[str, Sequence[Metrics]], values: Sequence[Any]) -> str:
    """A line for each metric of each model: by value, the mean, and the standard deviation."""
    width = max(len(name) for name in found)
    metrics = max(len(name) for rows in found.values() for name in rows[0])
    numbers = "".join(f"{value!s:>9.8}" for value in [*values, "mean", "sd"])
    lines = [f"{'model':<{width}}  {'metric':<{metrics}}{numbers}"]
    for name, rows in found.items():
        for metric in rows[0]:
            column = [row[metric] for row in rows]
            spread = float(np.std(column, ddof=1)) if len(column) > 1 else 0.0
            numbers = "".join(f"{n:9.4f}" for n in [*column, float(np.mean(column)), spread])
            lines.append(f"{name:<{width}}  {metric:<{metrics}}{numbers}")
    return "\n".join(lines)
