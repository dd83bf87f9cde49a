"""Stage preprocess: one data set as memory-mappable arrays in data/processed/NAME."""

import argparse
from pathlib import Path

from modelmill.files import replacing_folder
from modelmill.params import load
from modelmill.parts import part
from modelmill.schema import choose
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.preprocess", description=__doc__)
    parser.add_argument("dataset", help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset = choose(load().datasets, name, "datasets")
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    with replacing_folder(Path("data/processed", name)) as folder:
        reader.prepare(Path("data/raw", name), folder, dataset.options)


if __name__ == "__main__":
    run(main)
