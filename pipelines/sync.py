"""Completes MLflow's records from data/, after a run-cache hit, `dvc pull` or a lost database."""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose
from modelmill.trained.artifacts import CARD
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.sync", description=__doc__)
    parser.add_argument("models", nargs="*", help="keys of `models`; all trained ones by default")
    names = parser.parse_args().models
    params = load()
    trained = [name for name in params.models if Path("data/models", name, CARD).is_file()]
    entries = {name: choose(params.models, name, "models") for name in names or trained}

    from modelmill.tracking import recorder, runs

    client = runs.connect()
    recorder.settle()
    from mlflow.exceptions import MlflowException

    profile, log_model = params.profile, params.log_models
    damaged = []
    for name, entry in entries.items():
        about, reference = entry.about, entry.reference
        try:
            added = runs.record(
                client, Path(), name, profile, about, reference, log_model, register=True
            )
        except MlflowException as error:
            problem = runs.without_credentials(str(error).splitlines()[0])
            raise ModelmillError(f"MLflow, recording {name}: {problem}; try again later") from None
        except ModelmillError as error:  # which says what makes its files anew
            damaged.append(str(error))
            continue
        print(f"{name}: {'recorded' if added else 'complete already'}")
    if damaged:
        raise ModelmillError("; ".join(damaged))


if __name__ == "__main__":
    run(main)
