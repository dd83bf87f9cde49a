"""Completes MLflow's records from data/.

Results that came from DVC's cache or by `dvc pull`, or those of a lost database, are recorded.
"""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose
from modelmill.trained.artifacts import CARD, read_card


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("models", nargs="*", help="keys of `models`; all trained ones by default")
    return known


def main() -> None:
    names = parser().parse_args().models
    params = load()
    trained = [name for name in params.models if Path("data/models", name, CARD).is_file()]
    entries = {name: choose(params.models, name, "models") for name in names or trained}

    from modelmill.tracking import experiments, recording, runs, store
    from modelmill.tracking.experiments import Experiment

    client = store.connect()
    recording.settle()
    problems = []
    for name, entry in entries.items():
        with store.answering(f"recording {name}"):
            try:
                experiments.describe(client, Experiment.of(params, entry.dataset))
                card = read_card(Path("data/models", name))
                if card.settings != params.training(name):  # whose goal is another, and its words
                    raise ModelmillError(
                        f"data/models/{name} is of other settings than params.yaml has: compose "
                        f"those again, or run `dvc repro evaluate@{name}`"
                    )
                added = runs.record(
                    client,
                    Path(),
                    name,
                    params.profile,
                    entry.about,
                    entry.reference,
                    params.log_models,
                    register=True,
                )
            except ModelmillError as error:  # which says what makes its files anew
                problems.append(str(error))
                continue
        print(f"{name}: {'recorded' if added else 'complete already'}")
    if problems:
        raise ModelmillError("; ".join(problems))
