"""Stage fundamentals: the basics, in numbers to check by hand and in pictures."""

import argparse
from pathlib import Path

from modelmill import runtime
from modelmill.files import replacing_folder, write_json


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=__doc__)


def main() -> None:
    parser().parse_args()
    runtime.start(seed=0)
    from modelmill.fundamentals import drawings, values

    with replacing_folder(Path("data/figures/fundamentals")) as pictures:
        drawings.draw(pictures)
    write_json(Path("data/metrics/fundamentals.json"), values.compute())
