"""MLflow as a person finds it: complete, not twice, and never in the way of a training.

What is told to MLflow is told by this process, but for four tests of the process that does it.
"""

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from threading import enumerate as enumerate_threads

import psutil
import pytest
import requests
from conftest import ROOT, until
from filelock import FileLock
from mlflow.exceptions import MlflowException

from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.models import Spec
from modelmill.params import load
from modelmill.reference import Reference
from modelmill.tracking import experiments, recording, registry, runs, store
from modelmill.tracking import recorder as tracking
from modelmill.tracking.experiments import Experiment
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.history import HISTORY

SETTINGS = {
    "model": "toy",
    "seed": 1,
    "dataset": "points",
    "task": "regression",
    "arch": "linear",
    "net": {"bias": False, "initializer": {"name": "constant", "value": 0.0}},
    "fit": {
        "length": "2 steps",
        "batch_size": 10,
        "optimizer": {"name": "sgd"},
        "learning_rate": 1.0,
    },
}
CARD = Card(SETTINGS, Spec.examples((1,), 1), "d" * 64, "f" * 32, 1)
META = {"splits": {"train": [0, 20]}, "arrays": {"x": {"shape": [20, 1], "dtype": "float32"}}}
POINTS = Experiment("points", "Points on a line", "{}")
ROWS = [
    {"step": 1, "epoch": 0.5, "examples": 10, "loss": 2.0},
    {"step": 2, "epoch": 1.0, "examples": 20, "loss": 1.0},
]
REFERENCE = Reference(metric="loss", goal=0.5, published=None, source="ours")
FULL = Path("/dev/full")
DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database whose tables are there already."""
    path = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(path))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store.connect()
    return path / "mlflow.db"


@pytest.fixture
def place(tmp_path, monkeypatch, database):
    """An empty repository with an MLflow database without runs."""
    (tmp_path / "mlflow.db").write_bytes(database.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "train@toy")
    monkeypatch.setenv("DVC_EXP_NAME", "wise-owl")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def house(place, recorded_here):
    """Such a repository, whose runs are recorded in this process."""
    return place


def train(card=CARD, **changes):
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(dataclasses.replace(card, **changes), META, "smoke", "A toy")
        for row in ROWS:
            recorder.lap(None, row)
        recorder.end(seconds=3.5)


def write_files(house, card=CARD, loss=0.25):
    """What the stages train and evaluate would have left."""
    model, figures = house / "data/models/toy", house / "data/figures/toy"
    for folder in (model, figures):
        folder.mkdir(parents=True, exist_ok=True)
    (model / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(card)))
    (model / HISTORY).write_text("step,epoch,examples,loss\n1,0.5,10,2.0\n2,1.0,20,1.0\n")
    metrics = {"loss": loss, "parameters": 1}
    artifacts.save_evaluation(house / "data/evaluations/toy", card, {"split": "train"}, metrics)
    write_json(house / "data/metrics/toy.json", metrics)
    (figures / "line.png").write_bytes(b"picture")


def found(client):
    experiment = client.get_experiment_by_name("points")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def test_a_training_is_recorded_with_all_that_identifies_it(house):
    train()
    client = store.connect()
    (run,) = found(client)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "toy"
    assert run.data.params["fit.optimizer.name"] == "sgd"
    assert run.data.params["seed"] == "1"
    assert run.data.metrics["train_seconds"] == 3.5
    curve = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(1, 2.0), (2, 1.0)]
    expected = {"profile": "smoke", "fingerprint": "f" * 32, "arch": "linear", "task": "regression"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["dvc_stage"] == "train@toy"
    assert run.data.tags["dvc_experiment"] == "wise-owl"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("points", "d" * 36)
    (column,) = json.loads(dataset.dataset.schema)["mlflow_colspec"]
    assert column == {"name": "x", "type": "float32 × 1"}
    assert json.loads(dataset.dataset.profile) == {"train": 20}


def test_the_load_of_the_machine_is_recorded_while_a_training_goes_on(
    house, recorded_here, monkeypatch
):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")

    def load():
        (run,) = found(store.connect())
        return {name for name in run.data.metrics if name.startswith("system/")}

    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
        recorder.lap(None, ROWS[0])
        recorded_here(recorder)
        until(load)
        recorder.end(seconds=3.5)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= load()
    assert "SystemMetricsMonitor" not in [thread.name for thread in enumerate_threads()]


def test_the_same_training_again_is_the_same_run(house):
    train()
    train()
    train(fingerprint="e" * 32)
    assert len(found(store.connect())) == 2


@pytest.mark.parametrize(
    ("exception", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")]
)
def test_a_training_that_stops_is_marked(house, exception, status):
    def stop():
        with tracking.Recorder(POINTS) as recorder:
            recorder.start(CARD, META, "smoke", "A toy")
            recorder.lap(None, ROWS[0])
            raise exception

    with pytest.raises(exception):
        stop()
    (run,) = found(store.connect())
    assert run.info.status == status
    assert run.data.metrics["loss"] == 2.0


def test_a_training_that_was_killed_is_marked(house):
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
    (run,) = found(store.connect())
    assert run.info.status == "KILLED"


def test_evaluation_completes_the_run_of_its_training(house):
    train()
    write_files(house)
    with tracking.Recorder(POINTS) as recorder:
        recorder.complete("toy", "smoke", "A toy", REFERENCE, False)
    client = store.connect()
    (run,) = found(client)
    assert run.data.metrics["test_loss"] == 0.25
    assert run.data.tags["evaluated_on"] == "train"
    names = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    names |= {item.path for item in client.list_artifacts(run.info.run_id, "evaluation")}
    assert names == {"figures/line.png", "evaluation/evaluation.json"}


@pytest.mark.fault("MLflow's database is lost", "`sync` makes it good, once")
def test_a_lost_database_is_made_good_from_the_files_and_only_once(house):
    write_files(house)
    client = store.connect()
    assert runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    assert not runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    (run,) = found(client)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss"] == 1.0
    assert run.data.metrics["test_loss"] == 0.25
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2


def test_a_run_made_good_later_is_the_one_that_was_recorded_live(house):
    train()
    write_files(house)
    client = store.connect()
    runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    (live,) = found(client)
    client.delete_run(live.info.run_id)
    runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    (later,) = found(client)
    assert live.data.params == later.data.params
    assert {**later.data.metrics, "train_seconds": 3.5} == client.get_run(
        live.info.run_id
    ).data.metrics
    for name in later.data.metrics:
        histories = [client.get_metric_history(run.info.run_id, name) for run in (live, later)]
        first, second = ([(point.step, point.value) for point in points] for points in histories)
        assert first == second


def test_curves_can_be_drawn_by_epochs_and_by_examples(house):
    train()
    client = store.connect()
    (run,) = found(client)
    for name, expected in [("epoch", [0.5, 1.0]), ("examples", [10, 20])]:
        points = client.get_metric_history(run.info.run_id, name)
        assert [point.value for point in points] == expected


def test_the_note_says_what_a_run_is_held_against_and_how_to_have_it_again(house):
    write_files(house)
    client = store.connect()
    evil = "<script>alert(1)</script> 3 < 4"
    runs.record(client, house, "toy", "smoke", evil, REFERENCE, False, True)
    (run,) = found(client)
    note = run.data.tags[runs.NOTE]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 3 &lt; 4" in note
    assert "<" not in note
    assert "Goal: train loss ≤ 0.5000. Published: – (ours)." in note
    assert "dvc repro evaluate@toy" in note
    assert f"/runs/{run.info.run_id}/artifacts/figures" in note


def test_a_deleted_experiment_is_named_with_what_brings_it_back(house):
    client = store.connect()
    number = store.experiment(client, "points")
    client.delete_experiment(number)
    with pytest.raises(ModelmillError, match=f"restore --experiment-id {number}` brings it back"):
        store.experiment(client, "points")


def test_a_note_of_an_experiment_says_how_to_apply_it(house):
    train()
    (run,) = found(store.connect())
    assert "dvc exp apply wise-owl" in run.data.tags[runs.NOTE]


def test_what_a_person_wrote_into_a_note_stays(house):
    write_files(house)
    client = store.connect()
    train()
    (run,) = found(client)
    client.set_tag(run.info.run_id, runs.NOTE, "my own words")
    runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    assert client.get_run(run.info.run_id).data.tags[runs.NOTE] == "my own words"


def test_a_note_follows_what_a_run_is_held_against(house):
    write_files(house)
    client = store.connect()
    higher = Reference(metric="loss", goal=0.25, published=None, source="ours")
    for reference, goal in ((REFERENCE, "0.5000"), (higher, "0.2500")):
        assert runs.record(client, house, "toy", "smoke", "A toy", reference, False, True)
        assert not runs.record(client, house, "toy", "smoke", "A toy", reference, False, True)
        (run,) = found(client)
        assert f"train loss ≤ {goal}" in run.data.tags[runs.NOTE]


def test_an_experiment_says_what_it_is_until_a_person_does(house):
    train()
    client = store.connect()
    number = client.get_experiment_by_name("points").experiment_id
    assert client.get_experiment(number).tags[store.NOTE] == "Points on a line"
    client.set_experiment_tag(number, store.NOTE, "my own words")
    experiments.describe(client, dataclasses.replace(POINTS, about="Dots", state="new"))
    tags = client.get_experiment(number).tags
    assert tags[store.NOTE] == "my own words"
    assert tags[experiments.STATE] == "new"  # which nobody edits: one's own views have other names


def test_the_table_of_runs_has_the_metrics_that_they_have():
    params = load(ROOT / "params.yaml")
    states = {name: Experiment.of(params, name).state for name in ("iris", "mnist")}
    assert "best_validation_accuracy" in states["mnist"]
    assert "best_validation" not in states["iris"]  # which has no such split
    assert "best_accuracy" in states["iris"]


def test_a_run_has_the_short_commit_to_filter_by(house):
    train()
    (run,) = found(store.connect())
    assert "git" not in run.data.tags  # no repository, no commit
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    train(fingerprint="e" * 32)
    run = found(store.connect())[0]
    assert run.data.tags["git_commit"].startswith(run.data.tags["git"])
    assert f"git checkout {run.data.tags['git']}" not in run.data.tags[runs.NOTE]  # an experiment


def test_an_evaluation_of_another_training_is_not_mistaken_for_this_ones(house):
    write_files(house, dataclasses.replace(CARD, fingerprint="e" * 32))
    (house / "data/models/toy" / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(CARD)))
    client = store.connect()
    runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    (run,) = found(client)
    assert "test_loss" not in run.data.metrics


@pytest.mark.fault("no tracking server", "one warning; the training goes on")
def test_a_server_that_is_not_there_costs_one_line(house, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    train()
    assert "modelmill sync" in warned_once(capfd)


def test_credentials_in_an_address_are_never_shown(house, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    train()
    warning = capfd.readouterr().err
    assert "http://127.0.0.1:9" in warning
    assert "secret" not in warning
    with pytest.raises(ModelmillError) as refused:
        store.connect()
    assert "secret" not in str(refused.value)


class Broken(BaseHTTPRequestHandler):
    """A server that answers everything with an error."""

    def do_GET(self):
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def broken_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def completed_by_sync(house, card=CARD):
    """The one run of a training once `sync` has made good, twice, what MLflow missed."""
    write_files(house, card)
    client = store.connect()
    added = [
        runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
        for _ in range(2)
    ]
    assert added[-1] is False
    (run,) = (run for run in found(client) if run.data.tags["fingerprint"] == card.fingerprint)
    assert run.info.status == "FINISHED"
    assert run.data.params["fit.optimizer.name"] == "sgd"
    assert len(run.inputs.dataset_inputs) == 1
    assert run.data.metrics["test_loss"] == 0.25
    for name in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, name)
        assert len(points) == (len(ROWS) if name in ROWS[0] else 1), name
    return run


def warned_once(capfd):
    errors = capfd.readouterr().err
    assert errors.count("warning: MLflow:") == len(errors.splitlines()) == 1, errors
    return errors


@pytest.mark.fault("a tracking server that answers errors", "one warning; `sync` completes it")
def test_a_server_that_answers_errors_costs_one_line(house, monkeypatch, capfd, broken_server):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", broken_server)
    train()
    assert "500" in warned_once(capfd)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    completed_by_sync(house)


@pytest.mark.fault("a database that fails in the middle", "one warning; `sync` completes that run")
def test_a_database_that_fails_in_the_middle_costs_one_line(house, recorded_here, capfd):
    database = sqlite3.connect(house / "mlflow.db", isolation_level=None)
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
        recorder.lap(None, ROWS[0])
        recorded_here(recorder)
        database.execute("ALTER TABLE metrics RENAME TO away")
        recorder.lap(None, ROWS[1])
        recorder.end(seconds=3.5)
    warned_once(capfd)
    database.execute("ALTER TABLE away RENAME TO metrics")
    database.close()
    (live,) = found(store.connect())
    assert live.info.status == "FAILED"
    assert completed_by_sync(house).info.run_id == live.info.run_id


def test_an_error_that_says_nothing_is_told_by_its_kind(house, monkeypatch, capfd):
    def fail(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(runs, "log_history", fail)
        train()
    assert "MemoryError" in warned_once(capfd)
    completed_by_sync(house)


class Failing:
    """A client whose server answers errors after so many calls."""

    def __init__(self, calls):
        self.client, self.calls = store.connect(), calls

    def __getattr__(self, name):
        def call(*arguments, **more):
            from mlflow.exceptions import MlflowException

            self.calls -= 1
            if self.calls < 0:
                raise MlflowException("500")
            return getattr(self.client, name)(*arguments, **more)

        return call


@pytest.mark.long
@pytest.mark.fault("a server that fails from any call on, twice", "`sync` completes the one run")
def test_whichever_call_is_the_first_to_fail_nothing_is_lost_or_doubled(house, monkeypatch, capfd):
    from mlflow.exceptions import MlflowException

    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)  # a call for each row
    problem, calls = "500", 0
    while problem:
        card = dataclasses.replace(CARD, fingerprint=f"{calls:032x}")
        write_files(house, card)
        monkeypatch.setattr(recording, "_client", partial(Failing, calls))
        train(card)
        problem = capfd.readouterr().err
        assert problem == "" or "MlflowException: 500" in problem
        with suppress(MlflowException):
            client = Failing(calls)
            runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
        completed_by_sync(house, card)
        calls += 1
    assert calls > 10


def test_a_database_that_another_process_keeps_opening_is_named(house, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.0)
    with (
        FileLock(house / "mlflow.db.lock"),
        pytest.raises(ModelmillError, match=r"mlflow\.db\.lock: another process"),
    ):
        store.connect()


@pytest.fixture
def synced(house, monkeypatch):
    """`modelmill sync` of a model that was trained with the settings given."""
    from pipelines import sync

    (house / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setattr(sys, "argv", ["sync", "mnist_softmax"])

    def of(changed):
        settings = load().training("mnist_softmax") | changed
        monkeypatch.setattr(
            sync, "read_card", lambda folder: dataclasses.replace(CARD, settings=settings)
        )
        sync.main()

    return of


@pytest.mark.parametrize("kind", [MlflowException, requests.HTTPError])
def test_sync_says_in_one_line_what_failed(synced, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("500 of http://ada:secret@server/\nmore")

    monkeypatch.setattr(runs, "record", fail)
    said = f"recording mnist_softmax: {kind.__name__}: 500 of http://server/; try"
    with pytest.raises(ModelmillError, match=said):
        synced({})


def test_sync_describes_no_training_by_what_conf_says_of_another(synced):
    with pytest.raises(ModelmillError, match="data/models/mnist_softmax is of other settings"):
        synced({"task": "regression"})


@pytest.mark.fault("artifacts cannot be written", "one warning; `sync` completes the same run")
def test_artifacts_that_cannot_be_written_cost_one_line(house, capfd):
    train()
    write_files(house)
    (house / "mlartifacts").write_text("no folder: nothing can be written into it")
    with tracking.Recorder(POINTS) as recorder:
        recorder.complete("toy", "smoke", "A toy", REFERENCE, False)
    warned_once(capfd)
    (house / "mlartifacts").unlink()
    completed_by_sync(house)


@pytest.mark.fault("a full disk while a stage tells of itself", "the training goes on")
def test_a_journal_that_cannot_be_written_costs_one_line(house, capfd):
    write_files(house)
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
        written = recorder._file
        with suppress(OSError), FULL.open("w") as recorder._file:  # closing it fails, too
            recorder.lap(None, ROWS[0])
            recorder.end(seconds=3.5)
        recorder._file = written
    assert "No space left" in warned_once(capfd)
    completed_by_sync(house)


def test_recordings_that_others_own_cost_one_line(house, capfd):
    runs.recordings().parent.mkdir(parents=True)
    runs.recordings().write_text("no folder")
    train()
    assert "recordings" in warned_once(capfd)


def test_a_model_that_was_deleted_in_mlflow_is_none(house):
    from types import SimpleNamespace

    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    def gone(model_id):
        raise MlflowException("deleted", RESOURCE_DOES_NOT_EXIST)

    outputs = SimpleNamespace(model_outputs=[SimpleNamespace(model_id="m-1")])
    client = SimpleNamespace(
        get_run=lambda run_id: SimpleNamespace(outputs=outputs), get_logged_model=gone
    )
    assert registry.logged_model(client, "r", {}) is None


def test_more_runs_than_mlflow_gives_at_once_are_found(house, monkeypatch):
    client = store.connect()
    experiment = store.experiment(client, "points")
    made = {client.create_run(experiment).info.run_id for _ in range(5)}
    search = type(client).search_runs
    monkeypatch.setattr(
        type(client), "search_runs", lambda *given, **more: search(*given, max_results=2, **more)
    )
    assert {run.info.run_id for run in runs.found(client, experiment, "")} == made


@pytest.mark.fault("a slow tracking server", "the training does not wait")
def test_a_slow_server_does_not_slow_the_training(place, monkeypatch, capfd):
    monkeypatch.setattr(tracking.Recorder, "_ensure_recording", lambda _: None)  # nobody reads
    monkeypatch.setattr(tracking, "PATIENCE", 0.0)
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
        for _ in range(5000):  # far more than a pipe holds
            recorder.lap(None, ROWS[0])
    assert "no answer within 0 s" in warned_once(capfd)


def test_a_sweep_that_mlflow_knows_no_more_is_recorded_anew(place):
    from test_sweeps import study_of, sweep

    from modelmill.sweeps import recorder

    rows = [{"step": 5, "loss": 0.7}, {"step": 10, "loss": 0.6}]
    params, study = load(ROOT / "params.yaml"), study_of([0.5, 0.6], history=rows)
    study.set_user_attr(recorder.RUNS, {"elsewhere": "1" * 32, recording.here(): "0" * 32})
    for _ in range(2):
        recorder.Recorder("lost", sweep(), params, study, None).close(True, place / "none")
        client = store.connect()
        parent, *children = client.search_runs([store.experiment(client, "mnist")])[::-1]
        assert (parent.info.run_id, len(children)) == (
            study.user_attrs[recorder.RUNS][recording.here()],
            2,
        )
        assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
        for run in children:
            points = client.get_metric_history(run.info.run_id, "loss")
            assert [(point.step, point.value) for point in points] == [(5, 0.7), (10, 0.6)]
        assert study.user_attrs[recorder.RECORDED] == recording.here()
        client.set_terminated(children[0].info.run_id, "KILLED")  # before the study was told


# --- deaths ----------------------------------------------------------------------------------


class Death(BaseException):
    """Of the process that recorded: nothing more is done in it."""


class Dying:
    """A client whose process dies just before, or just after, its server did what a call asks."""

    def __init__(self, calls, after):
        self.client, self.calls, self.after = store.connect(), calls, after

    def __getattr__(self, name):
        def call(*arguments, **more):
            self.calls -= 1
            if self.calls < 0 and not self.after:
                raise Death
            result = getattr(self.client, name)(*arguments, **more)
            if self.calls < 0:
                raise Death
            return result

        return call


def statuses_of(card):
    those = [r for r in found(store.connect()) if r.data.tags["fingerprint"] == card.fingerprint]
    return sorted(run.info.status for run in those)


@pytest.mark.long
@pytest.mark.fault(
    "SIGKILL of the recording process, of the stage, of both, at any event",
    "one run, finished or killed; none is left running",
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dead", ["recorder", "both", "both, then sync"])
def test_whoever_dies_when_no_run_is_left_running_or_doubled(place, monkeypatch, after, dead):
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)  # a call for each row
    monkeypatch.setattr(tracking, "PATIENCE", 0.0)
    monkeypatch.setattr(tracking.Recorder, "_ensure_recording", lambda _: None)
    died, calls = True, 0
    while died:
        card, died = dataclasses.replace(CARD, fingerprint=f"{calls:032x}"), False
        train(card)
        (journal,) = tracking._folder().glob("*.events")
        if dead != "recorder":
            *begun, _, _ = journal.read_text().splitlines(keepends=True)  # neither end nor close
            journal.write_text("".join(begun))
        for _ in range(2):  # the one that takes over dies at the same place
            monkeypatch.setattr(recording, "_client", partial(Dying, calls, after))
            try:
                recording.Recording(journal).advance()
            except Death:
                died = True
        monkeypatch.setattr(recording, "_client", store.connect)
        if dead == "both, then sync":
            recording.settle()
            assert not journal.exists()
        else:
            assert recording.Recording(journal).advance() == ""
            journal.unlink()
        assert statuses_of(card) == ["FINISHED" if dead == "recorder" else "KILLED"]
        train(card)
        (again,) = tracking._folder().glob("*.events")
        assert recording.Recording(again).advance() == ""
        again.unlink()
        assert statuses_of(card) == ["FINISHED"] + ["KILLED"] * (dead != "recorder")
        calls += 1
    assert calls > 5


def test_sync_marks_a_run_that_nobody_records_any_more(place):
    client = store.connect()
    run_id, _ = runs.begin(client, CARD, META, "smoke", "A toy", {}, "of a stage that failed")
    recording.settle()
    assert client.get_run(run_id).info.status == "KILLED"
    assert completed_by_sync(place).info.run_id == run_id


@pytest.mark.parametrize(
    "name", [pytest.param("moved", marks=pytest.mark.long), "a 100% copy, 'quoted'"]
)
def test_a_folder_that_is_copied_or_moved_keeps_its_artifacts_to_itself(house, monkeypatch, name):
    train()
    write_files(house)
    client = store.connect()
    runs.record(client, house, "toy", "smoke", "A toy", REFERENCE, False, True)
    elsewhere = (house / "elsewhere/mlartifacts/other").as_uri()
    client.create_experiment("mine", elsewhere)
    before = {path: path.read_bytes() for path in house.rglob("mlartifacts/**/*.*")}
    copy = house.parent / f"{house.name} {name}"
    shutil.copytree(house, copy)
    monkeypatch.setenv("DVC_ROOT", str(copy))
    environment = os.environ | ENVIRONMENT  # MLflow remembers where a run's artifacts are
    subprocess.run([sys.executable, "-c", COPIED], cwd=copy, env=environment, check=True)
    client = store.connect()
    for run in found(client):
        assert run.info.artifact_uri.startswith(copy.as_uri())
    (path,) = (copy / "mlartifacts").rglob("evaluation.json")
    assert path.read_bytes() == (copy / "data/evaluations/toy/evaluation.json").read_bytes()
    assert len(list((copy / "mlartifacts").rglob("new.txt"))) == 1
    assert client.get_experiment_by_name("mine").artifact_location == elsewhere
    assert {path: path.read_bytes() for path in house.rglob("mlartifacts/**/*.*")} == before


@pytest.mark.parametrize("content", [b"no database at all" * 99, None])
def test_a_database_that_is_none_is_one_line(place, content):
    (place / "mlflow.db").unlink()
    if content:
        (place / "mlflow.db").write_bytes(content)
    else:
        (place / "mlflow.db").mkdir()
    with pytest.raises(ModelmillError, match=r"^.*mlflow\.db: (file is not a|unable to open) data"):
        store.connect()


# --- by the process that records -------------------------------------------------------------

ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
STAGE = """
import os, signal
from modelmill.tracking import recorder as tracking
from test_tracking import CARD, META, POINTS, ROWS
with tracking.Recorder(POINTS) as recorder:
    recorder.start(CARD, META, "smoke", "A toy")
    recorder.lap(None, ROWS[0])
    os.kill(os.getpid(), signal.SIGKILL)
"""
COPIED = """
from dataclasses import replace
from pathlib import Path
from modelmill.tracking import runs, store
from test_tracking import CARD, META, REFERENCE, write_files
write_files(Path(), loss=0.125)
client = store.connect()
runs.record(client, Path(), "toy", "smoke", "A toy", REFERENCE, False, True)
run_id, _ = runs.begin(client, replace(CARD, fingerprint="e"), META, "smoke", "A toy", {}, "e")
client.log_text(run_id, "new", "new.txt")
"""
AT_ONCE = """
import dataclasses, os, sys
import mlflow.store.tracking.sqlalchemy_store
from modelmill.tracking import runs, store
from test_tracking import CARD, META
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        card = dataclasses.replace(CARD, fingerprint=f"{os.getpid():032x}")
        runs.begin(store.connect(), card, META, "smoke", "A toy", {}, card.fingerprint)
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def killed_stage():
    """A stage that is killed in the middle of its training."""
    stage = subprocess.run([sys.executable, "-c", STAGE], env=os.environ | ENVIRONMENT)
    assert stage.returncode == -9


def statuses():
    return [run.info.status for run in found(store.connect())]


def refusal():
    try:
        recording.settle()
    except ModelmillError as error:
        return str(error)


def recording_processes(house):
    alive = psutil.process_iter(["cmdline"])  # None of those that ended and were not waited for
    return [p for p in alive if str(house) in (p.info["cmdline"] or [""])[-1]]


def test_stages_share_one_recording_process(place):
    train()
    (process,) = recording_processes(place)
    train(fingerprint="e" * 32)
    assert recording_processes(place) == [process]
    process.kill()
    process.wait()
    train(fingerprint="a" * 32)
    assert len(found(store.connect())) == 3


@pytest.mark.fault("SIGKILL of the recording process", "the next one goes on with the same run")
def test_a_recording_process_that_is_killed_is_followed_by_another(place, capfd):
    with tracking.Recorder(POINTS) as recorder:
        recorder.start(CARD, META, "smoke", "A toy")
        recorder.lap(None, ROWS[0])
        until(lambda: statuses() == ["RUNNING"])
        (process,) = recording_processes(place)
        process.kill()
        until(lambda: not recording_processes(place))
        recorder.lap(None, ROWS[1])
        recorder.end(seconds=3.5)
    assert capfd.readouterr().err == ""
    (live,) = found(store.connect())
    assert live.info.status == "FINISHED"
    assert completed_by_sync(place).info.run_id == live.info.run_id


@pytest.mark.fault("a locked database", "one warning; the run is complete when it is free again")
def test_a_locked_database_costs_one_line(place, monkeypatch, capfd):
    monkeypatch.setattr(tracking, "PATIENCE", 0.0)
    with FileLock(place / "mlflow.db.lock"):
        train()
    assert "no answer within 0 s" in warned_once(capfd)
    until(lambda: statuses() == ["FINISHED"])
    (live,) = found(store.connect())
    assert completed_by_sync(place).info.run_id == live.info.run_id


@pytest.mark.fault("`sync` while a slow server is still told", "refused; no run twice")
def test_sync_leaves_a_run_alone_that_is_still_being_recorded(place):
    with FileLock(place / "mlflow.db.lock"):
        killed_stage()
        until(lambda: list(runs.recordings().glob("*/bell")))  # it is recorded
        assert "still being recorded" in refusal()
    until(lambda: not refusal())
    assert statuses() == ["KILLED"]


@pytest.mark.fault("SIGKILL while a run is recorded", "the run says so")
def test_a_stage_that_is_killed_leaves_a_run_that_says_so(place):
    killed_stage()
    until(lambda: statuses() == ["KILLED"])
    (run,) = found(store.connect())
    assert run.data.metrics["loss"] == 2.0


@pytest.mark.long
@pytest.mark.fault("eight processes at once on a fresh database", "all record")
def test_many_processes_may_open_a_fresh_database_at_once(place):
    (place / "mlflow.db").unlink()
    subprocess.run([sys.executable, "-c", AT_ONCE], env=os.environ | ENVIRONMENT, check=True)
    assert len(found(store.connect())) == 8
