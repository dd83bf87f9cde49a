"""The command `modelmill`: what `pipelines/` of the repository around the current folder can do.

Nothing but Python's own library is imported here, so that what is missing is said in one line.
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
    os.chdir(root)
    sys.path.insert(0, str(root))
    from pipelines.__main__ import main as command

    command(here.relative_to(root))


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _is_repository(folder: Path) -> bool:
    return all((folder / part).is_file() for part in ("dvc.yaml", "pipelines/__main__.py"))
