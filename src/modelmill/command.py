"""The command `modelmill`: what `pipelines/` of the repository around the current folder can do.

Nothing but Python's own library is imported here, so that what is missing is said in one line.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    here = Path.cwd()
    root = next(filter(_is_repository, [here, *here.parents]), None)
    if root is None:
        print(
            f"error: neither {here} nor a folder above it is a clone of modelmill: "
            "cd into yours first",
            file=sys.stderr,
        )
        sys.exit(2)
    os.chdir(root)
    sys.path.insert(0, str(root))
    from pipelines.__main__ import main as command

    command(here.relative_to(root))


def _is_repository(folder: Path) -> bool:
    return all((folder / part).is_file() for part in ("dvc.yaml", "pipelines/__main__.py"))
