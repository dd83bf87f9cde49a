"""Stages side by side leave what `dvc repro` leaves, whatever fails or is interrupted."""

import re
import shutil
import signal

import psutil
import pytest

COMMAND = ("modelmill", "repro", "--jobs", "2")


@pytest.mark.long
def test_what_is_left_is_what_dvc_leaves_to_the_byte(seed, tmp_path):
    clone = seed.copied(tmp_path / "clone")
    expected = (clone.path / "dvc.lock").read_bytes()
    (clone.path / "dvc.lock").unlink()
    for kind in ("models", "figures"):
        shutil.rmtree(clone.path / "data" / kind)
    printed = clone.run(*COMMAND)
    assert "evaluate@char_rnn: done" in printed
    assert re.search(r"^report: done after \S+, (\d+) of \1$", printed, re.MULTILINE)
    assert (clone.path / "dvc.lock").read_bytes() == expected
    assert not clone.stale()
    assert clone.run(*COMMAND) == "Data and pipelines are up to date.\n"
    clone.edit("conf/model/char_rnn.yaml", "about:", "# Says the same.\nabout:")
    assert [line.split(":")[0] for line in clone.run(*COMMAND).splitlines()] == ["params"]


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n", ""])
def test_a_damaged_lock_file_is_one_line_or_none(seed, tmp_path, content):
    clone = seed.copied(tmp_path / "clone")
    (clone.path / "dvc.lock").write_text(content, encoding="utf-8")
    printed = clone.run(*COMMAND, "params", code=2)
    assert "Traceback" not in printed
    assert "dvc.lock" in printed.splitlines()[-1]


@pytest.mark.long
def test_a_stage_that_fails_is_named_last_and_the_others_end(seed, tmp_path):
    clone = seed.copied(tmp_path / "clone")
    clone.compose("profile=smoke", "seed=2", "models.mnist_softmax.fit.learning_rate=3e38")
    *lines, last = clone.run(*COMMAND, code=2).splitlines()
    assert any(line.startswith("evaluate@char_rnn: done") for line in lines)
    assert any(line.startswith("train@mnist_softmax: error: the loss became") for line in lines)
    assert last == (
        "error: train@mnist_softmax failed; "
        "they were waited for in vain by evaluate@mnist_softmax, report"
    )
    assert clone.stale() == {"train@mnist_softmax", "evaluate@mnist_softmax", "report"}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_every_stage_stops_and_goes_on_in_the_next_run(seed, tmp_path, number):
    clone = seed.copied(tmp_path / "clone")
    clone.compose("profile=smoke", "models.mnist_softmax.fit.length='9000000 steps'")
    with clone.started(*COMMAND, "evaluate@mnist_softmax") as process:
        lines = iter(process.stdout.readline, "")
        assert any("train@mnist_softmax: mnist_softmax: epoch" in line for line in lines)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        left = list(lines)
    assert process.returncode == 130
    assert any("is saved; the next dvc repro goes on from it" in line for line in left)
    assert left[-1] == "interrupted: each stage goes on where it was in the next run\n"
    assert not [child for child in below if child.is_running() and "train" in child.cmdline()]
    assert list(clone.path.glob("data/checkpoints/mnist_softmax/*/*.checkpoint"))


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_a_number_of_jobs_that_is_none_is_refused(seed, jobs):
    assert f"{jobs} is none of the numbers" in seed.run(
        "modelmill", "repro", f"--jobs={jobs}", code=2
    )


def test_an_unknown_stage_is_refused_by_name(seed):
    assert "train@nope" in seed.run(*COMMAND, "train@nope", code=2)
