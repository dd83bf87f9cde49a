"""What a page shows of the moment it is written: changes, times, the machine and its software."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from modelmill import repository
from modelmill.params import Params
from modelmill.report import table
from modelmill.report.content import PACKAGES
from modelmill.trained.artifacts import Card


@dataclass(frozen=True)
class Change:
    """A metric that is not what it was at the last commit; None where it was not there."""

    model: str
    metric: str
    old: float | None
    new: float | None


@dataclass(frozen=True)
class Moment:
    """See above.

    Attributes:
        commit: what is checked out, empty outside of a repository.
        changes: since that commit, None if DVC could not tell.
        seconds: how long the training took that a card describes, None if that is not known.
    """

    commit: str
    changes: list[Change] | None
    environment: dict[str, str]
    seconds: Callable[[Card], float | None]


def now(params: Params) -> Moment:
    """The moment of the repository that is the working directory; asks git, DVC and MLflow."""
    from modelmill.tracking import runs, store

    client = store.connect()
    return Moment(
        repository.commit(),
        changes(_metrics_diff(), params),
        {
            "machine": table.machine(),
            "system": platform.platform(),
            "Python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        lambda card: runs.train_seconds(client, card),
    )


def changes(printed: str | None, params: Params) -> list[Change] | None:
    """The models' changes in what ``dvc metrics diff --json`` printed; None of None."""
    if printed is None:
        return None
    files = json.loads(printed)
    return [
        Change(name, metric, values.get("old"), values.get("new"))
        for name in params.models
        for metric, values in files.get(f"data/metrics/{name}.json", {}).items()
    ]


def _metrics_diff() -> str | None:
    command = [sys.executable, "-m", "dvc", "metrics", "diff", "--json"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError:  # no commit to compare with, or no repository
        return None
