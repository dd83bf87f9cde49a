"""The whole pipeline in the smoke profile, in a clone of its own: what runs, and what again."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from modelmill import artifacts, params

FILES = [artifacts.CARD, artifacts.HISTORY, artifacts.WEIGHTS]


class Clone:
    """A copy of the working tree as a repository of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, names.stdout.split("\0")):
            if (ROOT / name).is_file() and name != "dvc.lock" and "data/metrics" not in name:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.invalid")
        self.compose("profile=smoke")
        self.commit()

    def run(self, *command: str, code: int = 0) -> str:
        """What the command printed; it must end with `code`."""
        environment = os.environ | {
            "PYTHONPATH": str(self.path / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
            environment.pop(name, None)
        result = subprocess.run(
            command,
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert result.returncode == code, result.stdout
        return result.stdout

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "state")

    def compose(self, *overrides: str) -> None:
        self.run(sys.executable, "-m", "pipelines.compose", *overrides)

    def repro(self, *arguments: str) -> set[str]:
        """Runs `dvc repro`; returns the stages that were really run, `params` aside."""
        printed = self.run("dvc", "repro", *arguments)
        return set(re.findall(r"Running stage '(.*?)'", printed)) - {"params"}

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def bytes(self, model: str) -> list[bytes]:
        return [(self.path / "data/models" / model / name).read_bytes() for name in FILES]

    def runs(self) -> list[dict]:
        """Every MLflow run of the repository's database: tags, params and metrics."""
        script = (
            "import json; from modelmill import tracking; c = tracking.connect(); "
            "print('RUNS' + json.dumps([{'tags': r.data.tags, 'params': r.data.params,"
            " 'metrics': r.data.metrics, 'status': r.info.status}"
            " for e in c.search_experiments() for r in c.search_runs([e.experiment_id])]))"
        )
        return json.loads(self.run(sys.executable, "-c", script).rpartition("RUNS")[2])


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which everything has been run once."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.ran = clone.repro()
    clone.commit()
    return clone


@pytest.fixture(autouse=True)
def restored(clone):
    """Leaves the clone as it was first run."""
    yield
    clone.git("checkout", "-q", ".")
    clone.git("clean", "-qfd")
    clone.compose("profile=smoke")
    clone.run("dvc", "checkout", "--force", "--quiet")


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


def test_every_stage_ran_and_wrote_what_it_promises(clone, everything):
    stages = {
        f"{stage}@{name}" for stage in ("download", "preprocess") for name in everything.datasets
    }
    stages |= {f"{stage}@{name}" for stage in ("train", "evaluate") for name in everything.models}
    assert clone.ran == stages
    data = clone.path / "data"
    for name, model in everything.models.items():
        metrics = json.loads((data / f"metrics/{name}.json").read_text())
        assert metrics[model.reference.metric] > 0
        assert metrics["parameters"] > 0
        assert all((data / f"models/{name}/{file}").stat().st_size for file in FILES)
        assert (data / f"figures/{name}/curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((data / "metrics/mnist_softmax.json").read_text())["examples"] == 1000
    assert (data / "figures/char_rnn/sample.txt").read_text().startswith("The ")


def test_every_training_is_one_complete_run_in_mlflow(clone, everything):
    runs = {
        run["tags"]["model"]: run for run in clone.runs() if not run["tags"].get("dvc_experiment")
    }
    assert set(runs) == set(everything.models)
    for run in runs.values():
        assert run["status"] == "FINISHED"
        assert run["tags"]["profile"] == "smoke"
        assert {"test_loss", "loss", "train_seconds"} <= set(run["metrics"])


def test_nothing_runs_a_second_time(clone):
    assert clone.repro() == set()
    assert "up to date" in clone.run("dvc", "status")


def test_the_usual_commands_of_dvc_work(clone):
    assert "accuracy" in clone.run("dvc", "metrics", "show")
    clone.run("dvc", "metrics", "diff")
    page = clone.run("dvc", "plots", "show", "-o", "plots").strip().removeprefix("file://")
    assert "history.csv" in Path(page).read_text(encoding="utf-8")
    table = clone.run(sys.executable, "-m", "pipelines.results")
    assert "mnist_softmax" in table


def test_editing_fit_trains_and_evaluates_that_model_only_and_back_runs_nothing(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.5", "learning_rate: 0.25")
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@mnist_softmax", "evaluate@mnist_softmax"}
    clone.edit("conf/model/mnist_softmax.yaml", "learning_rate: 0.25", "learning_rate: 0.5")
    clone.compose("profile=smoke")
    assert clone.repro() == set()


def test_editing_eval_only_evaluates(clone):
    clone.edit("conf/model/mnist_softmax.yaml", "split: test", "split: validation")
    clone.compose("profile=smoke")
    assert clone.repro() == {"evaluate@mnist_softmax"}


def test_editing_an_architecture_runs_its_models_only(clone, everything):
    with (clone.path / "src/modelmill/models/softmax.py").open("a") as file:
        file.write("\n# edited\n")
    softmaxes = [name for name, model in everything.models.items() if model.arch == "softmax"]
    expected = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in softmaxes}
    assert clone.repro() == expected


def test_training_again_gives_the_same_bytes_and_evaluates_nothing(clone):
    before = {name: clone.bytes(name) for name in ("char_rnn", "mnist_softmax")}
    for name, files in before.items():
        clone.repro("--force", "--single-item", f"train@{name}")
        assert clone.bytes(name) == files
    assert clone.repro() == set()


def test_a_stale_params_file_stops_the_pipeline_and_names_the_key(clone):
    clone.edit("conf/model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    printed = clone.run("dvc", "repro", "evaluate@char_rnn", code=255)
    assert "models.char_rnn.fit.clip_norm: conf/ says 4.0, params.yaml says 5.0" in printed
    assert "pipelines.compose profile=smoke" in printed


def test_a_new_model_is_one_conf_file_and_one_line(clone):
    conf = clone.path / "conf/model"
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    (conf / "my_model.yaml").write_text(text.replace("learning_rate: 0.5", "learning_rate: 0.1"))
    clone.edit(
        "conf/config.yaml", "      - mnist_softmax\n", "      - mnist_softmax\n      - my_model\n"
    )
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@my_model", "evaluate@my_model"}


def test_a_new_architecture_is_one_more_file(clone):
    models, conf = clone.path / "src/modelmill/models", clone.path / "conf/model"
    code = (models / "softmax.py").read_text()
    (models / "scaled.py").write_text(
        code.replace("    bias: bool\n", "    bias: bool\n    scale: float\n").replace(
            "keras.Model(inputs, logits)", "keras.Model(inputs, logits * net.scale)"
        )
    )
    text = (conf / "mnist_softmax.yaml").read_text().replace("mnist_softmax", "my_model")
    text = text.replace("arch: softmax", "arch: scaled").replace(
        "  bias: true", "  bias: true\n  scale: 0.5"
    )
    (conf / "my_model.yaml").write_text(text)
    clone.edit(
        "conf/config.yaml", "      - mnist_softmax\n", "      - mnist_softmax\n      - my_model\n"
    )
    clone.compose("profile=smoke")
    assert clone.repro() == {"train@my_model", "evaluate@my_model"}
    assert (
        json.loads((clone.path / "data/models/my_model/model.json").read_text())["settings"]["net"][
            "scale"
        ]
        == 0.5
    )


def test_experiments_run_from_the_command_line_and_the_queue_into_one_database(clone):
    target = "evaluate@mnist_softmax"
    rate, batch = "models.mnist_softmax.fit.learning_rate", "models.mnist_softmax.fit.batch_size"
    smoke = ["-S", "profile=smoke"]
    clone.run("dvc", "exp", "run", *smoke, "-S", f"{rate}=0.3", target)
    clone.git("checkout", "-q", ".")
    sweep = ["-S", f"{rate}=choice(0.1,0.2)", "-S", f"{batch}=choice(25,40)"]
    clone.run("dvc", "exp", "run", "--queue", *smoke, *sweep, target)
    clone.run("dvc", "queue", "start")
    clone.run(sys.executable, "-c", WAIT)
    runs = [run for run in clone.runs() if run["tags"].get("dvc_experiment")]
    found = {(run["params"]["fit.learning_rate"], run["params"]["fit.batch_size"]) for run in runs}
    queued = {(r, b) for r in ("0.1", "0.2") for b in ("25", "40")}
    assert found == {("0.3", "50")} | queued
    assert all("test_accuracy" in run["metrics"] for run in runs)
    assert len({run["tags"]["dvc_experiment"] for run in runs}) == len(runs) == 5


WAIT = """
import subprocess, sys, time
for _ in range(240):
    status = subprocess.run(["dvc", "queue", "status"], capture_output=True, text=True).stdout
    if "Queued" not in status and "Running" not in status:
        break
    time.sleep(0.5)
print(status)
sys.exit("Failed" in status)
"""
