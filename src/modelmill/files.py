"""Reading files or saying why not; writing them so that nothing half-written is taken for whole."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from modelmill.errors import ModelmillError

LARGEST = 24 << 20  # bytes of a JSON file; a vocabulary of all there is in Unicode has fewer
# What the system says whatever a file holds: no space, no right, no more open files.
OF_THE_SYSTEM = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EIO, errno.EMFILE, errno.ENFILE),
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system says against reading `path` into one line.

    Raises:
        ModelmillError: the file is missing or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise ModelmillError(f"{path} is missing") from None
    except OSError as error:
        raise ModelmillError(f"{path} cannot be read: {error.strerror}") from None


class Damaged(ModelmillError):
    """A file that the pipeline wrote is missing or is not what was written.

    Args:
        what: which file, and what is wrong with it.
        remedy: the command that makes it anew.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    def __str__(self) -> str:
        return f"{self.what}: run `{self.remedy}`"


@contextmanager
def undamaged(path: Path, remedy: str) -> Iterator[None]:
    """Turns whatever is wrong with a file that the pipeline wrote into one line.

    Args:
        remedy: the command that makes it anew.

    Raises:
        Damaged: the file is missing, or what reads it raised anything at all.
        ModelmillError: that was for the system's reasons, and nothing is to be made anew.
    """
    try:
        yield
    except MemoryError:
        raise
    except FileNotFoundError:
        raise Damaged(f"{path} is missing", remedy) from None
    except Exception as error:  # of damaged bytes, libraries raise almost anything
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            raise ModelmillError(f"{path}: {error.strerror}") from None
        said = " ".join(str(error).split()).removeprefix(f"{path}: ")
        raise Damaged(f"{path} is damaged: {said:.300}", remedy) from None


def read_json(path: Path) -> Any:
    """The data of a JSON file, of a bounded size and, by its reader, depth.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is not JSON, larger than `LARGEST` bytes, or too deep.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    return from_json(content, allow_inf_nan=False)


def require_writable(*folders: Path) -> None:
    """Finds out before the work whether its results can be written.

    Raises:
        ModelmillError: no file can be made in one of the folders.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            said = (error.strerror or "").lower()
            raise ModelmillError(f"{folder}: no file can be made there: {said}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path; what was written there becomes `path` if the block succeeds.

    On an exception, Ctrl-C included, the temporary file is removed and `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder that becomes `path`, as a whole, if the block succeeds.

    What a process that was killed left of its own is removed: one at a time writes a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        old = temporary.with_name(temporary.name + ".old")
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes `json_text` atomically."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Indented JSON; keys keep their order, NaN and infinity are refused."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def sha256(*paths: Path) -> str:
    """Hex digest of the files' bytes, one after another, in constant memory."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def text_sha256(text: str) -> str:
    """Hex digest of what `write_text` writes."""
    return hashlib.sha256(text.encode()).hexdigest()


def data_sha256(value: Any) -> str:
    """Hex digest of plain data, in which the order of keys does not count."""
    return text_sha256(json.dumps(value, sort_keys=True))
