"""Stage report: the results as one self-contained page, data/report/index.html.

That page is made from files alone. `--now` adds what depends on the moment: what changed since the
last commit, training times from MLflow, this machine and the versions installed on it.
"""

import argparse
from pathlib import Path

from modelmill.files import replacing_folder, require_writable
from modelmill.params import load
from pipelines import given, require_place

PAGE = "index.html"


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("--now", type=given, metavar="FILE", help="write here what there is now")
    return known


def main() -> None:
    target = parser().parse_args().now
    params = load()
    if target:
        require_place("--now", target)
    else:
        require_writable(Path("data"))

    from modelmill.report import page

    if target:
        from modelmill.report import moment
        from modelmill.tracking import store

        now = moment.now(params)
        with store.answering("asked for times of training"):
            page.write(target, params, Path(), now)
        return
    with replacing_folder(Path("data/report")) as folder:
        page.write(folder / PAGE, params, Path())
