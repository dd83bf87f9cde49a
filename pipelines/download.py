"""Stage download: the verified raw files of one data set in data/raw/NAME."""

import argparse
from pathlib import Path

from modelmill import repository
from modelmill.datasets import sources
from modelmill.files import replacing_folder
from modelmill.params import load
from modelmill.parts import part
from modelmill.schema import choose
from pipelines import run

FETCHED = ".dvc/tmp/fetched"  # an edit of a reader runs this again, and must not fetch again


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.download", description=__doc__)
    parser.add_argument("dataset", help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset = choose(load().datasets, name, "datasets")
    reader = part("datasets", dataset.reader, f"datasets.{name}.reader")
    with replacing_folder(Path("data/raw", name)) as folder:
        if dataset.generate:
            reader.generate(folder, dataset.generate)
        else:
            sources.fetch(name, dataset, folder, repository.root() / FETCHED / name)


if __name__ == "__main__":
    run(main)
