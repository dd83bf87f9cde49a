"""Stages side by side leave what `dvc repro` leaves, whatever fails or is interrupted."""

import re
import shutil
import signal

import psutil
import pytest
from clone import MODELS
from dvc.utils.serialize import modify_yaml

COMMAND = ("modelmill", "repro", "--jobs", "2")


@pytest.mark.long
def test_what_is_left_is_what_dvc_leaves_to_the_byte(seed, tmp_path):
    clone = seed.copied(tmp_path / "clone")
    lock = clone.path / "dvc.lock"
    expected = lock.read_bytes()
    with modify_yaml(lock) as content:  # as if no model had been run, here or in DVC's cache
        for name in [*content["stages"]]:
            if name.startswith(("train@", "evaluate@", "report")):
                del content["stages"][name]
    for forgotten in (".dvc/cache/runs", "data/models", "data/figures"):
        shutil.rmtree(clone.path / forgotten)
    printed = clone.run(*COMMAND)
    assert "is cached" not in printed
    assert "evaluate@char_rnn: done" in printed
    assert re.search(r"^report: done after \S+, (\d+) of \1$", printed, re.MULTILINE)
    assert lock.read_bytes() == expected
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
def test_interrupted_all_stages_side_by_side_stop_and_go_on_in_the_next_run(seed, tmp_path):
    clone = seed.copied(tmp_path / "clone")
    for name in MODELS:
        path = clone.path / f"conf/model/{name}.yaml"
        text = path.read_text(encoding="utf-8").replace("fit:", "fit:\n  validate_every: 5 steps")
        path.write_text(re.sub(r"smoke: \d+ steps}", "smoke: 9000000 steps}", text, count=1))
    clone.compose("profile=smoke")
    for number, begins in ((signal.SIGINT, ": epoch "), (signal.SIGTERM, ": goes on from step ")):
        with clone.started(*COMMAND) as process:
            lines = iter(process.stdout.readline, "")
            awaited = {f"train@{name}{begins}" for name in MODELS}
            while awaited:  # until both are at work, either first; neither will end
                line = next(lines, "")
                assert line, awaited
                awaited = {text for text in awaited if text not in line}
            below = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
            left = list(lines)
        assert process.returncode == 130
        for name in MODELS:
            assert any(f"train@{name}: stopped after" in line for line in left)
            assert list(clone.path.glob(f"data/checkpoints/{name}/*/*.checkpoint"))
        assert left[-1] == "interrupted: each stage goes on where it was in the next run\n"
        assert psutil.wait_procs(below, timeout=60)[1] == []


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_a_number_of_jobs_that_is_none_is_refused(seed, jobs):
    assert f"{jobs} is none of the numbers" in seed.run(
        "modelmill", "repro", f"--jobs={jobs}", code=2
    )


def test_an_unknown_stage_is_refused_by_name(seed):
    said = "error: dvc.yaml: there is no 'train@mnist_softmx'; did you mean 'train@mnist_softmax'?"
    assert said in seed.run(*COMMAND, "train@mnist_softmx", code=2)
    said = "error: params.yaml has no iris_logistic: a line under `model:` in conf/config.yaml"
    assert said in seed.run(*COMMAND, "evaluate@iris_logistic", code=2)
