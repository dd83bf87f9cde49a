"""Mistakes that people make are answered in one line that says what to do, before any work."""

import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from test_commands import ask

import pipelines
from modelmill import web
from modelmill.errors import ModelmillError
from modelmill.plain_yaml import yaml_data
from modelmill.sweeps import settings, state
from pipelines.compose import compose

TAKEN, FREE = "1", "2"  # stand for ports
# By what is typed, what is answered.
MISTAKES = {
    "compose profile=quik": "conf/profile: there is no 'quik'; did you mean 'quick'?",
    "compose model=[char_rn]": "conf/model: there is no 'char_rn'; did you mean 'char_rnn'?",
    "compose full": "override 'full': expected KEY=VALUE, such as profile=full",
    "compose profil=quick": "override: params.yaml: there is no 'profil'; did you mean 'profile'?",
    "compose +experiment=ptb_batch": "there is no 'ptb_batch'; did you mean 'ptb_batch_20'?",
    "compose seeed=3": "override: params.yaml: there is no 'seeed'; did you mean 'seed'?",
    "compose models.mnist_mpl.fit.batch_size=3": "no 'mnist_mpl'; did you mean 'mnist_mlp'?",
    "compose models.mnist_mlp.fit.batchsize=3": "'batchsize'; did you mean 'batch_size'?",
    "compose models.mnist_mlp.fit.clip_norm=5.0": "write +models.mnist_mlp.fit.clip_norm=VALUE",
    "compose --check seed=2": "--check takes no overrides",
    "preprocess ptb": "data/raw/ptb is missing: run `dvc repro download@ptb`",
    "report --now data/models/page.html": "it is a folder, or there is none to write it to",
    "keys models.mnist_mlp.fits": "there is no 'fits'; did you mean 'fit'?",
    "results --publish": "params.yaml has the profile quick; what is published comes from full",
    "sample mnist_softmax": "mnist_softmax is a model for classification: it makes nothing up",
    "predict char_rnn x.png": "char_rnn is a model for language_modeling: it tells no digits apart",
    "serve mnist_sofmax": "models: there is no 'mnist_sofmax'; did you mean 'mnist_softmax'?",
    f"serve ptb_small --port {FREE}": "no trained model in data/models/ptb_small: run",
    "serve mnist_softmax --port 80000": "a port is a number from 1 to 65535, not '80000'",
    f"serve mnist_softmax --port {TAKEN}": "address already in use: choose another one by --port",
    f"ui --port {TAKEN}": "address already in use: choose another one by --port",
    "sweep Best": "conf/sweep/Best.yaml: a name is lower-case letters, digits and _, starting with",
    "sweep": "the following arguments are required: name",
    "sweep mnist_mlp_rates": "sweep: there is no 'mnist_mlp_rates'; did you mean 'mnist_mlp_rate'?",
    "train mnist_softmax": "data/models: no file can be made there: file exists",
    "evaluate mnist_softmax": "data/figures: no file can be made there: file exists",
    "trian mnist_softmax": "modelmill: there is no 'trian'; did you mean 'train'?",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The answers to all mistakes, by one process, where files are in the way of the results."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "conf", house / "conf")
    shutil.copy(ROOT / "params.yaml", house)
    shutil.copy(house / "conf/sweep/mnist_mlp_rate.yaml", house / "conf/sweep/Best.yaml")
    (house / "data").mkdir()
    for folder in ("models", "figures"):
        (house / "data" / folder).touch()
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as kept_free:
        kept_free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept_free.bind(("127.0.0.1", 0))
        ports = {TAKEN: str(taken.getsockname()[1]), FREE: str(kept_free.getsockname()[1])}
        typed = [[ports.get(word, word) for word in mistake.split()] for mistake in MISTAKES]
        return dict(zip(MISTAKES, ask(*([house, *words] for words in typed)), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_what_to_do(answers, mistake):
    answer = answers[mistake]
    assert answer.code == 2
    assert MISTAKES[mistake] in answer.err
    error = [line for line in answer.err.splitlines() if not line.startswith(("usage", " "))]
    assert len(error) == 1, answer.err
    assert set(answer.imported) <= {"mlflow"}


def test_two_servers_begun_at_once_do_not_share_a_port():
    with web.listen(0) as first, pytest.raises(ModelmillError, match="already in use"):
        web.listen(first.getsockname()[1])


def test_make_names_what_is_missing_before_it_prepares_anything():
    for wrong in ([], ["NAME=mnist_mlp_rates"]):
        found = subprocess.run(
            ["make", "--no-print-directory", "sweep", *wrong],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (found.returncode, found.stdout) == (2, "")
        assert "make sweep NAME=..., one of char_rnn_cell mnist_cnn" in found.stderr
    planned = ["make", "-n", "bench", "ONLY=nope"]
    plan = subprocess.run(planned, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert plan.index("benchmarks.training --check --only nope") < plan.index("dvc repro")
    command = [sys.executable, "-m", "benchmarks.training", "--check", "--only", "nope"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "invalid choice: 'nope'" in found.stderr


@pytest.mark.parametrize("said", ["", "3 of 5 trials are kept; --resume runs the others"])
def test_what_was_interrupted_says_what_is_left(capsys, said):
    def main():
        raise KeyboardInterrupt(*[said] * bool(said))

    with pytest.raises(SystemExit) as ended:
        pipelines.run(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"interrupted: {said or pipelines.NOTHING_LEFT}\n"


def test_of_a_sweep_only_what_has_changed_is_named(tmp_path):
    """Not the code, where an override has made the training longer."""
    base = yaml_data(compose([], ROOT / "conf"))
    sweep = settings.load(ROOT / "conf/sweep", "mnist_mlp_rate")
    data = SimpleNamespace(digest="d" * 64)
    params = settings.check(sweep, base, "sweep")
    state.prepare(tmp_path, "mnist_mlp_rate", sweep, params, data, fresh=False)
    longer = settings.with_values(base, {"models.mnist_mlp.fit.length": "9 epochs"})
    changed = sweep.model_copy(update={"overrides": ["models.mnist_mlp.fit.length='9 epochs'"]})
    with pytest.raises(ModelmillError, match=r"values of params\.fit\.length, sweep\.overrides: "):
        state.prepare(
            tmp_path, "mnist_mlp_rate", changed, settings.check(changed, longer, ""), data, False
        )
