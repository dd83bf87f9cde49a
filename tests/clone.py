"""Copies of the working tree as repositories of their own, to run the pipeline in."""

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parent.parent
ODD = "a b%20c?d#é'日"  # a folder's name that means something else in addresses and in shells
FILES = ("model.json", "history.csv", "model.weights.h5", "snapshots.npy")
# What the seed has: two models of different data, task and architecture.
DATASETS, MODELS = ("mnist", "shakespeare"), ("mnist_softmax", "char_rnn")
# Of pytest's own surroundings, what would lead a command out of its clone.
ELSEWHERE = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME")


def plant(path: Path) -> str:
    """Makes the seed, a clone in which everything has been run once; returns what that printed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock" and "data/metrics" not in name:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
    clone = Clone(path)
    clone.git("init", "-q", "-b", "main")
    clone.git("config", "user.name", "test")
    clone.git("config", "user.email", "test@example.invalid")
    clone.keep("dataset", DATASETS)
    clone.keep("model", MODELS)
    clone.compose("profile=smoke")
    clone.commit()
    printed = clone.run("dvc", "repro")
    clone.commit()
    return printed


def ran(printed: str) -> set[str]:
    """The stages that a `dvc repro` really ran."""
    return set(re.findall(r"Running stage '(.*?)'", printed))


class Clone:
    """A repository in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def copied(self, path: Path) -> "Clone":
        """A copy of the folder, but for MLflow's records: they name the place where they are."""
        left = shutil.ignore_patterns("mlflow.db*", "mlartifacts", "recordings")
        shutil.copytree(self.path, path, ignore=left, dirs_exist_ok=True)
        return type(self)(path)

    def cloned(self, path: Path) -> "Clone":
        """What `git clone` of this repository gives."""
        self.git("clone", "-q", ".", str(path))
        return type(self)(path)

    def run(self, *command: str, code: int = 0) -> str:
        """What the command printed; it must end with `code`."""
        with self.started(*command) as process:
            printed, _ = process.communicate()
        assert process.returncode == code, printed
        return printed

    def started(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """The command at work, in a process group of its own, with these variables as well."""
        environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
        environment |= {
            "PYTHONPATH": str(self.path / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "state")

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """This process, as if it had been started in the clone."""
        with contextlib.chdir(self.path), patch.dict(os.environ):
            for name in ELSEWHERE:
                os.environ.pop(name, None)
            yield

    def call(self, script: str, *arguments: str) -> None:
        """What `modelmill SCRIPT` does, in this process and with its code."""
        main = importlib.import_module(f"pipelines.{script}").main
        with self.here(), patch.object(sys, "argv", [script, *arguments]):
            main()

    def compose(self, *overrides: str) -> None:
        self.call("compose", *overrides)

    def keep(self, kind: str, names: Iterable[str]) -> None:
        """Lists only these of one kind, `dataset` or `model`, in conf/config.yaml."""
        config = self.path / "conf/config.yaml"
        listed = "".join(f"      - {name}\n" for name in names)
        text = config.read_text(encoding="utf-8")
        config.write_text(re.sub(rf"(- {kind}:\n)(      - .*\n)+", rf"\1{listed}", text))

    def repro(self, *arguments: str) -> set[str]:
        """Runs `dvc repro`; returns the stages that really ran, but for the first and last."""
        return ran(self.run("dvc", "repro", *arguments)) - {"params", "report"}

    def stale(self, *targets: str) -> set[str]:
        """The stages that are not as `dvc repro` left them, as `dvc status` says."""
        from dvc.repo import Repo

        with self.here(), Repo() as repo:
            return set(repo.status(list(targets)))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def digests(self, *folders: str) -> dict[str, str]:
        """What each file of these folders has in it, short enough to be shown where it differs.

        Files that are being written, and folders, have names that begin with a dot.
        """
        paths = [path for folder in folders for path in (self.path / folder).rglob("*")]
        names = {str(path.relative_to(self.path)): path for path in paths if path.is_file()}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            for name, path in sorted(names.items())
            if "/." not in name
        }

    def trained(self, model: str) -> dict[str, str]:
        """The digests of what a training leaves."""
        return self.digests(f"data/models/{model}")

    def runs(self) -> list[dict]:
        """Every MLflow run of the repository's database: tags, params and metrics."""
        from modelmill.tracking import store

        with self.here():
            client = store.connect()
            experiments = [found.experiment_id for found in client.search_experiments()]
            found = [run for number in experiments for run in client.search_runs([number])]
        keys = ("tags", "params", "metrics")
        return [
            {key: getattr(run.data, key) for key in keys} | {"status": run.info.status}
            for run in found
        ]
