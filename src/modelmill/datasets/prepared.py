"""The data that the pipeline has prepared, held against those that params.yaml asks for."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from modelmill.datasets import processed
from modelmill.datasets.processed import Processed
from modelmill.datasets.settings import Dataset
from modelmill.errors import ModelmillError
from modelmill.files import undamaged
from modelmill.plain_yaml import LARGEST, read_yaml
from modelmill.schema import validate

LOCK = "dvc.lock"  # what DVC's stages were run with
MADE_FROM = {"download": ("files", "generate"), "preprocess": ("options",)}  # keys, by stage


def load(name: str, dataset: Dataset) -> Processed:
    """Opens the pipeline's data of that name.

    Raises:
        ModelmillError: they are missing or damaged, or others than `dataset` says.
    """
    data = find(name, dataset, Path())
    if not data:
        raise ModelmillError(
            f"data/processed/{name} was not prepared as params.yaml says: "
            f"run `dvc repro preprocess@{name}`"
        )
    return data


def find(name: str, dataset: Dataset, root: Path) -> Processed | None:
    """As `load`, from the data/ of a folder; None if they are others than `dataset` says."""
    data, lock = processed.load(root / "data/processed" / name), root / LOCK
    if not lock.exists():  # they were not made by DVC
        return data
    made_from = _made_from(lock, lock.stat().st_mtime_ns).get(name, {})
    try:
        given = validate(Dataset, {**dataset.model_dump(), **made_from}, "", LOCK).typed(name, LOCK)
    except ModelmillError:  # the reader had other options then
        return None
    return data if given == dataset else None


@cache
def _made_from(lock: Path, changed: int) -> Mapping[str, Mapping[str, Any]]:
    """The keys of data sets, by name, that the stages of a dvc.lock of that time were run with."""
    found: dict[str, dict[str, Any]] = {}
    with undamaged(lock, f"git checkout {LOCK}"):
        for stage, entry in read_yaml(lock, 10 * LARGEST)["stages"].items():
            kind, _, name = stage.partition("@")
            for key in MADE_FROM.get(kind, ()):
                values = entry["params"]["params.yaml"]
                found.setdefault(name, {})[key] = values[f"datasets.{name}.{key}"]
    return found
