"""What a sweep on disk was begun with, so that it is never continued as another one."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import read_json, undamaged, write_json
from modelmill.params import Params
from modelmill.schema import Section, validate
from modelmill.sweeps.settings import Sweep, with_values
from modelmill.tracking import summary
from modelmill.trained import artifacts

IDENTITY = "sweep.json"
MANY = 8  # keys that differ: more are counted
LONGEST = 80  # characters shown of a key, which a damaged file may have made
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
    again = f"modelmill sweep {name} --fresh"
    with undamaged(path, again):
        before = validate(_Identity, {"values": read_json(path)}, "", str(path)).values
    if changed := sorted(key for key in {**before, **now} if before.get(key) != now.get(key)):
        shown = ", ".join(" ".join(key.split())[:LONGEST] for key in changed[:MANY])
        more = f" and {len(changed) - MANY} more" * (len(changed) > MANY)
        raise ModelmillError(
            f"{folder} was begun with other values of {shown}{more}: "
            f"take them back, or begin again with `{again}`"
        )


class _Identity(Section):
    values: dict[str, str]


def _identity(sweep: Sweep, params: Params, data: Processed) -> Mapping[str, Any]:
    """By key, as text: what a trial's result depends on, and so no value that every trial sets."""
    own = f"models.{sweep.model}."
    always = {
        key: dimension.extremes()[0]
        for key, dimension in sweep.space.items()
        if not dimension.when and (key.startswith(own) or key == "seed")
    }
    training = params.training(sweep.model)
    given = {"seed": training.pop("seed"), "models": {sweep.model: training}}
    varied = with_values(given, always)
    settings = {**varied["models"][sweep.model], "seed": varied["seed"]}
    return {
        **summary.flatten(sweep.model_dump(exclude=MAY_CHANGE), "sweep."),
        **summary.flatten(settings, "params."),
        "data": data.digest,
        "code": artifacts.fingerprint({key: settings[key] for key in ("arch", "task")}, data=""),
    }
