"""Records trainings in MLflow while they run.

The files are the truth and MLflow is a view of them, so a recording must never slow down or stop
a training. A `Recorder` writes what happens to a file; a process of its own (this module's `main`)
reads such files and carries it to MLflow. It is started while TensorFlow is imported, and stays
for the next stages until there has been nothing to record for a while: MLflow is imported once for
a whole pipeline. Such a file is a journal: whoever finds one whose recording process has died, the
next one or ``sync``, carries it out from its beginning, and what MLflow has already stays as it is.
What could not be recorded, and what DVC took from its cache, is made good from
the results by ``modelmill sync``.
"""

import gc
import hashlib
import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmill import repository
from modelmill.errors import ModelmillError
from modelmill.files import write_text
from modelmill.parts import PACKAGE
from modelmill.reference import Reference
from modelmill.tracking import runs
from modelmill.trained.artifacts import Card
from modelmill.training.observer import Observer, Row

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient

    from modelmill.training.session import Training

PATIENCE = 30.0  # seconds that a stage waits at its end for the recording to be complete
IDLE_SECONDS = 10.0
FLUSH_SECONDS = 1.0
ANSWER_SECONDS = 0.02  # between two looks for the answer
ALIVE_SECONDS = 1.0  # between two looks whether a stage that tells nothing is alive
LATER = "`modelmill sync` completes the recording later"
EVENTS, ANSWER, BELL = ".events", ".answer", "bell"


class Recorder(Observer):
    """Writes down what happens in a stage, for the recording process.

    Leaving the context waits until MLflow has it; leaving it by an exception marks the run as
    failed or, after Ctrl-C, killed.
    """

    def __enter__(self) -> "Recorder":
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{time.time_ns()}-{os.getpid()}{EVENTS}"
        self._file = self._path.open("w", encoding="utf-8")
        self._send("open", root=str(Path.cwd()), origin=runs.origin(), server=_here())
        self._process: subprocess.Popen[bytes] | None = None
        self._ensure_recording()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._send("stop", status="KILLED" if kind is KeyboardInterrupt else "FAILED")
        self._send("close")
        self._file.close()
        if problem := self._answer():
            print(f"warning: MLflow: {problem}; {LATER}", file=sys.stderr)

    def start(self, card: Card, profile: str, about: str) -> None:
        """A training of `card` begins."""
        self._send("start", card=asdict(card), profile=profile, about=about)

    def began(self, training: "Training") -> None:
        for row in training.history:
            self.lap(training, row)

    def lap(self, training: "Training", row: Row) -> None:
        self._send("row", row=dict(row))

    def end(self, seconds: float) -> None:
        """The training ended well."""
        self._send("end", seconds=seconds)

    def complete(
        self, name: str, profile: str, about: str, reference: Reference, log_model: bool
    ) -> None:
        """Model `name` has been evaluated: its run gets whatever it lacks."""
        about_it = {"profile": profile, "about": about, "reference": reference.model_dump()}
        self._send("complete", name=name, log_model=log_model, **about_it)

    def _send(self, what: str, **content: Any) -> None:
        self._file.write(json.dumps({"what": what, **content}) + "\n")
        self._file.flush()
        with suppress(OSError):  # nobody listens yet, or has heard it ring thousands of times
            bell = os.open(self._path.parent / BELL, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(bell, b"\0")
            finally:
                os.close(bell)

    def _ensure_recording(self) -> None:
        """Starts the recording process if there is none."""
        from filelock import Timeout

        if self._process and self._process.poll() is None:
            return
        with suppress(Timeout), _lock(self._path.parent, timeout=0):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelmill.tracking.recorder", str(self._path.parent)],
                cwd=repository.root(),  # this stage's folder may be gone before the last one's
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the training, not for what tells of it
            )

    def _answer(self) -> str:
        """What went wrong, an empty string if nothing did."""
        answer = self._path.with_suffix(ANSWER)
        deadline = time.monotonic() + PATIENCE
        while not answer.exists():
            if time.monotonic() > deadline:
                return f"no answer within {PATIENCE:.0f} s"
            self._ensure_recording()  # it may just have ended
            time.sleep(ANSWER_SECONDS)
        problem = answer.read_text(encoding="utf-8")
        answer.unlink()
        return problem


def _folder() -> Path:
    """Where events are written for a recording process with this environment and this code."""
    settings = {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}
    newest = max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*.py"))
    content = json.dumps([settings, newest, sys.executable], sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    return runs.recordings() / key


def _lock(folder: Path, timeout: float) -> "BaseFileLock":
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
        if _is_alive(_writer(path)) or _server(path) not in (None, _here()):
            continue
        try:
            with _lock(path.parent, timeout=0):  # nobody is at work on it
                problem = Recording(path).advance() if path.exists() else ""
        except Timeout:
            raise ModelmillError(
                "MLflow is slow: a stage that has ended is still being recorded; try again later"
            ) from None
        if problem:
            raise ModelmillError(f"MLflow: {problem}; try again later")
        path.unlink(missing_ok=True)
    if not any(map(_is_alive, map(_writer, runs.recordings().glob(f"*/*{EVENTS}")))):
        runs.close_left(_client())


# --- in the recording process --------------------------------------------------------------


def main(folder: Path) -> None:
    """Carries events in `folder` to MLflow until there have been none for `IDLE_SECONDS`."""
    with _lock(folder, timeout=1.0):
        for answer in folder.glob(f"*{ANSWER}"):
            if not _is_alive(_writer(answer)):  # it no longer waited
                answer.unlink()
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
        self._writer = _writer(path)
        self._card: Card
        self._run_id: str | None = None
        self._rows: list[Row] = []
        self._logged = 0  # of the rows
        self._known: runs.Points = ()
        self._flushed = time.monotonic()

    def advance(self) -> str:
        """Carries out what has been written since; returns what went wrong, if anything did."""
        alive = _is_alive(self._writer)
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
                if self._run_id:
                    self._client.set_terminated(self._run_id, "FAILED")
            kind = "" if isinstance(error, ModelmillError) else f"{type(error).__name__}: "
            return runs.without_credentials(kind + str(error).splitlines()[0])
        return ""

    def _open(self, root: str, origin: dict[str, str], **_: str) -> None:
        self._root, self._origin = Path(root), origin
        self._client = _client()

    def _start(self, card: dict[str, Any], profile: str, about: str) -> None:
        self._card = Card(**card)
        # The same training again gives the same bytes: its run is there already.
        if runs.find(self._client, self._card):
            runs.unfinished_file(self._card).unlink(missing_ok=True)
        else:
            self._run_id, self._known = runs.begin(
                self._client, self._card, profile, about, self._origin, self._name
            )

    def _row(self, row: Row) -> None:
        self._rows.append(row)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def _end(self, seconds: float) -> None:
        self._flush()
        if self._run_id:
            runs.finish(self._client, self._card, self._run_id, self._rows, train_seconds=seconds)
            self._run_id = None

    def _stop(self, status: str) -> None:
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

    def _flush(self) -> None:
        if self._run_id:
            new = self._rows[self._logged :]
            runs.log_history(self._client, self._run_id, new, self._known)
        self._logged, self._flushed = len(self._rows), time.monotonic()


@cache
def _client() -> "MlflowClient":
    """The client of all recordings; going through an import's objects is not worth its time."""
    gc.disable()
    client = runs.connect()
    gc.freeze()
    gc.enable()
    return client


def _here() -> str:
    """The tracking server or database, as it may be written down."""
    return runs.without_credentials(os.environ.get("MLFLOW_TRACKING_URI") or str(repository.root()))


def _server(path: Path) -> str | None:
    """What a journal is for, None if it does not say: its stage died as it began."""
    with path.open(encoding="utf-8") as file, suppress(ValueError):
        return json.loads(file.readline()).get("server")
    return None


def _writer(path: Path) -> int:
    """The process of the stage that a file is from."""
    return int(path.stem.rpartition("-")[2])


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
