"""Records trainings in MLflow while they run.

The files are the truth and MLflow is a view of them, so a recording must never slow down or stop
a training. A `Recorder` writes what happens to a file, and `modelmill.tracking.recording`, in a
process that is started while TensorFlow is imported, carries it to MLflow. What could not be
recorded, and what DVC took from its cache, is made good from the results by
``modelmill sync``.
"""

import fcntl
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from modelmill import repository
from modelmill.errors import in_one_line
from modelmill.files import data_sha256
from modelmill.parts import PACKAGE
from modelmill.reference import Reference
from modelmill.tracking import runs
from modelmill.tracking.experiments import Experiment
from modelmill.tracking.recording import ANSWER, BELL, EVENTS, NEW, PATIENCE, here, lock
from modelmill.trained.artifacts import Card
from modelmill.training.observer import Observed, Observer, Row

ANSWER_SECONDS = 0.02  # between two looks for the answer
LATER = "`modelmill sync` completes the recording later"


class Recorder(Observer):
    """Writes down what happens in a stage, for the recording process.

    Leaving the context waits until MLflow has it; leaving it by an exception marks the run as
    failed or, after Ctrl-C, killed.

    Args:
        experiment: of the data set that the stage is about.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._problem = experiment, ""
        self._file: IO[str] = io.StringIO()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Recorder":
        try:
            self._begin()
        except OSError as error:  # of a folder that others own, or a system without locks
            self._problem = in_one_line(error)
        return self

    def _begin(self) -> None:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{time.time_ns()}-{os.getpid()}{EVENTS}"
        new = self._path.with_suffix(NEW)
        self._file = new.open("w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)  # so that others see that this stage is alive
        new.rename(self._path)
        self._send(
            "open",
            root=str(Path.cwd()),
            origin=runs.origin(),
            server=here(),
            experiment=asdict(self._experiment),
        )
        self._ensure_recording()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._send("stop", status="KILLED" if kind is KeyboardInterrupt else "FAILED")
        self._send("close")
        try:
            problem = self._problem or self._answer()
        except OSError as error:
            problem = in_one_line(error)
        if problem:
            print(f"warning: MLflow: {problem}; {LATER}", file=sys.stderr)
        with suppress(OSError):  # what could not be written is tried again
            self._file.close()

    def start(self, card: Card, meta: Mapping[str, Any], profile: str, about: str) -> None:
        """A training of `card` begins, on the data set that `meta` describes."""
        self._send("start", card=asdict(card), meta=meta, profile=profile, about=about)

    def began(self, training: Observed) -> None:
        for row in training.history:
            self.lap(training, row)

    def lap(self, training: Observed, row: Row) -> None:
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
        if self._problem:
            return
        try:
            self._file.write(json.dumps({"what": what, **content}) + "\n")
            self._file.flush()
        except OSError as error:
            self._problem = in_one_line(error)
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
        with suppress(Timeout), lock(self._path.parent, timeout=0):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelmill.tracking.recording", str(self._path.parent)],
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
    """Where events are written for a recording process with this environment and this code.

    The copy of an experiment of DVC's queue has code of its own.
    """
    settings = {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}
    newest = max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*.py"))
    return runs.recordings() / data_sha256([settings, newest, sys.executable])[:16]
