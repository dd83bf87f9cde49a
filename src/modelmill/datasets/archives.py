"""Takes a data set's files out of archives and streams, without trusting these.

Nothing in them is ever run or imported, and no name inside an archive becomes a path: members are
looked up by their exact name and streamed to a name of ours, at most as many bytes as announced.
"""

import ast
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO

from modelmill.datasets.settings import File, Member

BLOCK = 1 << 18
SOURCE_LIMIT = 1 << 26  # bytes of Python source parsed for a literal
TIMEOUT = (5, 30)  # seconds to connect, and between two answers
SLOWEST = 10_000  # bytes in a second: a server that is slower is one that falls silent


class Unavailable(Exception):
    """A source has no usable answer; the next one is tried."""


@contextmanager
def archive(path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Yields a function that opens a regular file of a .whl (zip) or .tgz by its exact name."""
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                yield archive.open
        else:
            with tarfile.open(path, "r:gz") as archive:
                yield lambda name: _tar_member(archive, name)
    except Unavailable:
        raise
    except Exception as error:  # damaged archives make zipfile and tarfile raise almost anything
        raise Unavailable(f"{path.name}: {error}") from None


def _tar_member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.getmember(name)
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        raise Unavailable(f"{name} is not a regular file")
    return stream


def extract(
    open_member: Callable[[str], IO[bytes]],
    members: Mapping[str, Member],
    files: Mapping[str, File],
    out: Path,
) -> None:
    for name, member in members.items():
        end = member.trim_end.encode()
        with (out / name).open("wb") as target:
            for path in member.paths:
                with open_member(path) as stream:
                    if member.literal:
                        stream = io.BytesIO(_python_string(stream, member.literal))
                    copy_stream(stream, target, files[name].bytes + len(end))
            target.truncate(max(0, target.tell() - len(end)))


def _python_string(source: IO[bytes], target: str) -> bytes:
    """The string constant that Python source assigns to `target`; the source is only parsed."""
    content = source.read(SOURCE_LIMIT + 1)
    if len(content) > SOURCE_LIMIT:
        raise Unavailable(f"more than {SOURCE_LIMIT:,} bytes of source")
    try:
        for node in ast.parse(content).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == target:
                value = ast.literal_eval(node.value)
                if isinstance(value, str):
                    return value.encode()
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unavailable(f"cannot read {target}: {error}") from None
    raise Unavailable(f"no string {target}")


def save(stream: IO[bytes] | gzip.GzipFile, path: Path, limit: int) -> None:
    with path.open("wb") as target:
        copy_stream(stream, target, limit)


def copy_stream(stream: IO[bytes] | gzip.GzipFile, target: IO[bytes], limit: int) -> None:
    """Copies with a progress bar; more than `limit` bytes in `target` are an error.

    So are fewer in the time that so many take of a very slow server.
    """
    from tqdm import tqdm

    seconds = sum(TIMEOUT) + limit / SLOWEST
    deadline = monotonic() + seconds
    name = Path(target.name).name
    bar = tqdm(total=limit, unit="B", unit_scale=True, desc=name, leave=False, disable=None)
    with bar:
        # What there is, for a whole block may never come.
        while block := stream.read1(BLOCK):  # type: ignore[union-attr]
            if monotonic() > deadline:
                raise Unavailable(f"{name}: not here within {seconds:.0f} s: too slow")
            if target.tell() + len(block) > limit:
                raise Unavailable(f"{name}: more than the announced {limit:,} bytes")
            target.write(block)
            bar.update(len(block))
