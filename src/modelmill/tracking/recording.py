"""Carries to MLflow what stages write of their trainings, in a process of its own.

The process reads the files that a `Recorder` writes. It stays for the next stages until there has
been nothing to record for a while: MLflow is imported once for a whole pipeline. Such a file is a
journal: whoever finds one whose recording process has died, the next one or ``sync``, carries it
out from its beginning, and what MLflow has already stays as it is.
"""

import fcntl
import json
import os
import select
import shutil
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from modelmill import repository, runtime
from modelmill.errors import ModelmillError, in_one_line, without_credentials
from modelmill.files import write_text
from modelmill.reference import Reference
from modelmill.tracking import experiments, runs, store
from modelmill.tracking.experiments import Experiment
from modelmill.trained.artifacts import Card
from modelmill.training.observer import Row

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

PATIENCE = 30.0  # seconds that a stage waits at its end for the recording to be complete
ABANDONED_SECONDS = 14 * 24 * 3600.0  # after which no stage comes back for what it left
IDLE_SECONDS = 10.0
FLUSH_SECONDS = 1.0
ALIVE_SECONDS = 1.0  # between two looks whether a stage that tells nothing is alive
NEW, EVENTS, ANSWER, BELL = ".new", ".events", ".answer", "bell"


def lock(folder: Path, timeout: float) -> "BaseFileLock":
    """Held by the recording process as long as it lives."""
    from filelock import FileLock

    return FileLock(folder / "lock", timeout=timeout)


def settle() -> None:
    """Makes sure that MLflow has been told all of the stages that are over, whoever died when.

    Raises:
        ModelmillError: a recording process has not come to the end of one, or MLflow fails.
    """
    from filelock import Timeout

    for path in runs.recordings().glob(f"*/*{EVENTS}"):
        if _is_written(path) or _server(path) not in (None, here()):
            continue
        try:
            with lock(path.parent, timeout=0):  # nobody is at work on it
                problem = Recording(path).advance() if path.exists() else ""
        except Timeout:
            raise ModelmillError(
                "MLflow is slow: a stage that has ended is still being recorded; try again later"
            ) from None
        if problem:
            raise ModelmillError(
                f"MLflow: {problem}; try again later, or run `rm {path}`: then all is recorded "
                "from data/"
            )
        path.unlink(missing_ok=True)
    if not any(map(_is_written, runs.recordings().glob(f"*/*{EVENTS}"))):
        client = _client()
        with store.answering("closing what was left over"):
            runs.close_left(client)


def main(folder: Path) -> None:
    """Carries events in `folder` to MLflow until there have been none for `IDLE_SECONDS`."""
    with lock(folder, timeout=1.0):
        for left in (*folder.glob(f"*{ANSWER}"), *folder.glob(f"*{NEW}")):
            with suppress(FileNotFoundError):  # its stage lives, and was quicker
                if _is_abandoned(left):
                    left.unlink()
        for other in folder.parent.glob("*/"):  # of other code, or of other settings of MLflow's
            with suppress(FileNotFoundError):
                if _is_abandoned(other) and not any(other.glob(f"*{EVENTS}")):
                    shutil.rmtree(other, ignore_errors=True)
        bell = _bell(folder)
        recordings: dict[Path, Recording] = {}
        last = time.monotonic()
        while time.monotonic() - last < IDLE_SECONDS:
            for path in sorted(folder.glob(f"*{EVENTS}")):
                if path not in recordings:
                    recordings[path] = Recording(path)
                problem = recordings[path].advance()
                if recordings[path].ended:
                    del recordings[path]
                    write_text(path.with_suffix(ANSWER), problem)
                    path.unlink()
                last = time.monotonic()
            if select.select([bell], [], [], ALIVE_SECONDS)[0]:
                os.read(bell, 1 << 16)


def _is_abandoned(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > ABANDONED_SECONDS


def _bell(folder: Path) -> int:
    """What the stages ring, as a file to wait for: looking again and again would cost them time."""
    with suppress(FileExistsError):
        os.mkfifo(folder / BELL)
    return os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK)


class Recording:
    """Carries out the events of one stage.

    Attributes:
        ended: whether there is nothing more to come.
    """

    def __init__(self, path: Path) -> None:
        self.ended = False
        self._name = path.stem
        self._file, self._line = path.open(encoding="utf-8"), ""
        self._card: Card
        self._run_id: str | None = None
        self._monitor: SystemMetricsMonitor | None = None
        self._rows: list[Row] = []
        self._logged = 0  # of the rows
        self._known: runs.Points = ()
        self._flushed = time.monotonic()

    def advance(self) -> str:
        """Carries out what has been written since; returns what went wrong, if anything did."""
        alive = _is_held(self._file)
        try:
            *lines, self._line = (self._line + self._file.read()).split("\n")
            for line in lines:
                event = json.loads(line)
                getattr(self, f"_{event.pop('what')}")(**event)
            if not (alive or self.ended):
                self._close()
        except Exception as error:  # whatever is wrong with tracking, the training goes on
            self.ended = True
            with suppress(Exception):
                self._unwatch()
                if self._run_id:
                    self._client.set_terminated(self._run_id, "FAILED")
            return in_one_line(error)
        return ""

    def _open(
        self, root: str, origin: dict[str, str], experiment: dict[str, str], **_: str
    ) -> None:
        self._root, self._origin = Path(root), origin
        self._client = _client()
        experiments.describe(self._client, Experiment(**experiment))

    def _start(self, card: dict[str, Any], meta: dict[str, Any], profile: str, about: str) -> None:
        self._card = Card(**card)
        # The same training again gives the same bytes: its run is there already.
        if runs.find(self._client, self._card):
            runs.unfinished_file(self._card).unlink(missing_ok=True)
        else:
            self._run_id, self._known = runs.begin(
                self._client, self._card, meta, profile, about, self._origin, self._name
            )
            if _is_held(self._file):
                self._monitor = _monitor(self._run_id)

    def _row(self, row: Row) -> None:
        self._rows.append(row)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def _end(self, seconds: float) -> None:
        self._unwatch()
        self._flush()
        if self._run_id:
            runs.finish(self._client, self._card, self._run_id, self._rows, train_seconds=seconds)
            self._run_id = None

    def _stop(self, status: str) -> None:
        self._unwatch()
        self._flush()
        if self._run_id:
            runs.end(self._client, self._card, self._run_id, status)
            self._run_id = None

    def _complete(self, name: str, reference: dict[str, Any], **about: Any) -> None:
        register = "dvc_experiment" not in self._origin
        held = Reference(**reference)
        runs.record(self._client, self._root, name, reference=held, register=register, **about)

    def _close(self) -> None:
        self._stop("KILLED")  # of a training that neither ended nor failed
        self.ended = True

    def _unwatch(self) -> None:
        if self._monitor:
            self._monitor.finish()
            self._monitor = None

    def _flush(self) -> None:
        if self._run_id:
            new = self._rows[self._logged :]
            runs.log_history(self._client, self._run_id, new, self._known)
        self._logged, self._flushed = len(self._rows), time.monotonic()


@cache
def _client() -> "MlflowClient":
    """The client of all recordings; going through an import's objects is not worth its time."""
    with runtime.uncollected():
        return store.connect()


def _monitor(run_id: str) -> "SystemMetricsMonitor | None":
    """Logs the machine's load as the run's metrics until it is told to finish, if MLflow is to."""
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING

    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=store.tracking_uri())
    monitor.start()
    return monitor


def here() -> str:
    """The tracking server or database, as it may be written down."""
    return without_credentials(os.environ.get("MLFLOW_TRACKING_URI") or str(repository.root()))


def _server(path: Path) -> str | None:
    """What a journal is for, None if it does not say: its stage died as it began."""
    with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:  # it may be gone
        return json.loads(file.readline()).get("server")
    return None


def _is_written(path: Path) -> bool:
    """Whether the stage that a journal is from is alive."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return _is_held(file)
    return False


def _is_held(journal: IO[Any]) -> bool:
    """Whether a stage has a lock on its journal still: the system lets go of it if that dies."""
    try:
        fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(journal, fcntl.LOCK_UN)
    return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
