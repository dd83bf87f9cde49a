"""Runs what changed, as `dvc repro` does, stages side by side.

Which stages there are, what each depends on and whether it has changed is for DVC to say. Each
that has is a `dvc repro --single-item` of its own, begun as soon as those it depends on are done.
What is left behind is what `dvc repro` leaves, to the byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from graphlib import TopologicalSorter
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from tqdm import tqdm

from modelmill.errors import ModelmillError
from modelmill.runtime import available_cores
from modelmill.schema import unknown

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

Plan: TypeAlias = "dict[Stage, list[Stage]]"  # what each awaits, in the order of `dvc repro`
DVC = (sys.executable, "-m", "dvc")
LOCK = Path("dvc.lock")


def number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is none of the numbers from 1 on")
    return int(text)


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument(
        "targets",
        nargs="*",
        metavar="STAGE",
        help="to bring up to date, with all that it depends on; all stages by default",
    )
    known.add_argument(
        "--jobs",
        type=number,
        metavar="N",
        help="stages at once; by default one for every two cores, and two at least",
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    jobs = arguments.jobs or max(2, available_cores() // 2)
    if jobs == 1:
        os.execv(sys.executable, [*DVC, "repro", *arguments.targets])

    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.exceptions import StageNotFound

    try:
        repo = Repo(_wait_for_lock=True)
        found = plan(repo, arguments.targets)
        before = _locked()
    except StageNotFound as error:
        model = error.name.partition("@")[2]
        if Path("conf/model", f"{model}.yaml").exists():
            raise ModelmillError(
                f"params.yaml has no {model}: a line under `model:` in conf/config.yaml lists it, "
                "and `modelmill compose` adds what is listed"
            ) from None
        names = [stage.addressing for stage in repo.index.stages]
        raise ModelmillError(unknown("dvc.yaml", error.name, names)) from None
    except DvcException as error:
        raise ModelmillError(" ".join(str(error).split())) from None
    pool = Pool(min(jobs, len(found)), repo, found)
    with _interruptible(pool):
        try:
            pool.run()
        finally:
            pool.stop()
            with repo.lock:
                _sort_lock([*before, *(stage.addressing for stage in found)])
    if pool.failed:
        left = [stage.addressing for stage in found if stage not in pool.done]
        others = [name for name in left if name not in pool.failed]
        waiting = f"; they were waited for in vain by {', '.join(others)}" if others else ""
        raise ModelmillError(f"{', '.join(pool.failed)} failed{waiting}")
    if not pool.begun:
        print("Data and pipelines are up to date.")


def plan(repo: "Repo", targets: list[str]) -> "Plan":
    """The stages that lead to the targets, or all of them."""
    from dvc.repo.reproduce import plan_repro

    graph = repo.index.graph
    asked = [stage for target in targets for stage in repo.stage.collect(target)]
    wanted = set(plan_repro(graph, asked)) if asked else set(graph)
    # Of a part of the graph DVC's order is another each time, of the whole it is not.
    stages = [stage for stage in plan_repro(graph, list(graph)) if stage in wanted]
    return {stage: list(graph.successors(stage)) for stage in stages}


class Pool:
    """Runs the stages that have changed, `jobs` at once, each after those it awaits.

    Attributes:
        begun: whether any stage had to run.
        done: stages that ended well, or had not changed.
        failed: the names of those that did not.
        stopping: whether no more stages begin.
    """

    def __init__(self, jobs: int, repo: "Repo", plan: "Plan") -> None:
        self.repo, self.plan = repo, plan
        self.begun = self.stopping = False
        self.done: set[Stage] = set()
        self.failed: list[str] = []
        self._numbers = count(1)  # of stages that are done, for any thread
        self._threads = ThreadPoolExecutor(jobs)
        self._places = list(range(jobs))
        self._processes: set[subprocess.Popen[str]] = set()

    def run(self) -> None:
        """Runs all; what awaits a stage that failed is left out."""
        from dvc.exceptions import DvcException

        order, waiting = list(self.plan), TopologicalSorter(self.plan)
        waiting.prepare()
        running: dict[Future[bool], Stage] = {}
        while True:
            while ready := waiting.get_ready():
                for stage in sorted(ready, key=order.index):
                    try:
                        changed = self._changed(stage)
                    except DvcException as error:
                        tqdm.write(f"{stage.addressing}: {' '.join(str(error).split())}")
                        self.failed.append(stage.addressing)
                        continue
                    if changed:
                        self.begun = True
                        running[self._threads.submit(self._reproduce, stage.addressing)] = stage
                    else:
                        next(self._numbers)
                        self.done.add(stage)
                        waiting.done(stage)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                if future.result():
                    self.done.add(stage)
                    waiting.done(stage)
                else:
                    self.failed.append(stage.addressing)

    def stop(self) -> None:
        """Interrupts what is running, as Ctrl-C would, and waits for its end."""
        self.stopping = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes:
            with self.repo.lock:  # so that none is just writing dvc.lock
                self.interrupt()
        self._threads.shutdown()

    def interrupt(self) -> None:
        for process in list(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)

    def _changed(self, stage: "Stage") -> bool:
        with self.repo.lock:
            return bool(stage.changed())

    def _reproduce(self, name: str) -> bool:
        """One stage, its last line shown where there is a terminal, else all of its lines."""
        if self.stopping:
            return False
        place, began = self._places.pop(), time.monotonic()
        lines: list[str] = []
        command = [*DVC, "--wait-for-lock", "repro", "--quiet", "--single-item", name]
        with (
            tqdm(disable=None, position=place, bar_format="{desc}", leave=False) as bar,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            assert process.stdout
            self._processes.add(process)
            if self.stopping:  # since before it could be told
                os.killpg(process.pid, signal.SIGINT)
            for line in filter(None, map(str.rstrip, process.stdout)):
                line = line.removeprefix(f"{name.partition('@')[2]}: ")
                lines.append(line)
                if bar.disable:
                    print(f"{name}: {line}", flush=True)
                else:
                    bar.set_description_str(f"{name}: {line}"[: bar.ncols or 80])
        self._processes.remove(process)
        self._places.append(place)
        for line in [] if bar.disable else lines[-10:]:
            if process.returncode or line.startswith("warning: "):
                tqdm.write(f"{name}: {line}")
        took = tqdm.format_interval(time.monotonic() - began)
        if process.returncode and self.stopping:
            tqdm.write(f"{name}: stopped after {took}")
        elif process.returncode:
            tqdm.write(f"{name}: failed, exit code {process.returncode} after {took}")
        else:
            tqdm.write(f"{name}: done after {took}, {next(self._numbers)} of {len(self.plan)}")
        return not process.returncode


@contextmanager
def _interruptible(pool: Pool) -> Iterator[None]:
    """SIGTERM is Ctrl-C as well; a second one is for the stages, which then end at once."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if pool.stopping:
            pool.interrupt()
            return
        pool.stopping = True
        raise KeyboardInterrupt("each stage goes on where it was in the next run")

    handlers = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _locked() -> list[str]:
    """The stages in dvc.lock."""
    from dvc.utils.serialize import load_yaml

    return list((load_yaml(LOCK) or {}).get("stages", {})) if LOCK.exists() else []


def _sort_lock(order: list[str]) -> None:
    """Brings dvc.lock into the order of `dvc repro`, which adds stages as they end."""
    from dvc.utils.serialize import modify_yaml

    locked = _locked()
    known = [name for name in dict.fromkeys(order) if name in locked]
    if locked == known:
        return
    with modify_yaml(LOCK) as content:
        stages: Any = content["stages"]
        for name in known:
            stages[name] = stages.pop(name)
