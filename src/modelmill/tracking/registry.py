"""Trained models in MLflow: logged with their run, registered, the latest evaluated one current."""

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from modelmill.datasets.processed import Processed
from modelmill.files import data_sha256
from modelmill.parts import PACKAGE
from modelmill.tracking import summary
from modelmill.trained import serving
from modelmill.trained.artifacts import Card

if TYPE_CHECKING:
    from mlflow import MlflowClient

CURRENT = "current"  # the version of a registered model that data/models holds
SAMPLE = "sample"  # a tag of logged models


def logged_model(client: "MlflowClient", run_id: str, options: Mapping[str, Any]) -> str | None:
    """The id of the run's logged model with these `options`, as `log_model` has them.

    None if there is none, its upload was not finished, it was deleted, or its files are gone.
    """
    from mlflow.entities import LoggedModelStatus
    from mlflow.exceptions import MlflowException

    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else []:
        try:
            model = client.get_logged_model(output.model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue  # somebody deleted it, and the run names it still
        if (
            model.status == LoggedModelStatus.READY
            and model.tags.get(SAMPLE, "") == _sample(options)
            and client.list_logged_model_artifacts(output.model_id)
        ):
            return output.model_id
    return None


def _sample(options: Mapping[str, Any]) -> str:
    """What tells the defaults of a language model's signature from others; empty for the rest."""
    if "sample" not in options:
        return ""
    return data_sha256(options["sample"])


def log_model(
    uri: str, run_id: str, card: Card, folder: Path, data: Processed, options: Mapping[str, Any]
) -> str:
    """Logs the trained model in `folder` with its signature, an input example and the code.

    Args:
        options: the `eval` that it was evaluated with.
    """
    import mlflow
    from mlflow.models import Model

    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(card.settings["dataset"])
    with TemporaryDirectory() as temporary:
        logged = Model.log(
            None,
            mlflow.pyfunc,
            run_id=run_id,
            name=card.settings["model"],
            loader_module=serving.__name__,
            data_path=str(serving.pack(folder, data, Path(temporary, "model"))),
            code_paths=[str(PACKAGE)],
            signature=serving.signature(card, data, options),
            input_example=serving.example(card, data, options),
            pip_requirements=[f"{part}=={version(part)}" for part in serving.REQUIREMENTS],
            tags={SAMPLE: _sample(options)},
        )
    return logged.model_id


def make_current(client: "MlflowClient", name: str, about: str, run_id: str, model_id: str) -> bool:
    """Gives the alias `CURRENT` of registered model `name` to the run's; whether it had to.

    The model is described, unless somebody has done so.
    """
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # it exists
        client.create_registered_model(name)
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, summary.registered(name, about))
    source = f"models:/{model_id}"
    with suppress(MlflowException):  # there is none
        if client.get_model_version_by_alias(name, CURRENT).source == source:
            return False
    versions = client.search_model_versions(f"name = '{name}'")
    registered = next((known for known in versions if known.source == source), None)
    if registered is None:
        registered = client.create_model_version(name, source, run_id, model_id=model_id)
    client.set_registered_model_alias(name, CURRENT, registered.version)
    return True
