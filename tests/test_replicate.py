"""Models over seeds and folds: made as the stages do, kept, taken up, and told together."""

import signal

import pytest
from clone import ROOT, Clone
from conftest import until
from test_commands import ask

from modelmill import params, repository
from modelmill.datasets.prepared import find, load
from modelmill.errors import ModelmillError
from modelmill.files import read_json, write_json
from modelmill.plain_yaml import read_yaml
from modelmill.runtime import available_cores
from modelmill.sweeps import replicates, replication
from modelmill.tracking import store

MODEL = "movielens_mf"
FOLDS = "datasets.movielens.options.fold=1,2"


@pytest.fixture
def here(monkeypatch, in_process):
    """What workers of Ray would make is made in this process."""

    def make_all(base, missing):
        kept = repository.root() / replication.CHECKPOINTS
        for each in missing:
            data = replication.files(each.data.folder)
            each.keep(replication.make(base, each.name, each.key, each.value, data, kept))

    monkeypatch.setattr(replication, "make_all", make_all)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    house = Clone(tmp_path_factory.mktemp("house"))
    (house.path / "conf").symlink_to(ROOT / "conf")
    house.compose("profile=smoke", f"model=[{MODEL}]", "dataset=[movielens]")
    house.call("download", "movielens")
    house.call("preprocess", "movielens")
    return house


@pytest.fixture
def house(prepared, tmp_path):
    return prepared.copied(tmp_path / "house")


def metrics(clone, model=MODEL):
    return read_json(clone.path / f"data/metrics/{model}.json")


def written(clone, file, model=MODEL):
    return read_json(clone.path / "docs/results" / file)["models"][model]


@pytest.mark.usefixtures("here")
def test_a_seed_is_made_as_the_pipeline_makes_its_own_and_none_twice(house, capsys, monkeypatch):
    house.call("replicate", MODEL, "--seeds", "2")
    found = written(house, "seeds.json")
    assert found["values"]["1"] != found["values"]["2"]
    printed = capsys.readouterr().out
    house.call("train", MODEL)
    house.call("evaluate", MODEL)
    before = house.digests("data/models", "data/processed", "data/metrics")
    assert found["values"]["1"] == metrics(house)["rmse"]
    assert f"{MODEL}: test rmse " in capsys.readouterr().out

    monkeypatch.setattr(replication, "make", None)
    house.call("replicate", MODEL, "--seeds", "2")  # every metric of both is the same, or refused
    assert capsys.readouterr().out == printed
    assert written(house, "seeds.json") == found
    assert house.digests("data/models", "data/processed", "data/metrics") == before

    seeds = house.path / "docs/results/seeds.json"
    kept = seeds.read_bytes()
    write_json(seeds, {"models": []})
    with pytest.raises(ModelmillError, match=r"run `git checkout docs/results/seeds\.json`"):
        house.call("replicate", MODEL, "--seeds", "2")
    seeds.write_bytes(kept)

    runs = [run for run in house.runs() if "replicates" in run["tags"]]
    nested = [run for run in runs if "mlflow.parentRunId" in run["tags"]]
    assert (len(runs), len(nested)) == (3, 2)
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert {run["params"]["seed"]: run["metrics"]["test_rmse"] for run in nested} == found["values"]

    for path in (house.path / "data/replicates" / MODEL).glob("*.json"):
        record = read_json(path)
        write_json(path, record | {"metrics": record["metrics"] | {"rmse": 0.5}})
    with pytest.raises(ModelmillError, match=r"movielens_mf, seed 1: rmse 0\.5 in data/replicates"):
        house.call("replicate", MODEL, "--seeds", "2")


@pytest.mark.long
@pytest.mark.usefixtures("here")
def test_the_pipelines_own_run_is_taken_over_whatever_mlflow_does(house, monkeypatch, capsys):
    house.call("train", MODEL)
    house.call("evaluate", MODEL)
    made, make = [], replication.make

    def noted(base, name, key, value, *rest):
        made.append(value)
        return make(base, name, key, value, *rest)

    def refuses():
        raise ModelmillError("no answer")

    monkeypatch.setattr(replication, "make", noted)
    monkeypatch.setattr(store, "connect", refuses)
    published = house.path / "docs/results/folds.json"
    published.parent.mkdir(parents=True)
    write_json(published, {"models": {MODEL: {"profile": "full"}}})
    house.call("replicate", MODEL, "--over", FOLDS)
    assert read_json(published) == {"models": {MODEL: {"profile": "full"}}}
    assert "MLflow: no answer; the same command" in capsys.readouterr().err
    assert made == [2]
    found = read_json(house.path / "data/replicates" / MODEL / "folds.json")["models"][MODEL]
    assert found["over"] == FOLDS.partition("=")[0]
    assert found["values"]["1"] == metrics(house)["rmse"] != found["values"]["2"]
    assert not (house.path / "docs/results/seeds.json").exists()


@pytest.mark.usefixtures("here")
def test_a_seed_that_was_broken_off_goes_on_from_its_checkpoint(house, monkeypatch):
    from modelmill.training.checkpoints import Checkpoints
    from modelmill.training.session import Training

    begun, run, lap = [], Training.run, Checkpoints.lap

    def noted(training, *observers):
        begun.append((training.seed, training.step))
        run(training, *observers)

    def interrupted(checkpoints, training, row):
        checkpoints.interrupted = training.seed == 2 and len(begun) == 2
        lap(checkpoints, training, row)

    monkeypatch.setattr(Training, "run", noted)
    monkeypatch.setattr(Checkpoints, "lap", interrupted)
    base = read_yaml(house.path / "params.yaml")
    with house.here(), replicates.planned(base, [MODEL], "seed", [1, 2]) as planned:
        with pytest.raises(KeyboardInterrupt, match="1 of 2 replicates are kept; the same command"):
            replication.run(base, planned)
        replication.run(base, planned)
    (one, zero), (two, start), (again, step) = begun
    assert (one, two, again, zero, start) == (1, 2, 2, 0, 0)
    assert step > 0
    assert not list((house.path / "data/checkpoints").rglob("*.checkpoint"))


def test_data_that_were_prepared_otherwise_are_refused(house):
    dataset = params.load(house.path / "params.yaml").datasets["movielens"]

    def locked(**changes):
        options = {**dataset.options.model_dump(), **changes}
        stage = {"params": {"params.yaml": {"datasets.movielens.options": options}}}
        write_json(house.path / "dvc.lock", {"stages": {"preprocess@movielens": stage}})

    with house.here():
        locked()
        assert load("movielens", dataset).digest
        for change in ({"fold": 2}, {"validation_fraction": 0.03}, {"unknown": 1}):
            locked(**change)
            assert find("movielens", dataset, house.path) is None
            with pytest.raises(ModelmillError, match="run `dvc repro preprocess@movielens`"):
                load("movielens", dataset)


def test_what_cannot_be_replicated_is_named(prepared):
    def question(*given):
        return (prepared.path, "replicate", MODEL, *given)

    questions = {
        question("--over", "datasets.movielens.options.fld=1,2"): "no such key: no fld",
        question("--over", "datasets.movielens.options=1,2"): "a block of keys: stars, folds, fold",
        question("--over", "datasets.movielens.options.fold=1,6"): "fold (6) is none of 5 folds",
        question("--over", f"models.{MODEL}.fit.batch_size=1,2"): "compared by `modelmill sweep`",
        question("--over", "seed=1,1"): "two values at least, none twice",
        question("--over", "seed"): "expected KEY=A,B,...",
        question("--seeds", "1"): "two at least have a spread",
        question("--seeds", "99999999999"): "a spread, and 1,000 are the most",
        (prepared.path, "replicate", "movielens", "--seeds", "2"): "did you mean 'movielens_mf'",
    }
    for (asked, said), answer in zip(questions.items(), ask(*questions), strict=True):
        assert answer.code == 2, asked
        assert said in answer.err
        assert answer.err.count("\n") == 1
        assert answer.imported == []


# --- in workers of Ray -----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.fault("Ctrl-C and SIGKILL of replicates", "no finished seed is repeated; as if alone")
@pytest.mark.usefixtures("in_process")
def test_replicates_that_were_stopped_are_taken_up(seed, tmp_path):
    clone = seed.copied(tmp_path)
    model, seeds = "mnist_softmax", available_cores() + 1  # one waits until another is finished
    command = ["modelmill", "replicate", model, "--seeds", str(seeds)]
    often = "SECONDS, SECONDS_AT_LAP = 0.0, 0.0"
    clone.edit(
        "src/modelmill/training/checkpoints.py", "SECONDS, SECONDS_AT_LAP = 30.0, 5.0", often
    )
    clone.edit(f"conf/model/{model}.yaml", "smoke: 20 steps", "smoke: 6000 steps")
    clone.edit(f"conf/model/{model}.yaml", "fit:", "fit:\n  validate_every: 100 epochs")
    (clone.path / "docs/results/seeds.json").unlink()  # which stays as it is but for full
    clone.compose("profile=smoke")

    def kept():
        return clone.digests(f"data/replicates/{model}")

    def checkpoints():
        return list((clone.path / "data/checkpoints").rglob("*.checkpoint"))

    process = clone.started(*command)
    until(checkpoints, process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate()
    assert process.returncode == 130
    said = f"interrupted: {len(kept())} of {seeds} replicates are kept; the same"
    assert printed.splitlines()[-1].startswith(said)
    assert checkpoints()

    process = clone.started(*command)
    until(kept, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = kept()

    printed = clone.run(*command)
    assert before.items() <= kept().items()
    assert f"{seeds - len(before)}/{seeds - len(before)}: {model}, seed" in printed
    assert not checkpoints()
    clone.call("train", model)
    clone.call("evaluate", model)
    clone.call(*command[1:])  # which compares
    assert written(clone, "seeds.json", model)["values"]["1"] == metrics(clone, model)["accuracy"]
