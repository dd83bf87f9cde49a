"""Stage preprocess: one data set as memory-mappable arrays in data/processed/NAME."""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.files import replacing_folder
from modelmill.params import load
from modelmill.parts import part
from modelmill.schema import choose


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("dataset", help="a key of `datasets` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().dataset
    dataset = choose(load().datasets, name, "datasets")
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    if not (raw := Path("data/raw", name)).is_dir():
        raise ModelmillError(f"{raw} is missing: run `dvc repro download@{name}`")
    with replacing_folder(Path("data/processed", name)) as folder:
        reader.prepare(raw, folder, dataset.options)
