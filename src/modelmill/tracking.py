"""Records trainings in MLflow; the only module that imports it.

The files are the truth and MLflow is a view of them, so a recording must never slow down or stop
a training: a `Recorder` hands everything to a process of its own (this module's `main`), which
imports MLflow while TensorFlow starts. What could not be recorded, and what DVC took from its
cache, is made good from the files by `record` (``python -m pipelines.sync``).
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from modelmill import artifacts
from modelmill.artifacts import Card
from modelmill.files import sha256

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 30.0  # seconds that a stage waits at its end for the recording to be complete
FLUSH_SECONDS = 1.0
LOCK_SECONDS = 120.0
KIND = "custom_model_development"  # the UI shows runs, not its pages for language-model agents
LATER = "`python -m pipelines.sync` completes the recording later"


def repository() -> Path:
    """The repository's root, also from within the temporary copy of a DVC experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite database at the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{repository()}/mlflow.db"


class Recorder:
    """Sends what happens in a stage to a process that writes it to MLflow.

    Leaving the context waits for that process; leaving it by an exception marks the run as
    failed or, after Ctrl-C, killed.
    """

    def __enter__(self) -> "Recorder":
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modelmill.tracking"],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the training; this process still has to say so
        )
        # A pipe holds little; a queue keeps a training going while a server takes its time.
        Thread(target=self._write, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._send("stop", status="KILLED" if kind is KeyboardInterrupt else "FAILED")
        self._messages.put("")
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            _warn(f"no answer within {PATIENCE:.0f} s")

    def start(self, card: Card, profile: str, about: str) -> None:
        """A training of `card` begins."""
        self._send("start", card=asdict(card), profile=profile, about=about)

    def row(self, row: Mapping[str, float]) -> None:
        """A lap of the training ended with these measurements."""
        self._send("row", row=dict(row))

    def end(self, seconds: float) -> None:
        """The training ended well."""
        self._send("end", seconds=seconds)

    def complete(self, name: str, profile: str, about: str) -> None:
        """Model `name` has been evaluated: its run gets whatever it lacks."""
        self._send("complete", name=name, profile=profile, about=about)

    def _send(self, what: str, **content: Any) -> None:
        self._messages.put(json.dumps({"what": what, **content}) + "\n")

    def _write(self) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it has said why it ended
            while message := self._messages.get():
                pipe.write(message)
                pipe.flush()


# --- in the recording process --------------------------------------------------------------


def main() -> None:
    """Reads the messages of a `Recorder` from standard input and writes them to MLflow."""
    try:
        client = connect()
        listener = Listener(client)
        for line in sys.stdin:
            message = json.loads(line)
            getattr(listener, message.pop("what"))(**message)
        if listener.run_id:  # neither end nor stop: the stage was killed
            listener.stop("KILLED")
    except Exception as error:  # whatever is wrong with tracking, the training goes on
        _warn(f"{type(error).__name__}: {error}")
        sys.exit(1)


class Listener:
    """Carries out a `Recorder`'s messages."""

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self.run_id: str | None = None
        self.rows: list[Mapping[str, float]] = []
        self.flushed = time.monotonic()

    def start(self, card: dict[str, Any], profile: str, about: str) -> None:
        known = Card(**card)
        # The same training again gives the same bytes: its run is there already.
        if not find(self.client, known):
            self.run_id = create(self.client, known, profile, about, _origin())

    def row(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self._flush()

    def end(self, seconds: float) -> None:
        if self.run_id:
            self.client.log_metric(self.run_id, "train_seconds", seconds)
        self.stop("FINISHED")

    def stop(self, status: str) -> None:
        self._flush()
        if self.run_id:
            self.client.set_terminated(self.run_id, status)
            self.run_id = None

    def complete(self, name: str, profile: str, about: str) -> None:
        record(self.client, name, profile, about)

    def _flush(self) -> None:
        if self.run_id:
            log_history(self.client, self.run_id, self.rows)
        self.rows, self.flushed = [], time.monotonic()


# --- MLflow --------------------------------------------------------------------------------


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
    run = client.create_run(_experiment(client, dataset), run_name=name)
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


def record(client: "MlflowClient", name: str, profile: str, about: str) -> bool:
    """Makes sure that the training and the evaluation of model `name` are recorded.

    Everything comes from data/models and data/figures; recording twice changes nothing.

    Returns:
        Whether anything was missing.
    """
    folder, pictures = Path("data/models", name), Path("data/figures", name)
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
        client.set_tag(run_id, "evaluated_on", evaluation["split"])
        client.set_tag(run_id, "evaluation", digest)
    return missing


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow parameters: ``fit.optimizer.name`` and so on."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def _experiment(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    local = "MLFLOW_TRACKING_URI" not in os.environ
    location = (repository() / "mlartifacts" / name).as_uri() if local else None
    try:
        return client.create_experiment(name, location, {"mlflow.experimentKind": KIND})
    except MlflowException:  # another process was quicker
        found = client.get_experiment_by_name(name)
        if not found:
            raise
        return found.experiment_id


def _origin() -> dict[str, str]:
    """Where a run comes from: git's commit, DVC's stage and experiment."""
    commit = _git("rev-parse", "HEAD")
    tags = {
        "dvc_stage": os.environ.get("DVC_STAGE", ""),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "git_commit": commit,
        "git_dirty": str(bool(_git("status", "--porcelain"))).lower(),
        # The names under which MLflow's own pages show it.
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml",
    }
    return {key: value for key, value in tags.items() if value}


def _git(*arguments: str) -> str:
    try:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _warn(reason: str) -> None:
    print(f"warning: MLflow: {reason.splitlines()[0]}; {LATER}", file=sys.stderr)


if __name__ == "__main__":
    main()
