"""Stage fundamentals: the basics in numbers that can be checked by hand, and in pictures."""

import argparse
from pathlib import Path

from modelmill import runtime
from modelmill.files import replacing_folder, write_json
from pipelines import run


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m pipelines.fundamentals", description=__doc__
    ).parse_args()

    runtime.start(seed=0)
    from modelmill.fundamentals import drawings, values

    with replacing_folder(Path("data/figures/fundamentals")) as pictures:
        drawings.draw(pictures)
    write_json(Path("data/metrics/fundamentals.json"), values.compute())


if __name__ == "__main__":
    run(main)
