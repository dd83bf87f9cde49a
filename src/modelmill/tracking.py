"""Records trainings in MLflow while they run.

The files are the truth and MLflow is a view of them, so a recording must never slow down or stop
a training: a `Recorder` hands everything to a process of its own (this module's `main`), which
imports MLflow while TensorFlow starts. What could not be recorded, and what DVC took from its
cache, is made good from the files by ``python -m pipelines.sync``.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from modelmill import runs
from modelmill.artifacts import Card

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 30.0  # seconds that a stage waits at its end for the recording to be complete
FLUSH_SECONDS = 1.0
LATER = "`python -m pipelines.sync` completes the recording later"


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

    def complete(self, name: str, profile: str, about: str, log_model: bool) -> None:
        """Model `name` has been evaluated: its run gets whatever it lacks."""
        self._send("complete", name=name, profile=profile, about=about, log_model=log_model)

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
    gc.disable()  # going through MLflow's objects again and again takes a quarter of its import
    try:
        client = runs.connect()
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
        if not runs.find(self.client, known):
            self.run_id = runs.create(self.client, known, profile, about, runs.origin())

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

    def complete(self, name: str, profile: str, about: str, log_model: bool) -> None:
        runs.record(self.client, name, profile, about, log_model)

    def _flush(self) -> None:
        if self.run_id:
            runs.log_history(self.client, self.run_id, self.rows)
        self.rows, self.flushed = [], time.monotonic()


def _warn(reason: str) -> None:
    print(f"warning: MLflow: {reason.splitlines()[0]}; {LATER}", file=sys.stderr)


if __name__ == "__main__":
    main()
