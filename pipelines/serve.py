"""Serves an evaluated model over HTTP, on this machine alone.

POST http://127.0.0.1:5001/invocations takes and answers what `mlflow models serve` does; requests
that name another host are refused.
"""

import argparse
from pathlib import Path

from modelmill import repository, web
from modelmill.errors import ModelmillError, in_one_line
from modelmill.params import load
from modelmill.schema import choose
from modelmill.trained import artifacts

NAMES = [web.HOST, "localhost"]


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("model", help="a folder of data/models")
    known.add_argument(
        "--port", type=web.port, default=5001, metavar="N", help="%(default)s by default"
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    name = arguments.model
    if not Path("data/models", name).exists():
        choose(load().models, name, "models")
    listener = web.listen(arguments.port)
    card = artifacts.read_card(Path("data/models", name))
    task = card.settings["task"]

    from modelmill.tracking import registry, store
    from modelmill.trained import serving

    if task not in serving.TASKS:
        raise ModelmillError(f"{name} is a model for {task}: served are {', '.join(serving.TASKS)}")
    folder = str(repository.root())
    if store.tracking_uri() == store.database() and set(folder) & set("%?#"):
        raise ModelmillError(f"MLflow loads no model from a folder with %, ? or # in it: {folder}")
    client = store.connect()
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    mlflow.set_tracking_uri(store.tracking_uri())
    try:
        version = client.get_model_version_by_alias(name, registry.CURRENT)
        tags = client.get_run(version.run_id or "").data.tags
        model = mlflow.pyfunc.load_model(f"models:/{name}@{registry.CURRENT}")
    except MlflowException as error:
        raise ModelmillError(
            f"MLflow gives no current version of {name}: {_remedy(name, card)}: "
            f"{in_one_line(error)}"
        ) from None
    if tags.get("fingerprint") != card.fingerprint:
        raise ModelmillError(
            f"MLflow's current version of {name} is not the one in data/models: "
            f"{_remedy(name, card)}"
        )
    app = scoring_server.init(model)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=NAMES)
    web.serve(app, listener, f"{name}: http://{web.HOST}:{arguments.port}/invocations")


def _remedy(name: str, card: artifacts.Card) -> str:
    params = load()
    if name not in params.models:
        return f"params.yaml has it no more: compose it again and run `dvc repro evaluate@{name}`"
    if not params.log_models:
        return "params.yaml has log_models: false, as models of the profile smoke are not served"
    if not artifacts.read_evaluation(Path("data"), card):
        return f"run `dvc repro evaluate@{name}`"
    return f"run `modelmill sync {name}`"
