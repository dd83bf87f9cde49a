"""Trains and evaluates models over values of a key: folds, seeds.

modelmill replicate movielens_mf --over datasets.movielens.options.fold=1,2,3,4,5
"""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.plain_yaml import read_yaml, yaml_data


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What has been trained is kept in data/replicates: a command that was stopped goes "
        "on when it is given again.",
    )
    known.add_argument("models", nargs="+", metavar="model", help="a key of `models`")
    known.add_argument("--over", required=True, metavar="KEY=A,B,...", help="of params.yaml")
    known.add_argument("--out", type=Path, metavar="FILE", help="write the numbers as JSON, too")
    return known


def main() -> None:
    arguments = parser().parse_args()
    key, _, text = arguments.over.partition("=")
    values = [yaml_data(value) for value in text.split(",") if value.strip()]
    if not values or len(set(map(str, values))) < len(values):
        raise ModelmillError(f"--over {arguments.over}: expected KEY=A,B,..., no value twice")
    base = read_yaml(Path("params.yaml"))

    from modelmill.sweeps import replicates

    replicates.check(base, arguments.models, key, values)
    found = {
        name: [replicates.replicate(base, name, key, value) for value in values]
        for name in arguments.models
    }
    print(replicates.table(found, values))
    if arguments.out:
        content = {"over": key, "values": values, "profile": base["profile"], "metrics": found}
        write_json(arguments.out, content)
