"""Prints every model's figure beside its goal."""

import argparse
import shutil
from pathlib import Path

from modelmill import repository
from modelmill.errors import ModelmillError
from modelmill.files import write_json, write_text
from modelmill.params import load
from modelmill.trained.artifacts import Card

REPORT, README = Path("docs/results/full.json"), Path("README.md")
PICTURES = ("mnist_lstm/reading.png", "mnist_denoising_autoencoder/reconstructions.png")


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument(
        "--publish",
        action="store_true",
        help=f"also write {REPORT.parent} and the table in {README}, with times from MLflow",
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    params = load()

    from modelmill.report import table

    if not arguments.publish:
        print(table.plain(table.collect(params, Path("data"), lambda card: None)))
        return
    if params.profile != "full":
        raise ModelmillError(
            f"params.yaml has the profile {params.profile}; what is published comes from full: "
            "run `make repro PROFILE=full`"
        )

    from modelmill.tracking import runs, store

    if changed := repository.uncommitted():
        raise ModelmillError(f"commit first, so that the results have a commit: {changed}")
    client = store.connect()

    def seconds(card: Card) -> float | None:
        return runs.train_seconds(client, card)

    found = table.collect(params, Path("data"), seconds)
    print(table.plain(found))
    report = table.report(found, repository.commit())
    document = table.insert(README.read_text(encoding="utf-8"), "results", table.markdown(report))
    write_json(REPORT, report)
    write_text(README, document)
    for picture in PICTURES:
        shutil.copy(Path("data/figures", picture), REPORT.parent / picture.replace("/", "_"))
