"""What the replicates of a model say together: mean, standard deviation and interval, a figure.

For seeds that is docs/results/seeds.json, for folds folds.json beside it; MLflow gets a run for
the model, and in it one for each replicate.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelmill import repository
from modelmill.errors import in_one_line
from modelmill.files import read_json, undamaged, write_json
from modelmill.reference import number
from modelmill.report import charts, seeds, table
from modelmill.schema import Open, validate
from modelmill.sweeps.replicates import FOLDER, Record, Replicate
from modelmill.trained import artifacts

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

POINTS = 40  # of a band
CONFIDENCE = 0.95
Made = Sequence[tuple[Replicate, Record]]  # all of one model
# Tags: what the replicates of a run share, and what each has for itself.
REPLICATES, RECORD = "replicates", "record"


class _Known(Open):
    models: dict[str, dict[str, Any]]


def publish(made: Made) -> Path:
    """Writes what the replicates of a model say together, and records them in MLflow.

    Returns:
        The file in docs/results, in which those of other models stay as they are; one in
        data/replicates where what is published there is of the profile full, and this is not.
    """
    first, _ = made[0]
    path = seeds.PATH.with_name(f"{first.kind}s.json")
    known: dict[str, dict[str, Any]] = {}
    if path.exists():
        with undamaged(path, f"git checkout {path}"):
            known = validate(_Known, read_json(path), "", str(path)).models
    published = known.get(first.name, {}).get("profile")
    if published == "full" and first.params.profile != "full":
        path, known = FOLDER / first.name / path.name, {}
    bands = _bands(made)
    content = {
        **_summary(made),
        "machine": table.machine(),
        "commit": "" if repository.uncommitted() else repository.commit(),
        "bands": {name: _points(bands[name]) for name in bands},
    }
    write_json(path, {"models": {**known, first.name: content}})
    _draw(made, bands)
    try:
        _record(made, content)
    except Exception as error:  # the files are the truth, whatever is wrong with tracking
        shown = in_one_line(error)
        print(f"warning: MLflow: {shown}; the same command records it later", file=sys.stderr)
    return path


def _summary(made: Made) -> dict[str, Any]:
    first, _ = made[0]
    reference = first.entry.reference
    values = {str(each.value): reference.of(record.metrics, each.name) for each, record in made}
    mean, deviation, interval = spread([*values.values()])
    return {
        "metric": reference.metric,
        "values": values,
        "mean": mean,
        "stddev": deviation,
        "interval": interval,
        "goal": reference.goal,
        "published": reference.published,
        "over": first.key,
        "profile": first.params.profile,
        "settings": seeds.settings(first.params, first.name, first.data.digest),
    }


def spread(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """The mean, the standard deviation of a sample, and Student's interval for the mean.

    Args:
        values: two at least, which are taken to be normally distributed.
    """
    from scipy import stats

    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    half = quantile * deviation / math.sqrt(len(values))
    return mean, deviation, [mean - half, mean + half]


def plain(made: Made) -> str:
    """For a terminal a line for each metric: by value, the mean, and the standard deviation."""
    first, record = made[0]
    names = [name for name, value in record.metrics.items() if isinstance(value, float)]
    width = max(map(len, [first.name, *names]))
    heads = [*(str(each.value) for each, _ in made), "mean", "sd"]
    lines = [f"{first.name:<{width}}" + "".join(f"{head:>10}" for head in heads) + "  95 %"]
    for name in names:
        values = [record.metrics[name] for _, record in made]
        mean, deviation, (low, high) = spread(values)
        cells = "".join(f"{number(value):>10}" for value in [*values, mean, deviation])
        lines.append(f"{name:<{width}}{cells}  {number(low)} to {number(high)}")
    return "\n".join(lines)


def _histories(made: Made) -> "list[pd.DataFrame]":
    import pandas as pd

    return [pd.DataFrame(record.history) for _, record in made]


def _bands(made: Made) -> "dict[str, pd.DataFrame]":
    """Of the loss, and of the metric where it is followed, of validation data if there are."""
    (first, _), histories = made[0], _histories(made)
    metrics = ("loss", first.entry.reference.metric)
    columns = [found for metric in metrics if (found := charts.column(histories[0], metric))]
    return {column: seeds.band(histories, column) for column in dict.fromkeys(columns)}


def _points(band: "pd.DataFrame") -> dict[str, list[float]]:
    thin = charts.thinned(band, POINTS)
    return {name: [float(f"{value:.5g}") for value in thin[name]] for name in thin}


def _draw(made: Made, bands: "Mapping[str, pd.DataFrame]") -> None:
    from modelmill.figures import curves

    first, _ = made[0]
    title = f"{first.name}, {len(made)} {first.kind}s"
    curves.replicates(_histories(made), bands, title, _picture(first))


def _picture(first: Replicate) -> Path:
    return FOLDER / first.name / f"{first.kind}s.png"


def _record(made: Made, content: Mapping[str, Any]) -> None:
    """Makes sure that MLflow has a run for all of them and, in it, a finished run for each."""
    from modelmill.tracking import runs, store

    client, (first, _) = store.connect(), made[0]
    experiment = store.experiment(client, first.entry.dataset)
    training = {**first.params.training(first.name), "seed": None}
    tags = {
        REPLICATES: f"{first.key} {artifacts.fingerprint(training, content['settings'])}",
        "model": first.name,
        "profile": first.params.profile,
        **{key: getattr(first.entry, key) for key in ("dataset", "task", "arch")},
    }
    found = runs.found(client, experiment, f"tags.{REPLICATES} = '{tags[REPLICATES]}'")
    known = {run.data.tags[RECORD]: run for run in found if RECORD in run.data.tags}
    parents = [run.info.run_id for run in found if RECORD not in run.data.tags]
    title = f"{first.name} over {first.kind}s"
    parent = parents[0] if parents else _run(client, experiment, title, {**tags, **runs.origin()})
    for each, record in made:
        there = known.get(each.path.stem)
        measured = {f"test_{name}": value for name, value in record.metrics.items()}
        if there and there.info.status == "FINISHED":
            if not measured.items() <= there.data.metrics.items():  # by other code
                runs.log_once(client, there.info.run_id, measured)
            continue
        if there:  # of a command that was killed while it recorded
            client.delete_run(there.info.run_id)
        own = {**tags, runs.PARENT: parent, RECORD: each.path.stem}
        run = _run(client, experiment, str(each), own)
        client.log_param(run, each.key, each.value)
        runs.log_history(client, run, record.history)
        runs.log_once(client, run, measured)
        client.set_terminated(run)
    metric = f"test_{content['metric']}"
    low, high = content["interval"]
    own = {"": content["mean"], "_stddev": content["stddev"], "_low": low, "_high": high}
    runs.log_once(client, parent, {metric + suffix: value for suffix, value in own.items()})
    client.log_artifact(parent, str(_picture(first)))
    client.set_terminated(parent)


def _run(client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str]) -> str:
    return client.create_run(experiment, tags=dict(tags), run_name=name).info.run_id
