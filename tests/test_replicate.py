"""A model over values of a key: trained as the stages do, kept, and told apart."""

import json
import multiprocessing
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from clone import ROOT, Clone
from test_commands import ask

FOLDS = "datasets.movielens.options.fold=1,2"


@pytest.fixture
def here(monkeypatch, in_process):
    """What would run in a process of its own runs in this one."""

    @contextmanager
    def pool(count):
        yield SimpleNamespace(apply=lambda function, given: function(*given))

    monkeypatch.setattr(multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=pool))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = Clone(tmp_path_factory.mktemp("house"))
    (house.path / "conf").symlink_to(ROOT / "conf")
    house.compose("profile=smoke", "model=[movielens_mf]", "dataset=[movielens]")
    house.call("download", "movielens")
    house.call("preprocess", "movielens")
    return house


@pytest.mark.usefixtures("here")
def test_a_fold_is_trained_and_evaluated_as_the_stages_do(house, capsys, monkeypatch):
    house.call("train", "movielens_mf")
    house.call("evaluate", "movielens_mf")
    metrics = json.loads((house.path / "data/metrics/movielens_mf.json").read_text())
    before = house.digests("data/models", "data/processed", "data/metrics")
    out = house.path / "folds.json"
    house.call("replicate", "movielens_mf", "--over", FOLDS, "--out", str(out))
    found = json.loads(out.read_text())
    one, two = found["metrics"]["movielens_mf"]
    assert one == {name: metrics[name] for name in one}
    assert two["rmse"] != one["rmse"]
    assert (found["values"], found["profile"]) == ([1, 2], "smoke")
    assert house.digests("data/models", "data/processed", "data/metrics") == before
    printed = capsys.readouterr().out
    mean = (one["rmse"] + two["rmse"]) / 2
    row = f"movielens_mf rmse {one['rmse']:.4f} {two['rmse']:.4f} {mean:.4f}"
    assert row in " ".join(printed.split())

    from modelmill.training import session

    monkeypatch.setattr(session, "Training", None)  # nothing is trained twice
    house.call("replicate", "movielens_mf", "--over", FOLDS)
    assert capsys.readouterr().out == printed


def test_what_cannot_be_replicated_is_named(house):
    def question(*given):
        return (house.path, "replicate", "movielens_mf", "--over", *given)

    questions = {
        question("datasets.movielens.options.fld=1"): "no such key: no fld",
        question("datasets.movielens.options=1"): "a block of keys: stars, folds, fold",
        question("datasets.movielens.options.fold=1,6"): "fold (6) is none of 5 folds",
        question("seed=1,1"): "expected KEY=A,B,..., no value twice",
        question("seed"): "expected KEY=A,B,...",
        (house.path, "replicate", "movielens", "--over", "seed=1"): "did you mean 'movielens_mf'",
    }
    for (asked, said), answer in zip(questions.items(), ask(*questions), strict=True):
        assert answer.code == 2, asked
        assert said in answer.err
        assert answer.err.count("\n") == 1
        assert answer.imported == []
