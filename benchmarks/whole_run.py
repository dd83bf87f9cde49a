"""Where the time of a whole `make repro` goes, in a fresh clone with empty caches.

Data are fetched anew. Nothing else should run on the machine. Writes docs/results/times.json, which
keeps the last run of each profile, and the lines in docs/speed.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
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
TRAINING = (
    "from modelmill.tracking import store; c = store.connect(); print('SECONDS', sum("
    "r.data.metrics.get('train_seconds', 0) for e in c.search_experiments() "
    "for r in c.search_runs([e.experiment_id])))"
)


def by_kind(lines: Iterable[tuple[float, str]]) -> tuple[Counter[str], Counter[str]]:
    """Seconds and numbers of stages by kind, from what `dvc repro` prints and when.

    Args:
        lines: seconds since the beginning, and a line of output; the last one may be empty.
    """
    seconds: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    kind, since = BETWEEN, 0.0
    for now, line in lines:
        begun = re.match(r"Running stage '(\w+)", line)
        if begun or line.startswith("Updating lock file") or not line:
            seconds[kind] += now - since
            since, kind = now, begun[1] if begun else BETWEEN
            numbers[kind] += bool(begun)
    return seconds, numbers


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
    return "\n".join(lines)


def measured(profile: str, clone: Path) -> dict[str, Any]:
    """Clones this repository, runs the profile there, and reports where the time went."""
    os.environ |= {"PYTHONPATH": str(clone / "src"), "PYTHONUNBUFFERED": "1"}
    subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(clone)], check=True)
    Path(clone, "dvc.lock").unlink()
    compose = ["modelmill", "compose", f"profile={profile}"]
    subprocess.run(compose, cwd=clone, check=True)
    seconds, numbers = by_kind(follow(["dvc", "repro"], clone))
    ask = [sys.executable, "-c", TRAINING]
    printed = subprocess.run(ask, cwd=clone, capture_output=True, text=True, check=True).stdout
    return {
        "machine": machine(),
        "seconds": sum(seconds.values()),
        "training_seconds": float(printed.split("SECONDS")[1]),
        "stages": {
            kind: {"stages": numbers[kind], "seconds": each} for kind, each in seconds.most_common()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_run", description=__doc__)
    parser.add_argument("profile", choices=["quick", "full"])
    parser.add_argument("--into", type=Path, help="an empty folder for the clone, to keep it")
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        clone = arguments.into or Path(temporary, "modelmill")
        report = measured(arguments.profile, clone.absolute())
    reports = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    reports[arguments.profile] = report
    text = insert(PAGE.read_text(encoding="utf-8"), "times", markdown(reports))
    write_json(REPORT, reports)
    write_text(PAGE, text)
    print(markdown(reports))


if __name__ == "__main__":
    run(main)
