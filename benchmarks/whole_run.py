"""Where the time of a whole `make repro` goes, in a fresh clone with empty caches.

Data are fetched anew. Nothing else should run on the machine. Writes docs/results/times.json, which
keeps the last run of each profile, and the lines in docs/speed.md. What stages side by side would
gain on more cores is computed from the times of one after another; --jobs measures it here.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelmill.errors import ModelmillError
from modelmill.files import write_json, write_text
from modelmill.reference import duration
from modelmill.report.table import insert, machine
from pipelines import run

REPORT, PAGE = Path("docs/results/times.json"), Path("docs/speed.md")
BETWEEN = "between stages"
JOBS = (2, 4, 8)
TRAINING = (
    "from modelmill.tracking import store; c = store.connect(); print('SECONDS', sum("
    "r.data.metrics.get('train_seconds', 0) for e in c.search_experiments() "
    "for r in c.search_runs([e.experiment_id])))"
)


def by_stage(lines: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Seconds of each stage, and `BETWEEN` them, from what `dvc repro` prints and when.

    Args:
        lines: seconds since the beginning, and a line of output; the last one may be empty.
    """
    seconds: dict[str, float] = {BETWEEN: 0.0}
    stage, since = BETWEEN, 0.0
    for now, line in lines:
        begun = re.match(r"Running stage '(.+)'", line)
        if begun or line.startswith("Updating lock file") or not line:
            seconds[stage] = seconds.get(stage, 0.0) + now - since
            since, stage = now, begun[1] if begun else BETWEEN
    return seconds


def by_kind(seconds: Mapping[str, float]) -> tuple[Counter[str], Counter[str]]:
    """Seconds and numbers of stages by kind, from those of each stage."""
    kinds: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for stage, each in seconds.items():
        kind = stage.partition("@")[0]
        kinds[kind] += each
        numbers[kind] += stage != BETWEEN
    return kinds, numbers


def side_by_side(
    awaited: Mapping[str, Sequence[str]], seconds: Mapping[str, float], jobs: int
) -> float:
    """The seconds of all stages where `jobs` at once take what may begin, each as long as alone.

    Args:
        awaited: the stages that each depends on, in the order in which they are taken.
    """
    order, waiting = list(awaited), TopologicalSorter(awaited)
    waiting.prepare()
    ready: list[str] = []
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting.is_active():
        ready = sorted([*ready, *waiting.get_ready()], key=order.index)
        while ready and len(running) < jobs:
            heappush(running, (now + seconds.get(ready[0], 0.0), ready.pop(0)))
        now, stage = heappop(running)
        waiting.done(stage)
    return now


def follow(command: list[str], folder: Path) -> Iterable[tuple[float, str]]:
    """Shows what a command prints, and yields it with the times, and an empty line at its end.

    Raises:
        ModelmillError: the command failed.
    """
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            yield time.monotonic() - began, line
    if process.returncode:
        raise ModelmillError(f"{' '.join(command)} failed")
    yield time.monotonic() - began, ""


def markdown(reports: Mapping[str, Any]) -> str:
    """A line for each profile."""
    lines = []
    for profile, report in reports.items():
        parts = [
            f"{duration(each['seconds'])} {kind}"
            + (f" ({each['stages']})" if each["stages"] else "")
            for kind, each in report["stages"].items()
        ]
        lines.append(
            f"- `{profile}`, {report['machine']}: **{duration(report['seconds'])}**, of it "
            f"{', '.join(parts)}; {duration(report['training_seconds'])} in training loops."
        )
        if "computed" in report:
            each = [f"{duration(time)} by {n}" for n, time in report["computed"].items()]
            lines.append(
                f"  - Stages side by side, with as many cores for each as here, computed from "
                f"these times: {', '.join(each)} at once."
            )
        lines += [
            f"  - By `make repro JOBS={n}`, on {found['machine']}: "
            f"**{duration(found['seconds'])}**, measured."
            for n, found in report.get("measured", {}).items()
        ]
    return "\n".join(lines)


def fresh(profile: str, clone: Path) -> None:
    """Clones this repository, with the settings of a profile."""
    os.environ |= {"PYTHONPATH": str(clone / "src"), "PYTHONUNBUFFERED": "1"}
    subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(clone)], check=True)
    Path(clone, "dvc.lock").unlink()
    subprocess.run(["modelmill", "compose", f"profile={profile}"], cwd=clone, check=True)


def one_by_one(clone: Path) -> dict[str, Any]:
    """Runs all in a clone, and reports where the time went."""
    from dvc.repo import Repo

    from pipelines.repro import plan

    seconds = by_stage(follow(["dvc", "repro"], clone))
    ask = [sys.executable, "-c", TRAINING]
    printed = subprocess.run(ask, cwd=clone, capture_output=True, text=True, check=True).stdout
    with chdir(clone), Repo() as repo:
        awaited = {
            stage.addressing: [other.addressing for other in others]
            for stage, others in plan(repo, []).items()
        }
    kinds, numbers = by_kind(seconds)
    return {
        "machine": machine(),
        "seconds": sum(seconds.values()),
        "training_seconds": float(printed.split("SECONDS")[1]),
        "stages": {
            kind: {"stages": numbers[kind], "seconds": each} for kind, each in kinds.most_common()
        },
        "computed": {str(jobs): side_by_side(awaited, seconds, jobs) for jobs in JOBS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_run", description=__doc__)
    parser.add_argument("profile", choices=["quick", "full"])
    parser.add_argument("--into", type=Path, help="an empty folder for the clone, to keep it")
    parser.add_argument("--jobs", type=int, default=1, help="stages at once")
    arguments = parser.parse_args()
    reports = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    report = reports.setdefault(arguments.profile, {})
    with TemporaryDirectory() as temporary:
        clone = (arguments.into or Path(temporary, "modelmill")).absolute()
        fresh(arguments.profile, clone)
        if arguments.jobs == 1:
            report |= one_by_one(clone)
        else:
            *_, (seconds, _) = follow(["modelmill", "repro", "--jobs", str(arguments.jobs)], clone)
            found = {"machine": machine(), "seconds": seconds}
            report.setdefault("measured", {})[str(arguments.jobs)] = found
    text = insert(PAGE.read_text(encoding="utf-8"), "times", markdown(reports))
    write_json(REPORT, reports)
    write_text(PAGE, text)
    print(markdown(reports))


if __name__ == "__main__":
    run(main)
