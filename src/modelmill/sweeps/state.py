"""What a sweep on disk was begun with, so that it is never continued as another one."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.params import Params
from modelmill.sweeps.settings import Sweep
from modelmill.tracking import summary
from modelmill.trained import artifacts

IDENTITY = "sweep.json"
MAY_CHANGE = {"about", "minutes", "resources", "trials"}  # without making other trials


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the sweep in `folder` for this process; the system lets go of it if that dies.

    Raises:
        ModelmillError: another process holds it.
    """
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ModelmillError(
            f"another process is at work on {folder}: wait until it ends, or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def prepare(
    folder: Path, name: str, sweep: Sweep, params: Params, data: Processed, fresh: bool
) -> None:
    """Makes the folder of a sweep, or makes sure that what is in it is this sweep.

    Raises:
        ModelmillError: naming the keys, if it was begun with other settings, data or code.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    now = _identity(sweep, params, data)
    path = folder / IDENTITY
    if not path.exists():
        write_json(path, now)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if changed := sorted(key for key in {**before, **now} if before.get(key) != now.get(key)):
        raise ModelmillError(
            f"{folder} was begun with other values of {', '.join(changed)}: take them back, or "
            f"begin again with `python -m pipelines.sweep {name} --fresh`"
        )


def _identity(sweep: Sweep, params: Params, data: Processed) -> Mapping[str, Any]:
    """By key, as text: what a trial's result depends on."""
    settings = params.training(sweep.model)
    return {
        **summary.flatten(sweep.model_dump(exclude=MAY_CHANGE), "sweep."),
        **summary.flatten(settings, "params."),
        "data": data.digest,
        "code": artifacts.fingerprint(settings, data.digest),
    }
