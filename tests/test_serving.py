"""An evaluated model, logged in MLflow, answers over HTTP."""

import json
import os
import re
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import requests
from conftest import ROOT, listening
from conftest import serving as server_of

from modelmill.datasets import mnist, processed
from modelmill.datasets import text as words
from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.models import Spec, linear, recurrent_lm
from modelmill.reference import Reference
from modelmill.tasks.language_modeling import windows_of
from modelmill.tracking import runs, store
from modelmill.trained import artifacts, serving
from modelmill.trained.artifacts import Card
from modelmill.trained.writing import Sample, Writer

REFERENCE = Reference(metric="accuracy", goal=0.9, published=None, source="ours")


@pytest.fixture
def house(tmp_path, monkeypatch, tensorflow):
    """A repository with made-up digits and a model of random weights that has been evaluated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    raw, data, model, figures = (
        tmp_path / "data" / kind / name
        for kind, name in [
            ("raw", "mnist"),
            ("processed", "mnist"),
            ("models", "m"),
            ("figures", "m"),
        ]
    )
    for folder in (raw, data, model, figures):
        folder.mkdir(parents=True)
    mnist.generate(raw, mnist.Generate(seed=1))
    mnist.prepare(raw, data, mnist.Options(validation=1000))
    net, spec = (
        {"bias": True, "initializer": {"name": "normal", "stddev": 1.0}},
        Spec.examples((28, 28), 10),
    )
    settings = {"model": "m", "seed": 1, "dataset": "mnist", "task": "classification"}
    fit = {"length": "1 steps", "batch_size": 1, "learning_rate": 0.1, "optimizer": {"name": "sgd"}}
    fit["loss"] = "cross_entropy"
    settings |= {"arch": "linear", "net": net, "fit": fit}
    card = Card(settings, spec, processed.load(data).digest, "f" * 32, 7850)
    rows, snapshots = [{"step": 1, "epoch": 1.0, "loss": 1.0}], np.zeros((0, 7850))
    artifacts.save(model, linear.build(linear.Net.model_validate(net), spec), card, rows, snapshots)
    metrics = {"accuracy": 0.5, "loss": 1.0}
    artifacts.save_evaluation(tmp_path / "data/evaluations/m", card, {"split": "test"}, metrics)
    write_json(tmp_path / "data/metrics/m.json", metrics)
    return tmp_path


def test_a_model_is_logged_with_no_other_data_than_its_own(house):
    meta = house / "data/processed/mnist/meta.json"
    content = json.loads(meta.read_text(encoding="utf-8"))
    meta.write_text(json.dumps(content | {"digest": "e" * 64}), encoding="utf-8")
    with pytest.raises(ModelmillError, match="trained on other data than"):
        runs.record(store.connect(), house, "m", "quick", "A toy", REFERENCE, True, True)


def test_a_model_is_logged_again_for_other_defaults_or_if_its_files_are_gone(house):
    client = store.connect()
    path = house / "data/evaluations/m" / artifacts.EVALUATION

    def current():
        runs.record(client, house, "m", "quick", "A toy", REFERENCE, True, True)
        assert not runs.record(client, house, "m", "quick", "A toy", REFERENCE, True, True)
        return client.get_model_version_by_alias("m", "current").source

    first, evaluated = current(), json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**evaluated, "eval": {"split": "test", "sample": {"length": 7}}})
    second = current()
    write_json(path, evaluated)
    assert current() == first != second
    for folder in (house / "mlartifacts").rglob(first.rpartition("/")[2]):
        shutil.rmtree(folder)
    assert current() not in (first, second)


@pytest.mark.parametrize("name", [artifacts.CARD, processed.META])
def test_a_damaged_copy_is_answered_by_what_makes_it_anew(house, name):
    runs.record(store.connect(), house, "m", "quick", "A toy", REFERENCE, True, True)
    (copy,) = (house / "mlartifacts").rglob(f"data/*/{name}")
    copy.write_text("{", encoding="utf-8")
    with pytest.raises(ModelmillError) as refused:
        serving._load_pyfunc(str(copy.parent))
    assert str(refused.value).startswith(f"{copy} is damaged: ")
    assert str(refused.value).endswith(
        "delete what MLflow has of this model and run `modelmill sync`"
    )


def test_another_model_than_the_one_on_disk_is_not_served(house, monkeypatch):
    from pipelines import serve

    runs.record(store.connect(), house, "m", "quick", "A toy", REFERENCE, True, True)
    path = house / "data/models/m" / artifacts.CARD
    card = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, card | {"fingerprint": "e" * 32})
    monkeypatch.setattr(sys, "argv", ["serve", "m"])
    monkeypatch.setattr(serve.web, "listen", lambda port: None)
    shutil.copy(ROOT / "params.yaml", house)
    with pytest.raises(ModelmillError, match=r"data/models: params\.yaml has it no more: compose"):
        serve.main()
    params = serve.load()
    params = params.model_copy(update={"models": {"m": params.models["mnist_softmax"]}})
    monkeypatch.setattr(serve, "load", lambda: params)
    with pytest.raises(ModelmillError, match="not the one in data/models: run `dvc repro eval"):
        serve.main()
    artifacts.save_evaluation(
        house / "data/evaluations/m", artifacts.read_card(path.parent), {"split": "test"}, {}
    )
    write_json(house / "data/metrics/m.json", {})
    with pytest.raises(ModelmillError, match="not the one in data/models: run `modelmill sync m`"):
        serve.main()


@pytest.fixture
def address(house):
    """Where the logged model is served."""
    client = store.connect()
    record = partial(runs.record, client, house, "m", "quick", "A toy", REFERENCE)
    assert record(log_model=False, register=True)
    assert not record(log_model=False, register=True)
    assert record(log_model=True, register=False)  # as in an experiment
    assert not client.search_registered_models()
    assert record(log_model=True, register=True)
    assert not record(log_model=True, register=True)
    (run,) = client.search_runs([client.get_experiment_by_name("mnist").experiment_id])
    assert len(run.outputs.model_outputs) == 1
    assert client.get_model_version_by_alias("m", "current").run_id == run.info.run_id
    assert client.get_registered_model("m").description.startswith("A toy\n")
    client.update_registered_model("m", "my own words")
    assert not record(log_model=True, register=True)
    assert client.get_registered_model("m").description == "my own words"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pipelines", "serve", "m", "--port"]
    with server_of(lambda port: [*command, str(port)], "/ping", env=environment) as (server, port):
        assert listening(server) == {"127.0.0.1"}
        yield f"http://127.0.0.1:{port}"


def test_a_served_model_answers_with_class_and_probabilities(house, address):
    x = np.load(house / "data/processed/mnist/x.npy")[:3]
    answer = requests.post(f"{address}/invocations", json={"inputs": x.tolist()})
    assert answer.ok, answer.text
    found = answer.json()["predictions"]
    logits = x.reshape(3, 784) / 255 @ weights(house)
    assert [row["class"] for row in found] == [str(i) for i in logits.argmax(axis=1)]
    for row, expected in zip(found, logits, strict=True):
        probabilities = np.exp(expected - expected.max())
        shown = [row[str(digit)] for digit in range(10)]
        np.testing.assert_allclose(shown, probabilities / probabilities.sum(), rtol=1e-3, atol=1e-6)
    # As the document has it.
    document = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    scope: dict = {}
    exec(code.replace("http://127.0.0.1:5001", address), scope)
    assert scope["answer"].json()["predictions"] == found
    # The signature says what the model takes, and anything else is refused.
    wrong = requests.post(f"{address}/invocations", json={"inputs": [[1, 2], [3, 4]]})
    assert wrong.status_code == 400
    assert "28" in json.dumps(wrong.json())
    # Pixels from 0 to 1 are none of the data set's, and are not read as zeros.
    for wrong, shown in [(0.5, "0.5"), (256, "256"), (-1, "-1"), (254.99999999, "255")]:
        picture = x[:1].astype(float)
        picture[0, 14, 14] = wrong
        answer = requests.post(f"{address}/invocations", json={"inputs": picture.tolist()})
        assert answer.status_code == 400
        reason = answer.json()["message"]
        assert f"{shown} is none of the whole numbers from 0 to 255 that m takes" in reason
    # A web page whose own name has been made to lead here (DNS rebinding) gets no answer.
    foreign = requests.get(f"{address}/ping", headers={"Host": "evil.example"})
    assert foreign.status_code == 400


def weights(house):
    import h5py

    with h5py.File(house / "data/models/m" / artifacts.WEIGHTS) as file:
        found = []
        file.visititems(lambda _, item: found.append(item) if hasattr(item, "shape") else None)
        rows = next(item for item in found if item.shape == (10, 784))
        return rows[()].T


@pytest.fixture
def text(tmp_path, tensorflow):
    """A model of random weights that writes in characters: its folder, its card, its data."""
    raw, out, folder = (tmp_path / name for name in ("raw", "data", "m"))
    for path in (raw, out, folder):
        path.mkdir()
    (raw / "input.txt").write_text("to be, or not to be. " * 50)
    words.prepare(raw, out, words.Options(encoding="utf-8", validation_fraction=0.1))
    data = processed.load(out)
    net = {"cell": "rnn", "embedding": 8, "units": 8, "layers": 1}
    net["initializer"] = {"name": "normal", "stddev": 1.0}
    spec = windows_of(5, data.meta["vocabulary_size"])
    settings = {"model": "m", "task": "language_modeling", "arch": "recurrent_lm", "net": net}
    fit = {"length": "1 steps", "batch_size": 1, "learning_rate": 0.1, "num_steps": 5}
    settings |= {"seed": 1, "dataset": "t", "fit": {**fit, "optimizer": {"name": "sgd"}}}
    card = Card(settings, spec, data.digest, "f" * 32, 1)
    typed = recurrent_lm.Net.model_validate(net)
    rows = [{"step": 1, "epoch": 1.0, "loss": 1.0}]
    model = recurrent_lm.build(typed, spec)
    artifacts.save(folder, model, card, rows, np.zeros((0, card.parameters)))
    return folder, artifacts.read_card(folder), data


def test_a_served_language_model_continues_texts_as_it_was_evaluated_or_is_told(text, tmp_path):
    import mlflow
    import pandas as pd
    from mlflow.exceptions import MlflowException

    folder, card, data = text
    sample = {"prime": "to", "length": 30, "pick": "weighted", "temperature": 1.0, "seed": 7}
    logged = tmp_path / "logged"
    mlflow.pyfunc.save_model(
        logged,
        loader_module=serving.__name__,
        data_path=str(serving.pack(folder, data, tmp_path / "packed")),
        signature=serving.signature(card, data, {"sample": sample}),
        pip_requirements=[],
    )
    served = mlflow.pyfunc.load_model(str(logged))
    asked = pd.DataFrame({"text": ["to", "not"]})
    first, second = served.predict(asked).text
    assert first == Writer(folder, data).prepared(Sample(**sample))()
    assert (first[:2], second[:3], len(first), len(second)) == ("to", "not", 32, 33)
    shorter = served.predict(asked, {"length": 5, "seed": 8}).text
    assert [len(text) for text in shorter] == [7, 8]
    with pytest.raises(MlflowException, match="the character 'z' is not in the vocabulary"):
        served.predict(pd.DataFrame({"text": ["zebra"]}))
    for params, problem in [({"temperature": 0.0}, "temperature"), ({"pick": "best"}, "pick")]:
        with pytest.raises(MlflowException, match=f"params: {problem}: Input should be"):
            served.predict(asked, params)
