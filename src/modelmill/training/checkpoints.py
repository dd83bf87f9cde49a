"""Checkpoints: an interrupted training goes on from one as if nothing had happened."""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np

from modelmill.errors import ModelmillError
from modelmill.files import replacing
from modelmill.training.observer import Checkpoint, Observed, Observer, Row

SECONDS, SECONDS_AT_LAP = 30.0, 5.0  # between checkpoints: anywhere, and where a lap ends
KEPT = 2
STALE_SECONDS = 14 * 24 * 3600.0
DIGEST_BYTES = 32
STDERR = 2  # the file descriptor


class Checkpoints(Observer):
    """The newest checkpoints of one training, whose fingerprint names the folder.

    A file begins with the SHA-256 of the rest: what a crash or a disk left damaged is not taken
    for whole, and the one before it is used.

    Within the context, Ctrl-C and SIGTERM end the training at the end of the compiled call, after
    a last checkpoint; a second one ends it at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved = time.monotonic()
        self.interrupted = False

    def __enter__(self) -> "Checkpoints":
        self._handlers = {
            number: signal.signal(number, self._interrupt)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._default()
        if isinstance(error, ModelmillError) and (paths := self._paths()):
            raise ModelmillError(f"{error}; the last checkpoint is {paths[0]}") from None

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, if there is one."""
        for path in self._paths():
            content = path.read_bytes()
            if hashlib.sha256(content[DIGEST_BYTES:]).digest() == content[:DIGEST_BYTES]:
                with np.load(BytesIO(content[DIGEST_BYTES:]), allow_pickle=False) as file:
                    arrays = dict(file)
                return Checkpoint(arrays, json.loads(str(arrays.pop("progress"))))
            print(f"warning: {path} is damaged, and not used", file=sys.stderr)
        return None

    def called(self, training: Observed, metrics: Row) -> None:
        self._offer(training, SECONDS)

    def lap(self, training: Observed, row: Row) -> None:
        if training.step < training.steps:
            self._offer(training, SECONDS_AT_LAP)

    def _offer(self, training: Observed, seconds: float) -> None:
        """Saves a checkpoint if the last is that old; after Ctrl-C it does, and ends the training.

        A disk that is full does not end the training, which may well need no checkpoint.

        Raises:
            KeyboardInterrupt: the training has been interrupted.
        """
        if not self.interrupted and time.monotonic() - self.saved < seconds:
            return
        step, kept = training.step, "is saved"
        try:
            self._save(step, training.checkpoint())
        except OSError as error:
            kept = f"could not be saved ({error})"
            print(f"warning: step {step:,} {kept}", file=sys.stderr)
        self.saved = time.monotonic()
        if self.interrupted:
            raise KeyboardInterrupt(f"step {step:,} {kept}; the next dvc repro goes on from it")

    def remove(self) -> None:
        """Removes the checkpoints of this training, and those that nobody came back to for long."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another training that ends now has removed the same
            for folder in self.folder.parent.parent.glob("*/*"):
                if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # it has those of other settings
            self.folder.parent.rmdir()

    def _save(self, step: int, checkpoint: Checkpoint) -> None:
        buffer = BytesIO()
        progress = np.array(json.dumps(checkpoint.progress))
        np.savez(buffer, progress=progress, **checkpoint.arrays)  # type: ignore[arg-type]
        with (
            replacing(self.folder / f"{step:012}.checkpoint") as temporary,
            temporary.open("wb") as file,
        ):
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        for old in self._paths()[KEPT:]:
            old.unlink()

    def _paths(self) -> list[Path]:
        """From the newest on."""
        return sorted(self.folder.glob("*.checkpoint"), reverse=True)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        self._default()
        with suppress(OSError):  # past Python's stream, which may be writing a line just now
            os.write(STDERR, b"\nstopping at the end of this step (Ctrl-C again: at once)\n")

    def _default(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
