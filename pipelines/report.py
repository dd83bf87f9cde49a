"""Stage report: the results as one self-contained page, data/report/index.html.

That page is made from files alone. `--now` adds what depends on the moment: what changed since the
last commit, training times from MLflow, this machine and the versions installed on it.
"""

import argparse
from pathlib import Path

from modelmill.files import replacing_folder
from modelmill.params import load
from pipelines import run

PAGE = "index.html"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.report", description=__doc__)
    parser.add_argument("--now", type=Path, metavar="FILE", help="write here what there is now")
    target = parser.parse_args().now
    params = load()

    from modelmill.report import page

    if target:
        from modelmill.report import moment

        page.write(target, params, Path(), moment.now(params))
        return
    with replacing_folder(Path("data/report")) as folder:
        page.write(folder / PAGE, params, Path())


if __name__ == "__main__":
    run(main)
