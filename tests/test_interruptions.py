"""Stages that are killed: nothing half-written is taken for whole, and the results are the same.

With ``--long`` trainings, pipelines and stages are killed as well, 200 times in all by `make
reliability`.
"""

import random
import re
import sys
from pathlib import Path

import pytest
from clone import Clone
from conftest import until
from deaths import changes

MODEL = "mnist_softmax"
EVALUATED = f"evaluate@{MODEL}"
# `modelmill train` with calls of a step or two, and a checkpoint after each of them.
TRAIN = (
    "import sys; from modelmill.training import checkpoints; checkpoints.SECONDS = 0.0;"
    "from pipelines import run, train; import modelmill.runtime as r; start = r.start\n"
    "def started(*a, **k):\n"
    "    start(*a, **k); from modelmill.training import pace; pace.CALL_SECONDS = 0.0\n"
    f"r.start = started; sys.argv = ['train', '{MODEL}']; run(train.main)"
)


@pytest.fixture
def clone(seed, tmp_path):
    """Where everything has been run once; each test has its own, whatever it does to it."""
    return seed.copied(tmp_path / "clone")


def results(clone: Clone) -> dict[str, str]:
    """The digests of what the stages wrote, by path."""
    parts = ("raw", "processed", "models", "metrics", "curves", "evaluations", "figures", "report")
    return clone.digests(*(f"data/{part}" for part in parts))


def forget(clone: Clone) -> None:
    """Makes DVC run again all that leads to the model, even what it would take from its cache."""
    folders = ["data/raw/mnist", "data/processed/mnist", f"data/models/{MODEL}"]
    clone.run("rm", "-rf", ".dvc/cache", *folders)


@pytest.mark.long
@pytest.mark.fault("SIGKILL while training", "the next `dvc repro` gives the same bytes")
def test_a_training_killed_at_any_moment_ends_the_same(clone, tries):
    clone.edit(f"conf/model/{MODEL}.yaml", "smoke: 20 steps", f"smoke: {20 * tries} steps")
    clone.compose("profile=smoke")
    clone.run("modelmill", "train", MODEL)
    whole, train = clone.trained(MODEL), [sys.executable, "-c", TRAIN]
    total, moments, kept = changes(clone, *train), random.Random(1), clone.path / "data/checkpoints"
    assert clone.trained(MODEL) == whole
    for _ in range(tries):
        fatal = moments.randint(total // tries // 2, total // tries)
        assert changes(clone, *train, fatal=fatal) == fatal
    assert list(kept.rglob("*.checkpoint"))
    assert f"{MODEL}: goes on from step" in clone.run(*train)
    assert clone.trained(MODEL) == whole
    assert not list(kept.rglob("*.checkpoint"))


@pytest.mark.long
@pytest.mark.fault("SIGKILL of a whole `dvc repro`", "the next `dvc repro` gives the same bytes")
def test_a_pipeline_killed_at_any_moment_ends_the_same(clone, tries):
    whole, repro, moments = results(clone), ["dvc", "repro", EVALUATED], random.Random(2)
    forget(clone)
    total = changes(clone, *repro)
    assert results(clone) == whole
    forget(clone)
    for number in range(tries):  # each in a part of its own
        first, last = total * number // tries + 1, total * (number + 1) // tries
        while changes(clone, *repro, fatal=(fatal := moments.randint(first, last))) != fatal:
            forget(clone)  # so much was done already that it came to its end
    clone.repro(EVALUATED)
    assert results(clone) == whole
    assert clone.stale(EVALUATED) == set()


@pytest.mark.long
@pytest.mark.fault("two `dvc repro` at once", "the second refuses or waits; the same bytes")
def test_two_repros_at_once_do_not_meet(clone):
    whole = results(clone)
    clone.run(
        "rm", "-rf", f"data/models/{MODEL}", "dvc.lock", ".dvc/cache/runs"
    )  # or it is restored
    started = [clone.started("dvc", "repro", EVALUATED) for _ in range(2)]
    for process in started:
        printed, _ = process.communicate()
        refused = "is busy, it is being blocked by" in printed or "acquire lock" in printed
        assert process.returncode == 0 or refused, printed
    clone.repro(EVALUATED)
    assert results(clone) == whole
    assert clone.stale(EVALUATED) == set()


@pytest.mark.long
@pytest.mark.fault("`dvc repro` of other data while one trains", "both end; dvc.lock has both")
def test_repros_of_other_data_run_side_by_side(clone):
    clone.run("rm", "-rf", "data/models", "dvc.lock", ".dvc/cache/runs")
    first = clone.started("dvc", "repro", "train@char_rnn")
    recordings = clone.path / ".dvc/tmp/recordings"
    until(lambda: list(recordings.glob("*/*.events")), first)  # it trains
    second = clone.started("dvc", "repro", f"train@{MODEL}")
    for process in (first, second):
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert "Running stage 'train@" in printed
    assert clone.stale("train") == set()


STAGES = {
    "preprocess": ("mnist", ["data/processed/mnist"]),
    "train": (MODEL, [f"data/models/{MODEL}"]),
    "evaluate": (MODEL, [f"data/{kind}/{MODEL}" for kind in ("evaluations", "curves", "figures")]),
    "report": ("", ["data/report"]),
}


@pytest.mark.long
@pytest.mark.fault(
    "SIGKILL of a stage", "old results, new ones or none; the next run ends the same"
)
@pytest.mark.parametrize("stage", [stage for stage in ("download", *STAGES) if stage != "train"])
def test_a_stage_killed_at_any_moment_leaves_nothing_half_written(clone, tries, stage):
    argument, folders = {**STAGES, "download": ("mnist", ["data/raw/mnist"])}[stage]
    whole, moments = results(clone), random.Random(3)
    written = [{path for path in whole if path.startswith(folder)} for folder in folders]
    command = ["modelmill", stage, *argument.split()]
    total = changes(clone, *command)
    assert results(clone) == whole
    for number in range(tries):
        if number % 2:
            clone.run("rm", "-rf", *folders)  # as DVC does before a stage
        # At the end there is no old folder to move away.
        end = total - 2 * len(folders)
        first, last = end * number // tries + 1, end * (number + 1) // tries
        fatal = moments.randint(first, max(first, last))  # one that writes little is killed twice
        assert changes(clone, *command, fatal=fatal) == fatal
        found = results(clone)
        assert {path: digest for path, digest in found.items() if whole[path] != digest} == {}
        missing = whole.keys() - found.keys()
        assert missing == set().union(*(files for files in written if files & missing))
    clone.run(*command)
    assert results(clone) == whole
    for folder in folders:
        assert not list((clone.path / folder).parent.glob(f".{Path(folder).name}.*"))


@pytest.mark.long
@pytest.mark.fault("a stage cannot write its files", "one line; the old results stay")
def test_a_stage_that_cannot_write_says_so_and_leaves_the_old_results(clone):
    before = results(clone)
    for stage, (argument, folders) in STAGES.items():
        command = f"ulimit -f 8; exec modelmill {stage} {argument}"
        with clone.started("bash", "-c", command) as process:
            printed, _ = process.communicate()
        assert process.returncode  # not always 2: HDF5 makes Python abort when it exits
        assert re.fullmatch(r"error: .*", printed.splitlines()[-1]), (stage, printed)
        assert results(clone) == before
        for folder in folders:
            assert not list((clone.path / folder).parent.glob(f".{Path(folder).name}.*"))
