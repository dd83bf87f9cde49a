"""Stage preprocess: one data set as memory-mappable arrays in data/processed/NAME."""

import argparse
from pathlib import Path

from modelmill.files import replacing_folder
from modelmill.params import load, require_unchanged
from modelmill.schema import choose


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("dataset", help="a key of `datasets` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().dataset
    params = load()
    dataset = choose(params.datasets, name, "datasets")
    with replacing_folder(Path("data/processed", name)) as folder:
        dataset.prepare(name, folder)
        require_unchanged(params, lambda now: now.datasets[name].options, f"{name} was prepared")
