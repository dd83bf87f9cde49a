"""A copy of the working tree as a repository of its own, to run the pipeline in."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from conftest import ROOT

from modelmill.trained import artifacts

ODD = "a b%20c?d#é'日"  # a folder's name that means something else in addresses and in shells
FILES = [artifacts.CARD, artifacts.HISTORY, artifacts.WEIGHTS, artifacts.SNAPSHOTS]


class Clone:
    """A copy of the working tree as a repository of its own."""

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        """A new one at `path`, with that folder for DVC's cache if it is to be shared."""
        self.path = path
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, names.stdout.split("\0")):
            if (ROOT / name).is_file() and name != "dvc.lock" and "data/metrics" not in name:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name)
        if cache:
            (path / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n")
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.invalid")
        self.compose("profile=smoke")
        self.commit()

    def cloned(self, path: Path) -> "Clone":
        """What `git clone` of this repository gives."""
        self.git("clone", "-q", ".", str(path))
        clone = Clone.__new__(Clone)
        clone.path = path
        return clone

    def run(self, *command: str, code: int = 0) -> str:
        """What the command printed; it must end with `code`."""
        with self.started(*command) as process:
            printed, _ = process.communicate()
        assert process.returncode == code, printed
        return printed

    def started(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """The command at work, in a process group of its own, with these variables as well."""
        environment = os.environ | {
            "PYTHONPATH": str(self.path / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
            environment.pop(name, None)
        environment |= variables
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=environment,
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

    def compose(self, *overrides: str) -> None:
        self.run(sys.executable, "-m", "pipelines.compose", *overrides)

    def keep(self, kind: str, names: Iterable[str]) -> None:
        """Lists only these of one kind, `dataset` or `model`, in conf/config.yaml."""
        config = self.path / "conf/config.yaml"
        listed = "".join(f"      - {name}\n" for name in names)
        text = config.read_text(encoding="utf-8")
        config.write_text(re.sub(rf"(- {kind}:\n)(      - .*\n)+", rf"\1{listed}", text))
        self.compose("profile=smoke")
        self.commit()

    def repro(self, *arguments: str) -> set[str]:
        """Runs `dvc repro`; returns the stages that really ran, but for the first and last."""
        printed = self.run("dvc", "repro", *arguments)
        return set(re.findall(r"Running stage '(.*?)'", printed)) - {"params", "report"}

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
            "import json; from modelmill.tracking import runs; c = runs.connect(); "
            "print('RUNS' + json.dumps([{'tags': r.data.tags, 'params': r.data.params,"
            " 'metrics': r.data.metrics, 'status': r.info.status}"
            " for e in c.search_experiments() for r in c.search_runs([e.experiment_id])]))"
        )
        return json.loads(self.run(sys.executable, "-c", script).rpartition("RUNS")[2])
