"""What the pipeline costs outside its computing: whole stages, and a repro with nothing to do.

Run it in a repository whose `dvc status` is clean. Stages of the smallest model are held against a
bare `import tensorflow`, the no-op `dvc repro` against one of as many stages of the command `true`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from modelmill.errors import ModelmillError
from pipelines import run

MODEL = "line_sgd"
STAGE = "a bare import of tensorflow"
NOTHING = "repro of as many `true`"


def seconds(command: list[str], folder: Path) -> float:
    """How long `command` takes in `folder`.

    Raises:
        ModelmillError: it failed.
    """
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelmillError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def write_pipeline(folder: Path, stages: int) -> None:
    """A DVC repository in `folder` whose stages depend on a file each and run `true`."""
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)
    for number in range(stages):
        Path(folder, f"{number}.txt").write_text(str(number))
    each = "".join(
        f"  stage{number}:\n    cmd: 'true'\n    deps:\n      - {number}.txt\n"
        for number in range(stages)
    )
    Path(folder, "dvc.yaml").write_text(f"stages:\n{each}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overheads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    rounds = parser.parse_args().rounds
    here = Path.cwd()
    os.environ |= {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": f"{here}{os.pathsep}{here / 'src'}"}
    python = sys.executable
    listed = subprocess.run(["dvc", "stage", "list", "--name-only"], capture_output=True, text=True)
    stages = len(listed.stdout.split())
    with TemporaryDirectory() as name:
        other = Path(name)
        write_pipeline(other, stages)
        seconds(["dvc", "repro"], other)
        commands = {
            STAGE: ([python, "-c", "import tensorflow"], here),
            f"train {MODEL}": (["modelmill", "train", MODEL], here),
            f"evaluate {MODEL}": (["modelmill", "evaluate", MODEL], here),
            NOTHING: (["dvc", "repro"], other),
            f"repro of {stages} stages up to date": (["dvc", "repro"], here),
        }
        found: dict[str, list[float]] = {what: [] for what in commands}
        for _ in tqdm(range(rounds), unit=" rounds"):
            for what, (command, folder) in commands.items():
                found[what].append(seconds(command, folder))
    medians = {what: statistics.median(times) for what, times in found.items()}
    print(f"{'':40} {'median':>8} {'range':>15}  ratio")
    for what, times in found.items():
        base = NOTHING if "repro" in what else STAGE
        print(
            f"{what:40} {medians[what]:7.2f}s {min(times):6.2f}–{max(times):.2f}s "
            f"{medians[what] / medians[base]:7.2f}"
        )


if __name__ == "__main__":
    run(main)
