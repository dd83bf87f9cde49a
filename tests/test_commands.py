"""The commands answer help and mistakes at once, in one line, without TensorFlow or MLflow."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import pipelines

COMMANDS = ["compose", "download", "preprocess", "train", "evaluate", "results", "sync", "sample"]
COMMANDS += ["predict", "fundamentals", "sweep"]
# Runs a command as `python -m` would, then tells what it imported.
SPY = """
import atexit, runpy, sys
heavy = ("tensorflow", "keras", "mlflow", "matplotlib", "ray", "optuna")
atexit.register(lambda: print("HEAVY", [name for name in heavy if name in sys.modules]))
sys.argv = ["x", *sys.argv[2:]]
sys.path.insert(0, {root!r})
runpy.run_module("pipelines." + {name!r}, run_name="__main__")
"""


def run(name, *arguments, cwd=ROOT):
    spy = SPY.format(root=str(ROOT), name=name)
    command = [sys.executable, "-c", spy, name, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_helps_without_heavy_imports(name):
    result = run(name, "--help")
    assert result.returncode == 0
    assert f"python -m pipelines.{name}" in result.stdout
    assert "HEAVY []" in result.stdout


@pytest.mark.parametrize("name", ["download", "preprocess", "train", "evaluate", "sample"])
def test_an_unknown_name_is_answered_with_the_nearest(name):
    wanted = "mnits" if name in ("download", "preprocess") else "mnist_sofmax"
    result = run(name, wanted)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert "did you mean 'mnist" in result.stderr
    assert "HEAVY []" in result.stdout


@pytest.fixture
def broken(tmp_path):
    """A folder whose params.yaml has a typo."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    before, entry, after = text.partition("  mnist_softmax:\n")
    broken = before + entry + after.replace("learning_rate:", "lerning_rate:", 1)
    assert entry
    (tmp_path / "params.yaml").write_text(broken, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["download", "train", "evaluate", "results"])
def test_a_typo_in_params_is_answered_by_name(name, broken):
    result = run(name, *([] if name == "results" else ["mnist_softmax"]), cwd=broken)
    assert result.returncode == 2
    assert result.stderr == (
        "error: params.yaml: models.mnist_softmax.fit: there is no key 'lerning_rate' here; "
        "did you mean 'learning_rate'?\n"
    )
    assert "HEAVY []" in result.stdout


def test_evaluating_what_is_not_trained_says_what_to_run(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    result = run("evaluate", "mnist_softmax", cwd=tmp_path)
    assert result.returncode == 2
    assert "dvc repro train@mnist_softmax" in result.stderr


def test_an_unknown_sweep_is_answered_with_the_nearest():
    result = run("sweep", "mnist_mlp_rat")
    assert result.returncode == 2
    assert (
        result.stderr
        == "error: sweep: there is no 'mnist_mlp_rat'; did you mean 'mnist_mlp_rate'?\n"
    )
    assert "HEAVY []" in result.stdout


def test_only_a_language_model_writes_text():
    result = run("sample", "mnist_softmax")
    assert result.returncode == 2
    assert "writes no text" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--temperature", "1e-40"], "temperature: Input should be greater than or equal to 0.001"),
        (["--length", str(10**12)], "length: Input should be less than or equal to 100000"),
    ],
)
def test_a_sample_that_cannot_be_is_answered_in_one_line(arguments, said):
    result = run("sample", "char_rnn", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def fails(error):
    """What a command prints that fails with `error` while it handles another."""

    def main():
        try:
            raise error
        except type(error):
            raise ImportError("Traceback\nof many\nlines") from None

    return main


@pytest.mark.parametrize(
    ("main", "said"),
    [
        (fails(ImportError("libx.so: failed to map segment")), "ImportError libx.so: failed to"),
        (fails(MemoryError()), "MemoryError: out of memory"),
        (
            partial(np.ones(10**6).tofile, "/dev/full"),
            "could not be written whole, as on a full disk",
        ),
        (partial(Path("/dev/full").write_text, "x"), "No space left on device"),
    ],
)
def test_what_the_machine_lacks_is_one_line(capsys, main, said):
    with pytest.raises(SystemExit) as ended:
        pipelines.run(main)
    errors = capsys.readouterr().err
    assert (ended.value.code, errors.count("\n")) == (2, 1)
    assert said in errors


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_need_not_know_every_sign(encoding, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": f"{ROOT}:{ROOT}/src"}
    command = [sys.executable, "-m", "pipelines.results"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"? 0.9" in result.stdout  # for ≥
