"""The commands answer help and mistakes at once, in one line, without TensorFlow or MLflow."""

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import requests
from conftest import ROOT

import pipelines
from pipelines.__main__ import commands

COMMANDS = list(commands())
MISTAKES = {
    **dict.fromkeys(("download", "preprocess"), "mnits"),
    **dict.fromkeys(("train", "evaluate", "sample"), "mnist_sofmax"),
    "sweep": "mnist_mlp_rat",
}
# Does what `modelmill` does for each command of a list, one after another, in one process.
SPY = """
import contextlib, io, json, os, sys
heavy = ("tensorflow", "keras", "mlflow", "matplotlib", "pyarrow", "ray", "optuna")
sys.path.insert(0, os.getcwd())
from pipelines import __main__ as commands
answers = []
for folder, name, *arguments in json.load(sys.stdin):
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                sys.argv = ["modelmill", name, *arguments]
                commands.main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
    imported = [name for name in heavy if name in sys.modules]
    answers.append([code, out.getvalue(), err.getvalue(), imported])
print(json.dumps(answers))
"""


# What the shell would offer for the last of these words.
COMPLETED = """
source /dev/stdin
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
_shtab_modelmill && echo "${COMPREPLY[@]}"
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
        assert f"usage: modelmill {name}" in answer.out
        assert answer.imported == [], name


def called(folder, *arguments):
    """What the console script answers in a folder: its exit code and all it printed."""
    script = "from modelmill.command import main; main()"
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr


def test_a_folder_that_was_removed_is_one_line(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    script = f"import os; os.rmdir({str(folder)!r}); from modelmill.command import main; main()"
    command = [sys.executable, "-c", script, "results"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = "error: the current folder was removed: cd into your clone first\n"
    assert (found.returncode, found.stderr) == (2, said)


def test_a_file_to_write_is_meant_from_where_the_command_was_typed():
    code, said = called(ROOT / "docs", "sample", "char_rnn", "--output", "nowhere/said.txt")
    assert code == 2
    assert "--output docs/nowhere/said.txt: " in said


def test_every_command_is_listed_with_one_line():
    code, listed = called(ROOT)
    assert code == 0
    for name, about in commands().items():
        assert f"  {name} " in listed
        assert about.endswith(".")
    assert max(map(len, listed.splitlines())) < 80


def test_a_command_is_of_the_repository_around_the_folder(tmp_path):
    assert called(ROOT / "conf/model", "train", "mnist_ml") == called(ROOT, "train", "mnist_ml")
    code, said = called(tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert f"error: neither {tmp_path} nor a folder above it is a clone of modelmill" in said


def test_the_code_that_runs_is_that_of_the_clone(tmp_path):
    for name in ("src", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    with (tmp_path / "src/modelmill/params.py").open("a", encoding="utf-8") as params:
        params.write("\nraise ModelmillError('this is another clone')\n")
    _, said = called(tmp_path, "results")
    assert "this is another clone" in said


def test_the_shell_completes_commands_names_and_options():
    _, script = called(ROOT, "completion", "bash")
    answers = {
        ("tr",): "train",
        ("train", "mnist_deep_m"): "mnist_deep_mlp",
        ("download", "shake"): "shakespeare",
        ("sweep", "mnist_mlp_"): "mnist_mlp_rate",
        ("sweep", "--res"): "--resume",
        ("predict", "mnist_mlp", "READ"): "README.md",
    }
    for words, expected in answers.items():
        command = ["bash", "-c", COMPLETED, "bash", "modelmill", *words]
        found = subprocess.run(command, cwd=ROOT, input=script, capture_output=True, text=True)
        assert found.stdout.strip() == expected, words


def test_what_a_file_is_called_is_no_command_for_the_shell(tmp_path):
    _, script = called(ROOT, "completion", "bash")
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/$(touch PWNED).yaml").touch()
    command = ["bash", "-c", COMPLETED, "bash", "modelmill", "train", ""]
    subprocess.run(command, cwd=tmp_path, input=script, text=True, check=False)
    assert not [*tmp_path.rglob("PWNED")]


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


def test_a_sample_that_cannot_be_is_answered_in_one_line():
    mistakes = {
        "mnist_softmax": "mnist_softmax is a model for classification: it makes nothing up",
        "char_rnn --temperature 1e-40": "temperature: Input should be greater than or equal to 0.0",
        f"char_rnn --length {10**12}": "length: Input should be less than or equal to 100000",
        "char_rnn --steps 5": "char_rnn makes a text: --steps is not for that",
        "char_rnn --output text.png": "char_rnn writes a .txt",
        "mnist_rbm --output x.png --length 5": "mnist_rbm makes pictures: --length is not for that",
        "mnist_rbm": "mnist_rbm draws pictures: say where with --output FILE.png",
        "mnist_rbm --output nowhere/x.png": "nowhere/x.png: it is a folder, or there is none",
    }
    answers = ask(*([ROOT, "sample", *given.split()] for given in mistakes))
    for said, answer in zip(mistakes.values(), answers, strict=True):
        assert said in answer.err
        assert (answer.code, answer.err.count("\n"), answer.imported) == (2, 1, [])


def fails(error):
    """What a command prints that fails with `error` while it handles another."""

    def main():
        try:
            raise error
        except type(error):
            raise ImportError("Traceback\nof many\nlines") from None

    return main


def refused():
    raise requests.HTTPError("403 for url: http://ada:secret@server/")


@pytest.mark.parametrize(
    ("main", "said"),
    [
        (fails(ImportError("libx.so: failed to map segment")), "ImportError libx.so: failed to"),
        (fails(MemoryError()), "MemoryError: out of memory"),
        (
            fails(ModuleNotFoundError("No module named 'x'")),
            "No module named 'x': run `make setup`",
        ),
        (
            partial(np.ones(10**6).tofile, "/dev/full"),
            "could not be written whole, as on a full disk",
        ),
        (partial(Path("/dev/full").write_text, "x"), "No space left on device"),
        (fails(OSError("403 for url: http://ada:secret@server/")), "403 for url: http://server/"),
        (refused, "error: 403 for url: http://server/"),
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
    command = [sys.executable, "-m", "pipelines", "results"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"? 0.9" in result.stdout  # for ≥


@pytest.mark.parametrize("asked", ["keys", "--help"])
def test_output_that_is_not_taken_is_no_traceback(asked):
    known = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    started = partial(subprocess.Popen, ["modelmill", asked], cwd=ROOT, env=known, text=True)
    with Path("/dev/full").open("w") as full:
        onto_full_disk = started(stdout=full, stderr=subprocess.PIPE)
    read, write = os.pipe()
    os.close(read)
    to_nobody = started(stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (to_nobody.communicate()[1], to_nobody.returncode) == ("", 128 + signal.SIGPIPE)
    assert onto_full_disk.communicate()[1] == "error: [Errno 28] No space left on device\n"
    assert onto_full_disk.returncode == 2
