"""The stages of dvc.yaml and the commands around them: thin scripts over `modelmill`."""

import io
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from modelmill.errors import ModelmillError, without_credentials

# Python imports this first, and then would run a file of functions: nothing, without a word.
asked = re.search(r"-m ?pipelines\.(\w+)", " ".join(sys.orig_argv))
if asked and sys.argv[0] == "-m":
    sys.exit(f"error: run it as `modelmill {asked[1]}`")

NOTHING_LEFT = "nothing half-written was left behind"
called_from = Path()  # the user's folder, below the repository's root, in which commands run


def given(path: str) -> Path:
    """A path as the user wrote it."""
    return called_from / path


def require_place(option: str, path: Path) -> None:
    """Raises ModelmillError unless `path`, given with `option`, is where a file can be written."""
    if path.is_dir() or not path.parent.is_dir():
        raise ModelmillError(f"{option} {path}: it is a folder, or there is none to write it to")
    from modelmill.files import require_writable

    require_writable(path.parent)


def run(main: Callable[[], None]) -> None:
    """Runs a command; what the user can put right ends in one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal need not know every sign
    try:
        _told(main)
    except ModelmillError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # of `modelmill results | head`, which has read enough
        _drain()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a disk that is full, a folder that may not be written
        _drain()
        named = error.filename and error.strerror
        said = f"{error.filename}: {error.strerror}" if named else " ".join(str(error).split())
        if "requested and" in said:  # by NumPy, which does not pass on why
            said = f"a file could not be written whole, as on a full disk: {said}"
        print(f"error: {without_credentials(said)}", file=sys.stderr)
        sys.exit(2)
    except (ImportError, MemoryError) as error:  # of a library, where memory is scarce
        first: BaseException = error
        while first.__context__:
            first = first.__context__
        said = f"{type(first).__name__} {' '.join(str(first).split()):.300}".strip()
        absent = isinstance(first, ModuleNotFoundError)
        why = "run `make setup`" if absent else "out of memory, or `make setup` was not complete"
        print(f"error: {without_credentials(said)}: {why}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print(f"interrupted: {str(stop) or NOTHING_LEFT}", file=sys.stderr)
        sys.exit(130)


def _told(main: Callable[[], None]) -> None:
    """Runs a command until all that it printed is where it was to go."""
    try:
        main()
    except SystemExit:  # after --help
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _drain() -> None:
    """Empties standard output, so that what it does not take is no error again as Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
