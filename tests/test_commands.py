"""The commands answer help and mistakes at once, in one line, without TensorFlow or MLflow."""

import json
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest
from conftest import ROOT

COMMANDS = ["compose", "download", "preprocess", "train", "evaluate", "results", "sync", "sample"]
COMMANDS += ["predict", "fundamentals", "sweep"]
MISTAKES = {
    **dict.fromkeys(("download", "preprocess"), "mnits"),
    **dict.fromkeys(("train", "evaluate", "sample"), "mnist_sofmax"),
    "sweep": "mnist_mlp_rat",
}
# Does what `python -m` does for each command of a list, one after another, in one process.
SPY = """
import contextlib, io, json, os, runpy, sys
heavy = ("tensorflow", "keras", "mlflow", "matplotlib", "ray", "optuna")
sys.path.insert(0, os.getcwd())
answers = []
for folder, name, *arguments in json.load(sys.stdin):
    os.chdir(folder)
    sys.argv = ["x", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                runpy.run_module("pipelines." + name, run_name="__main__")
                code = 0
            except SystemExit as end:
                code = end.code or 0
    imported = [name for name in heavy if name in sys.modules]
    answers.append([code, out.getvalue(), err.getvalue(), imported])
print(json.dumps(answers))
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str
    imported: list[str]  # of what takes seconds


def ask(*questions):
    """The answers to commands, each a folder, a name and its arguments."""
    text = json.dumps([[str(part) for part in question] for question in questions])
    command = [sys.executable, "-c", SPY]
    found = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return [Answer(*answer) for answer in json.loads(found.stdout)]


def test_help_helps_without_heavy_imports():
    answers = ask(*((ROOT, name, "--help") for name in COMMANDS))
    for name, answer in zip(COMMANDS, answers, strict=True):
        assert answer.code == 0
        assert f"python -m pipelines.{name}" in answer.out
        assert answer.imported == [], name


def test_an_unknown_name_is_answered_with_the_nearest():
    answers = ask(*((ROOT, name, wanted) for name, wanted in MISTAKES.items()))
    for name, answer in zip(MISTAKES, answers, strict=True):
        assert answer.code == 2
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        assert "did you mean 'mnist" in answer.err
        assert answer.imported == [], name


@pytest.fixture
def broken(tmp_path):
    """A folder whose params.yaml has a typo."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    before, entry, after = text.partition("  mnist_softmax:\n")
    broken = before + entry + after.replace("learning_rate:", "lerning_rate:", 1)
    assert entry
    (tmp_path / "params.yaml").write_text(broken, encoding="utf-8")
    return tmp_path


def test_a_typo_in_params_is_answered_by_name(broken):
    commands = [[broken, name, "mnist_softmax"] for name in ("download", "train", "evaluate")]
    for answer in ask(*commands, [broken, "results"]):
        assert answer.code == 2
        assert answer.err == (
            "error: params.yaml: models.mnist_softmax.fit: there is no key 'lerning_rate' here; "
            "did you mean 'learning_rate'?\n"
        )
        assert answer.imported == []


def test_evaluating_what_is_not_trained_says_what_to_run(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (answer,) = ask([tmp_path, "evaluate", "mnist_softmax"])
    assert answer.code == 2
    assert "dvc repro train@mnist_softmax" in answer.err


def test_only_a_language_model_writes_text():
    (answer,) = ask([ROOT, "sample", "mnist_softmax"])
    assert answer.code == 2
    assert "writes no text" in answer.err
