"""Stage download: the verified raw files of one data set in data/raw/NAME."""

import argparse
from pathlib import Path

from modelmill import params
from modelmill.files import replacing_folder
from modelmill.schema import choose
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.download", description=__doc__)
    parser.add_argument("dataset", help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset = choose(params.load().datasets, name, "datasets")
    from modelmill.datasets import generate, sources

    with replacing_folder(Path("data/raw", name)) as folder:
        if dataset.generate:
            generate.GENERATORS[dataset.reader].write(folder, dataset.generate)
        else:
            sources.fetch(name, dataset, folder)


if __name__ == "__main__":
    run(main)
