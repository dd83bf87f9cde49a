"""The command `modelmill`: what `pipelines/` of the repository around the current folder can do.

All code that runs is of that repository, be it another clone than the one that was installed, or
the copy in which DVC carries out what was queued. Nothing but Python's own library is imported
here, so that what is missing is said in one line.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> None:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        _refuse("the current folder was removed: cd into your clone first")
    root = next(filter(_is_repository, [here, *here.parents]), None)
    if root is None:
        _refuse(
            f"neither {here} nor a folder above it is a clone of modelmill: cd into yours first"
        )
    source = (root / "src").resolve()
    if source not in Path(__file__).resolve().parents:
        _run_from(source)
    os.chdir(root)
    sys.path.insert(0, str(root))
    from pipelines.__main__ import main as command

    command(here.relative_to(root))


def _run_from(source: Path) -> NoReturn:
    """Runs this command anew with the code in `source`, as all that it starts on this machine."""
    known = os.environ.get("PYTHONPATH", "")
    if f"{known}{os.pathsep}".startswith(f"{source}{os.pathsep}"):
        _refuse(
            f"Python does not find modelmill in {source}: it was told to heed no PYTHONPATH, "
            f"or there is a '{os.pathsep}' in the path: then move the clone"
        )
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), known]))
    os.execv(sys.executable, sys.orig_argv)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _is_repository(folder: Path) -> bool:
    return all((folder / part).is_file() for part in ("dvc.yaml", "pipelines/__main__.py"))
