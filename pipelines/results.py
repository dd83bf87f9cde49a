"""Prints every model's figure beside its goal."""

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelmill import repository
from modelmill.errors import ModelmillError
from modelmill.files import write_json, write_text
from modelmill.params import Params, load
from modelmill.parts import metrics
from modelmill.trained.artifacts import Card
from modelmill.trained.history import read_history

REPORT, PAGE = Path("docs/results/full.json"), Path("docs/results.md")
README = Path("README.md")
PICTURES = [
    "mnist_deep_autoencoder/codes.png",
    "mnist_deep_autoencoder/reconstructions.png",
    "mnist_denoising_autoencoder/reconstructions.png",
    "mnist_lstm/reading.png",
    "mnist_rbm/fantasies.png",
    "movielens_rbm_top/neighbours.png",
]
PRETRAINING = "mnist_dbn_pretraining.png"
PRETRAINED = {  # by what they learn from: a net, and its control
    "55,000 labels": ("mnist_dbn", "mnist_dbn_random"),
    "1,000 labels": ("mnist_dbn_1000", "mnist_dbn_random_1000"),
}
CHOSEN = ["mnist_mlp", "mnist_cnn", "mnist_lstm", "mnist_rbm", "mnist_dbn"]  # for the README
CHOSEN += ["mnist_deep_autoencoder", "ptb_small", "char_rnn", "movielens_mf", "movielens_rbm_blend"]


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument(
        "--publish",
        action="store_true",
        help=f"also write {REPORT.parent} and the tables in {PAGE} and {README}, with times from "
        "MLflow",
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    params = load()

    from modelmill.report import table

    if not arguments.publish:
        print(table.plain(table.collect(params, Path(), lambda card: None)))
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

    with store.answering("asked for times of training"):
        found = table.collect(params, Path(), seconds)
    print(table.plain(found))
    report = table.report(found, repository.commit())
    page = table.insert(PAGE.read_text(encoding="utf-8"), "results", table.markdown(report))
    readme = table.insert(README.read_text(encoding="utf-8"), "chosen", chosen(report, params))
    for picture in PICTURES:
        if picture.partition("/")[0] in params.models:
            shutil.copy(Path("data/figures", picture), REPORT.parent / picture.replace("/", "_"))
    if {name for pair in PRETRAINED.values() for name in pair} <= {*params.models}:
        draw_pretraining(Path("data/models"), REPORT.parent / PRETRAINING)
    write_json(REPORT, report)
    write_text(PAGE, page)
    write_text(README, readme)


def draw_pretraining(models: Path, path: Path) -> None:
    """How nets that were pre-trained err while they are fine-tuned, each beside its control."""
    from modelmill.figures import curves

    names = ("pre-trained", "from random weights")
    panels = {
        heading: {
            name: read_history(models / model, "validation_accuracy")
            for name, model in zip(names, pair, strict=True)
        }
        for heading, pair in PRETRAINED.items()
    }
    curves.errors(panels, "With and without pre-training: the same net, fine-tuned", path)


def chosen(report: Mapping[str, Any], params: Params) -> str:
    """The README's few rows, of those that there are; one not published yet is there as not run."""
    from modelmill.report import table

    columns = ("model", "what it is", "metric", "ours", table.SEEDS, "published")
    lines = [table.line(columns), table.line(["---"] * len(columns))]
    for name in CHOSEN:
        if not (model := params.models.get(name)):
            continue
        result = {
            **model.reference.model_dump(),
            "split": model.eval.split,
            "value": None,
            "better": metrics(model.task)[model.reference.metric],
            **report["models"].get(name, {}),
        }
        (row,) = table.rows({name: result})
        row["what it is"] = model.about
        lines.append(table.line(row[column] for column in columns))
    return "\n".join(lines)
