"""Stage download: the verified raw files of one data set in data/raw/NAME."""

import argparse
from pathlib import Path
from typing import Any

from modelmill import repository
from modelmill.datasets import sources
from modelmill.datasets.settings import Dataset
from modelmill.files import replacing_folder
from modelmill.params import load, require_unchanged
from modelmill.parts import part
from modelmill.schema import choose

FETCHED = ".dvc/tmp/fetched"  # an edit of a reader runs this again, and must not fetch again


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("dataset", help="a key of `datasets` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().dataset
    params = load()
    dataset = choose(params.datasets, name, "datasets")
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    with replacing_folder(Path("data/raw", name)) as folder:
        if dataset.generate:
            reader.generate(folder, dataset.generate)
        else:
            sources.fetch(name, dataset, folder, repository.root() / FETCHED)
        require_unchanged(params, lambda now: _asked(now.datasets[name]), f"{name} was fetched")


def _asked(dataset: Dataset) -> tuple[Any, ...]:
    """What the raw files depend on."""
    return dataset.files, dataset.generate, dataset.sources
