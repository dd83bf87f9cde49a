"""Explains keys of params.yaml: values, defaults and meanings."""

import argparse
from pathlib import Path

from modelmill.files import write_text
from modelmill.params import load

DOCUMENT, SCHEMAS = Path("docs/configuration.md"), Path("conf/schema")


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument(
        "path", nargs="?", default="", help="of params.yaml, such as models.mnist_mlp.fit"
    )
    known.add_argument(
        "--write", action="store_true", help=f"write {DOCUMENT} and, for editors, {SCHEMAS}"
    )
    return known


def main() -> None:
    arguments = parser().parse_args()

    from modelmill import keys

    if arguments.write:
        from modelmill import editors

        write_text(DOCUMENT, keys.document())
        for name, schema in editors.schemas().items():
            write_text(SCHEMAS / f"{name}.json", editors.text(schema))
    else:
        print(keys.explain(load(), arguments.path))
