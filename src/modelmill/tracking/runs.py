"""Trainings as runs in MLflow, a view of the files."""

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmill import repository
from modelmill.datasets import processed
from modelmill.files import sha256, text_sha256, write_text
from modelmill.parts import metrics
from modelmill.reference import Reference
from modelmill.tracking import registry, store, summary
from modelmill.tracking.store import NOTE
from modelmill.tracking.summary import Row
from modelmill.trained import artifacts, serving
from modelmill.trained.artifacts import Card
from modelmill.trained.history import read_phases

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOTED = "note"  # a tag: what tells a description that was written here from a person's words
PARENT = "mlflow.parentRunId"
RECORDING = "recording"  # a tag: the same in a run that is taken up as in the one that was begun


def find(client: "MlflowClient", card: Card) -> str | None:
    """The id of the finished run of the training that `card` describes, if there is one."""
    experiment = client.get_experiment_by_name(card.settings["dataset"])
    if not experiment:
        return None
    wanted = f"tags.fingerprint = '{card.fingerprint}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment.experiment_id], wanted, max_results=1)
    return runs[0].info.run_id if runs else None


def found(client: "MlflowClient", experiment: str, wanted: str) -> "list[Run]":
    """All runs of an experiment, by its id, that are `wanted`; MLflow gives a thousand at once."""
    page = client.search_runs([experiment], wanted)
    runs = [*page]
    while page.token:
        page = client.search_runs([experiment], wanted, page_token=page.token)
        runs += page
    return runs


Points = Collection[tuple[str, int]]


def begin(
    client: "MlflowClient",
    card: Card,
    meta: Mapping[str, Any] | None,
    profile: str,
    about: str,
    origin: Mapping[str, str],
    recording: str,
) -> tuple[str, Points]:
    """The run of a training, with its parameters, tags and data set: it goes on if it was begun.

    Args:
        meta: of the data set, None if it is not at hand.
        profile: under which it was trained.
        recording: what identifies this attempt, unless there is one that was broken off.

    Returns:
        The run's id, and the names and steps of what it holds already.
    """
    path = unfinished_file(card)
    if path.exists():
        recording = path.read_text(encoding="utf-8")
    else:
        write_text(path, recording)  # before there is a run that nobody would know of
    if begun := _begun(client, [store.experiment(client, card.settings["dataset"])], recording):
        run_id = begun[0].info.run_id
        client.update_run(run_id, "RUNNING")
    else:
        run_id = _create(client, card, profile, about, {**origin, RECORDING: recording})
    _describe(client, run_id, card, meta)
    return run_id, points(client, begun[0]) if begun else set()


def points(client: "MlflowClient", run: "Run") -> Points:
    """The names and steps of the metrics that a run has."""
    return {
        (name, point.step)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    }


def _create(
    client: "MlflowClient", card: Card, profile: str, about: str, origin: Mapping[str, str]
) -> str:
    name, dataset = card.settings["model"], card.settings["dataset"]
    tags = {
        **{key: card.settings[key] for key in ("model", "dataset", "task", "arch")},
        "profile": profile,
        "fingerprint": card.fingerprint,
        **origin,
    }
    tags |= _noted(summary.note(name, about, tags))
    return client.create_run(
        store.experiment(client, dataset), tags=tags, run_name=name
    ).info.run_id


def _noted(note: str) -> dict[str, str]:
    """The tags of a run's description, which is ours as long as they agree."""
    return {NOTE: note, NOTED: text_sha256(note)}


def _describe(
    client: "MlflowClient", run_id: str, card: Card, meta: Mapping[str, Any] | None
) -> None:
    """Gives a run its parameters and its data set; those it has already stay as they are."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    dataset = card.settings["dataset"]
    parameters = {**summary.flatten(card.settings), "parameters": str(card.parameters)}
    client.log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])
    source = json.dumps({"uri": f"data/processed/{dataset}"})
    about = {"schema": summary.arrays(meta), "profile": summary.sizes(meta)} if meta else {}
    entity = Dataset(dataset, card.data[:36], source_type="local", source=source, **about)
    training = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(entity, [training])])


def train_seconds(client: "MlflowClient", card: Card) -> float | None:
    """How long the training took that `card` describes, None if MLflow did not see it."""
    run_id = find(client, card)
    return client.get_run(run_id).data.metrics.get("train_seconds") if run_id else None


def log_history(
    client: "MlflowClient",
    run_id: str,
    rows: Iterable[Row],
    known: Points = (),
) -> None:
    """Logs rows of a training's history as metrics by step, but for the `known` names and steps."""
    values = [
        (name, value, int(row["step"]))
        for row in rows
        for name, value in summary.rounded(row).items()
        if name != "step" and (name, row["step"]) not in known
    ]
    _log(client, run_id, values)


def finish(
    client: "MlflowClient", card: Card, run_id: str, rows: Sequence[Row], **others: float
) -> None:
    """Ends the run of a training with its best, its final and `others` of its metrics.

    Args:
        rows: its history.
    """
    better = metrics(card.settings["task"])
    rounded = [summary.rounded(row) for row in rows]
    log_once(client, run_id, {**others, **summary.best_and_final(rounded, better)})
    end(client, card, run_id, "FINISHED")


def end(client: "MlflowClient", card: Card, run_id: str, status: str) -> None:
    """The training of a run is over, and MLflow knows all of it."""
    client.set_terminated(run_id, status)
    unfinished_file(card).unlink(missing_ok=True)


def close_left(client: "MlflowClient") -> None:
    """Marks the runs as killed that nobody records any more; they are gone on with if need be."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    for path in recordings().glob("*.run"):
        for run in _begun(client, experiments, path.read_text(encoding="utf-8")):
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")


def _begun(client: "MlflowClient", experiments: list[str], recording: str) -> "list[Run]":
    """The run that was begun by a recording, if this tracking server has it still."""
    return client.search_runs(experiments, f"tags.{RECORDING} = '{recording}'", max_results=1)


def log_once(client: "MlflowClient", run_id: str, values: Mapping[str, float]) -> None:
    """Logs metrics that have no steps, but for those that the run has already."""
    known = client.get_run(run_id).data.metrics
    new = [(name, value, 0) for name, value in values.items() if known.get(name) != value]
    _log(client, run_id, new)


def _log(client: "MlflowClient", run_id: str, values: list[tuple[str, float, int]]) -> None:
    """Logs metrics, each a name, a value and a step."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, step) for name, value, step in values]
    for first in range(0, len(entries), 1000):  # MLflow's limit for one call
        client.log_batch(run_id, metrics=entries[first : first + 1000])


def record(
    client: "MlflowClient",
    root: Path,
    name: str,
    profile: str,
    about: str,
    reference: Reference,
    log_model: bool,
    register: bool,
) -> bool:
    """Makes sure that the training and the evaluation of model `name` are recorded.

    Everything comes from data/: models, processed, metrics, figures and evaluations; recording
    twice changes nothing.

    Args:
        root: the folder that has data/.
        profile: see `begin`.
        reference: what the run's description says its results are held against.
        log_model: whether an evaluated model that takes examples is logged as well, for
            ``mlflow models serve``.
        register: whether it becomes the current version of the registered model of its name.

    Returns:
        Whether anything was missing.
    """
    folder, pictures, texts = (
        root / "data" / kind / name for kind in ("models", "figures", "evaluations")
    )
    card = artifacts.read_card(folder)
    run_id = find(client, card)
    missing = run_id is None
    if run_id is None:
        phases = read_phases(folder)
        meta = _meta(root / "data/processed", card)
        rows = [row for phase in phases for row in phase.to_dict("records")]
        origin = {"recorded_by": "sync"}
        run_id, known = begin(client, card, meta, profile, about, origin, f"sync-{time.time_ns()}")
        log_history(client, run_id, rows, known)
        finish(client, card, run_id, rows)
    evaluation = artifacts.read_evaluation(root / "data", card)
    if evaluation is None or not pictures.is_dir():
        return missing
    digest = sha256(*sorted(pictures.iterdir()), *sorted(texts.iterdir()))
    run = client.get_run(run_id)
    tags = run.data.tags
    split = evaluation["eval"]["split"]
    if tags.get("evaluation") != digest:
        missing = True
        client.log_artifacts(run_id, str(pictures), "figures")
        client.log_artifacts(run_id, str(texts), "evaluation")
        found = evaluation["metrics"]
        results = {f"test_{key}": found[key] for key in found if key != "parameters"}
        log_once(client, run_id, results)
        client.set_tag(run_id, "evaluated_on", split)
        client.set_tag(run_id, "evaluation", digest)
    figures = f"#/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts/figures"
    note = summary.note(name, about, {**tags, "evaluated_on": split}, reference, figures)
    if note != tags.get(NOTE) and _noted(tags.get(NOTE, ""))[NOTED] == tags.get(NOTED):
        missing = True
        for key, value in _noted(note).items():
            client.set_tag(run_id, key, value)
    if log_model and card.settings["task"] in serving.TASKS:
        model_id = registry.logged_model(client, run_id, evaluation["eval"])
        if model_id is None:
            missing = True
            data = artifacts.read_data(card, root / "data/processed")
            model_id = registry.log_model(
                store.tracking_uri(), run_id, card, folder, data, evaluation["eval"]
            )
        if register and registry.make_current(client, name, about, run_id, model_id):
            missing = True
    return missing


def _meta(processed_data: Path, card: Card) -> Mapping[str, Any] | None:
    """What is known of the data that a model was trained on, None if they are not there now."""
    folder = processed_data / card.settings["dataset"]
    if not (folder / processed.META).exists():
        return None
    meta = processed.read_meta(folder)
    return meta if meta["digest"] == card.data else None


def recordings() -> Path:
    """The folder of what is known of recordings that go on, or were broken off."""
    return repository.root() / ".dvc/tmp/recordings"


def unfinished_file(card: Card) -> Path:
    """Holds the tag of a training's run from before it is made until MLflow knows of its end."""
    return recordings() / f"{card.fingerprint}.run"


def origin() -> dict[str, str]:
    """Where a run comes from: git's commit, DVC's stage and experiment."""
    commit = repository.commit()
    tags = {
        "dvc_stage": os.environ.get("DVC_STAGE", ""),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "git": repository.commit(short=True),
        "git_commit": commit,
        "git_dirty": str(bool(repository.uncommitted())).lower(),
        # The names under which MLflow's own pages show it.
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml",
    }
    return {key: value for key, value in tags.items() if value}
