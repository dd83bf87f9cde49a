"""Serves MLflow's pages, on which runs are compared."""

import argparse
import os
import warnings
from operator import itemgetter
from typing import TYPE_CHECKING

from modelmill import web
from modelmill.errors import ModelmillError, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# What `mlflow ui` sets, but for what belongs to MLflow's other product, for language-model agents:
# a dozen processes of which the pages of runs need none.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SGI_NAME": "uvicorn",
}
STORE = "_MLFLOW_SERVER_FILE_STORE"
KIND = "workflowType=machine_learning"


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument(
        "--port", type=web.port, default=5000, metavar="N", help="%(default)s by default"
    )
    return known


def main() -> None:
    port = parser().parse_args().port
    listener = web.listen(port)

    from modelmill.tracking import experiments, store

    if (uri := store.tracking_uri()).startswith("http"):
        raise ModelmillError(
            f"runs are recorded by {without_credentials(uri)}: open that address instead"
        )
    os.environ |= SETTINGS | {STORE: uri}
    warnings.simplefilter("ignore")  # MLflow's, of what it is made of
    client = store.connect()
    with store.answering("listing its experiments"):
        recorded = _recorded(client)
    pages = f"http://{web.HOST}:{port}/#/experiments"
    found = [
        f"{experiment.name}: {pages}/{experiment.experiment_id}/runs?{KIND}"
        # Of a database that is older than these views, `sync` makes them.
        + f"&viewStateShareKey={experiments.VIEW}" * (experiments.STATE in experiment.tags)
        for experiment in recorded
    ]
    nothing = f"nothing is recorded yet, `dvc repro` does so: {pages}?{KIND}"
    web.serve("mlflow.server.fastapi_app:app", listener, "\n".join(found) or nothing)


def _recorded(client: "MlflowClient") -> "list[Experiment]":
    """The experiments that have runs, that of the latest run first."""
    begun = [
        (run.info.start_time, experiment)
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id], max_results=1)
    ]
    return [experiment for _, experiment in sorted(begun, key=itemgetter(0), reverse=True)]
