"""Trains and evaluates models over seeds, or folds of their data.

modelmill replicate mnist_deep_mlp mnist_cnn --seeds 5
modelmill replicate movielens_mf --over datasets.movielens.options.fold=1,2,3,4,5
"""

import argparse
from pathlib import Path
from typing import Any

from modelmill.errors import ModelmillError
from modelmill.params import parse
from modelmill.plain_yaml import read_yaml, yaml_data

MOST = 1000


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What has been trained is kept in data/replicates: a command that was stopped\n"
        "goes on when it is given again. Means and intervals are written to docs/results,\n"
        "or, if those there are of the profile full and these are not, to data/replicates.",
    )
    known.add_argument("models", nargs="+", metavar="model", help="a key of `models`")
    values = known.add_mutually_exclusive_group(required=True)
    values.add_argument(
        "--seeds", type=int, metavar="N", help="that many, from that of params.yaml on"
    )
    values.add_argument("--over", metavar="KEY=A,B,...", help="of the options of a data set")
    return known


def main() -> None:
    arguments = parser().parse_args()
    names = [*dict.fromkeys(arguments.models)]
    base = read_yaml(Path("params.yaml"))
    key, values = _values(arguments, base)

    from modelmill.sweeps import replicates, replication, state

    replicates.check(base, names, key, values)
    with state.alone(replicates.FOLDER):  # they share what is published
        with replicates.planned(base, names, key, values) as planned:
            records = replication.run(base, planned)
        made = list(zip(planned, records, strict=True))

        from modelmill.sweeps import spread

        for name in names:
            of_model = [(each, record) for each, record in made if each.name == name]
            print(spread.plain(of_model))
            print(f"{spread.publish(of_model)}: {name}")


def _values(arguments: argparse.Namespace, base: dict[str, Any]) -> tuple[str, list[Any]]:
    """The key, and two or more values."""
    if arguments.seeds is not None:
        if not 2 <= arguments.seeds <= MOST:
            raise ModelmillError(
                f"--seeds {arguments.seeds}: two at least have a spread, and {MOST:,} are the most"
            )
        first = parse(base).seed
        parse({**base, "seed": first + arguments.seeds - 1}, f"--seeds {arguments.seeds}")
        return "seed", [*range(first, first + arguments.seeds)]
    key, _, text = arguments.over.partition("=")
    given = [value for value in text.split(",") if value.strip()]
    values = [yaml_data(value, f"--over {key}={value}") for value in given]
    if len(values) < 2 or len(set(map(str, values))) < len(values):
        raise ModelmillError(
            f"--over {arguments.over}: expected KEY=A,B,..., two values at least, none twice"
        )
    return key, values
