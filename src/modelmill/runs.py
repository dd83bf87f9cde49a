"""Trainings as runs in MLflow, a view of the files; imported here and in serving.py alone."""

import json
import logging
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from modelmill import artifacts, serving
from modelmill.artifacts import Card
from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.files import sha256
from modelmill.params import PACKAGE

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 120.0
CURRENT = "current"  # the version of a registered model that data/models holds
SQLITE = "sqlite:///"
CODE = ("conf", "src", "pipelines", "dvc.yaml")
KIND = "custom_model_development"  # the UI shows runs, not its pages for language-model agents


def repository() -> Path:
    """The repository's root, also from within the temporary copy of a DVC experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite database at the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{repository()}/mlflow.db"


def connect() -> "MlflowClient":
    """A client of the tracking server or database; a fresh database is made under a lock."""
    from filelock import FileLock

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    from mlflow import MlflowClient

    with FileLock(repository() / "mlflow.db.lock", timeout=LOCK_SECONDS):
        client = MlflowClient(tracking_uri())
        client.search_experiments(max_results=1)
    return client


def find(client: "MlflowClient", card: Card) -> str | None:
    """The id of the finished run of the training that `card` describes, if there is one."""
    experiment = client.get_experiment_by_name(card.settings["dataset"])
    if not experiment:
        return None
    wanted = f"tags.fingerprint = '{card.fingerprint}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment.experiment_id], wanted, max_results=1)
    return runs[0].info.run_id if runs else None


def create(
    client: "MlflowClient", card: Card, profile: str, about: str, origin: Mapping[str, str]
) -> str:
    """A new run with the training's parameters, tags and data set; returns its id."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    name, dataset = card.settings["model"], card.settings["dataset"]
    run = client.create_run(experiment(client, dataset), run_name=name)
    run_id = run.info.run_id
    tags = {
        **{key: card.settings[key] for key in ("model", "dataset", "task", "arch")},
        "profile": profile,
        "fingerprint": card.fingerprint,
        "mlflow.note.content": f"**{name}**: {about}",
        **origin,
    }
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    parameters = {**flatten(card.settings), "parameters": str(card.parameters)}
    client.log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])
    source = json.dumps({"uri": f"data/processed/{dataset}"})
    entity = Dataset(dataset, card.data[:36], source_type="local", source=source)
    training = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(entity, [training])])
    return run_id


def train_seconds(client: "MlflowClient", card: Card) -> float | None:
    """How long the training took that `card` describes, None if MLflow did not see it."""
    run_id = find(client, card)
    return client.get_run(run_id).data.metrics.get("train_seconds") if run_id else None


def log_history(client: "MlflowClient", run_id: str, rows: list[Mapping[str, float]]) -> None:
    """Logs rows of a history as metrics by step."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [
        Metric(name, value, now, int(row["step"]))
        for row in rows
        for name, value in row.items()
        if name != "step" and value == value
    ]
    for first in range(0, len(metrics), 1000):  # MLflow's limit for one call
        client.log_batch(run_id, metrics=metrics[first : first + 1000])


def record(
    client: "MlflowClient",
    root: Path,
    name: str,
    profile: str,
    about: str,
    log_model: bool,
    register: bool,
) -> bool:
    """Makes sure that the training and the evaluation of model `name` are recorded.

    Everything comes from data/models and data/figures; recording twice changes nothing.

    Args:
        root: the folder that has data/.
        log_model: whether an evaluated model that takes examples is logged as well, for
            ``mlflow models serve``.
        register: whether it becomes the current version of the registered model of its name.

    Returns:
        Whether anything was missing.
    """
    folder, pictures = root / "data/models" / name, root / "data/figures" / name
    card = artifacts.read_card(folder)
    run_id = find(client, card)
    missing = run_id is None
    if run_id is None:
        run_id = create(client, card, profile, about, {"recorded_by": "sync"})
        rows = artifacts.read_history(folder).to_dict("records")
        log_history(client, run_id, rows)
        client.set_terminated(run_id, "FINISHED")
    evaluation = artifacts.read_evaluation(pictures, card)
    if evaluation is None:
        return missing
    digest = sha256(*sorted(pictures.iterdir()))
    if client.get_run(run_id).data.tags.get("evaluation") != digest:
        missing = True
        for key, value in evaluation["metrics"].items():
            if key != "parameters":
                client.log_metric(run_id, f"test_{key}", value)
        client.log_artifacts(run_id, str(pictures), "figures")
        client.set_tag(run_id, "evaluated_on", evaluation["eval"]["split"])
        client.set_tag(run_id, "evaluation", digest)
    if log_model and card.settings["task"] in serving.TASKS:
        model_id = _logged_model(client, run_id)
        if model_id is None:
            missing = True
            data = processed.load(root / "data/processed" / card.settings["dataset"])
            model_id = _log_model(run_id, card, folder, data)
        if register and _make_current(client, name, run_id, model_id):
            missing = True
    return missing


def _logged_model(client: "MlflowClient", run_id: str) -> str | None:
    """The id of the run's logged model, None if there is none or its upload was not finished."""
    from mlflow.entities import LoggedModelStatus

    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else []:
        if client.get_logged_model(output.model_id).status == LoggedModelStatus.READY:
            return output.model_id
    return None


def _log_model(run_id: str, card: Card, folder: Path, data: Processed) -> str:
    """Logs the trained model in `folder` with its signature, an input example and the code."""
    import mlflow
    from mlflow.models import Model

    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    mlflow.set_tracking_uri(tracking_uri())
    mlflow.set_experiment(card.settings["dataset"])
    with TemporaryDirectory() as temporary:
        logged = Model.log(
            None,
            mlflow.pyfunc,
            run_id=run_id,
            name=card.settings["model"],
            loader_module=serving.__name__,
            data_path=str(serving.pack(folder, data, Path(temporary, "model"))),
            code_paths=[str(PACKAGE)],
            signature=serving.signature(card, data),
            input_example=data.arrays["x"][:1],
            pip_requirements=[f"{part}=={version(part)}" for part in serving.REQUIREMENTS],
        )
    return logged.model_id


def _make_current(client: "MlflowClient", name: str, run_id: str, model_id: str) -> bool:
    """Gives the alias `CURRENT` of registered model `name` to the run's; whether it had to."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # it exists
        client.create_registered_model(name)
    with suppress(MlflowException):  # there is none
        if client.get_model_version_by_alias(name, CURRENT).run_id == run_id:
            return False
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((known for known in versions if known.run_id == run_id), None)
    if version is None:
        version = client.create_model_version(name, f"models:/{model_id}", run_id)
    client.set_registered_model_alias(name, CURRENT, version.version)
    return True


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow parameters: ``fit.optimizer.name`` and so on."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def experiment(client: "MlflowClient", name: str) -> str:
    """The id of the MLflow experiment of that name, which is made if there is none."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    uri = tracking_uri()
    local = Path(uri.removeprefix(SQLITE)).parent if uri.startswith(SQLITE) else None
    location = (local.absolute() / "mlartifacts" / name).as_uri() if local else None
    try:
        return client.create_experiment(name, location, {"mlflow.experimentKind": KIND})
    except MlflowException:  # another process was quicker
        found = client.get_experiment_by_name(name)
        if not found:
            raise
        return found.experiment_id


def origin() -> dict[str, str]:
    """Where a run comes from: git's commit, DVC's stage and experiment."""
    commit = git_commit()
    tags = {
        "dvc_stage": os.environ.get("DVC_STAGE", ""),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "git_commit": commit,
        "git_dirty": str(bool(uncommitted())).lower(),
        # The names under which MLflow's own pages show it.
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml",
    }
    return {key: value for key, value in tags.items() if value}


def git_commit() -> str:
    """The hash of the commit that is checked out, empty outside of a repository."""
    return _git("rev-parse", "HEAD")


def uncommitted() -> str:
    """The files of the code and of conf/ that differ from the commit, as git lists them."""
    return _git("status", "--porcelain", "--", *CODE)


def _git(*arguments: str) -> str:
    try:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
