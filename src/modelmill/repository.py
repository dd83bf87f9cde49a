"""Where the repository is, and what git says of it."""

import os
import subprocess
from pathlib import Path

CODE = ("conf", "src", "pipelines", "dvc.yaml")


def root() -> Path:
    """The repository's root, also from within the temporary copy of a DVC experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def commit(short: bool = False) -> str:
    """The hash of the commit that is checked out, empty outside of a repository."""
    return _git("rev-parse", *["--short"] * short, "HEAD")


def uncommitted(*paths: str) -> str:
    """Of these paths, else of the code and conf/, what differs from the commit, as git lists it."""
    return _git("status", "--porcelain", "--", *(paths or CODE))


def _git(*arguments: str) -> str:
    try:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
