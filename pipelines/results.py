"""Prints every model's figure beside its goal and the published one."""

import argparse
from pathlib import Path

from modelmill import params
from modelmill.errors import ModelmillError
from modelmill.files import write_text
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.results", description=__doc__)
    parser.add_argument("--readme", type=Path, help="also replace the table in this Markdown file")
    arguments = parser.parse_args()
    everything = params.load()

    from modelmill import results

    table = results.table(everything.models, Path("data/metrics"))
    print(results.plain(table))
    if arguments.readme:
        block = results.markdown(table, everything.profile)
        if not arguments.readme.is_file():
            raise ModelmillError(f"{arguments.readme} is not a file")
        document = arguments.readme.read_text(encoding="utf-8")
        write_text(arguments.readme, results.insert(document, block))


if __name__ == "__main__":
    run(main)
