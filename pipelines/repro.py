"""Runs what changed, as `dvc repro` does, stages side by side.

Which stages there are, what each depends on and whether it has to run is for DVC to say: each one
is a `dvc repro --single-item` of its own, begun as soon as those it depends on are done. What is
left behind is what `dvc repro` leaves, to the byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from modelmill.errors import ModelmillError
from modelmill.runtime import available_cores

DVC = (sys.executable, "-m", "dvc")
LOCK = Path("dvc.lock")


def number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is none of the numbers from 1 on")
    return int(text)


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("targets", nargs="*", metavar="STAGE", help="and what it depends on: or all")
    known.add_argument(
        "--jobs", type=number, metavar="N", help="stages at once; by default one for two cores"
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    jobs = arguments.jobs or max(1, available_cores() // 2)
    if jobs == 1:
        os.execv(sys.executable, [*DVC, "repro", *arguments.targets])
    before = _locked()
    order, needed = _plan(arguments.targets)
    if not needed:
        print("Data and pipelines are up to date.")
        return
    pool = Pool(jobs, order, needed)
    try:
        with _interruptible():
            pool.run()
    finally:
        pool.stop()
        _sort_lock([*before, *order])
    if pool.failed:
        left = [name for name in order if name in needed and name not in pool.done]
        others = [name for name in left if name not in pool.failed]
        waiting = f"; they were waited for in vain by {', '.join(others)}" if others else ""
        raise ModelmillError(f"{', '.join(pool.failed)} failed{waiting}")


def _plan(targets: list[str]) -> tuple[list[str], dict[str, set[str]]]:
    """All stages in the order of `dvc repro`; those that may have to run, and which they await."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    try:
        with Repo() as repo:
            graph = repo.index.graph
            asked = [stage for target in targets for stage in repo.stage.collect(target)]
            wanted = set(plan_repro(graph, asked)) if asked else set(graph)
            # Of a part of the graph DVC's order is another each time, of the whole it is not.
            stages = [stage for stage in plan_repro(graph, list(graph)) if stage in wanted]
            changed = repo.status(targets, with_deps=bool(targets))
    except DvcException as error:
        raise ModelmillError(" ".join(str(error).split())) from None
    needed: dict[str, set[str]] = {}
    for stage in stages:
        awaited = {before.addressing for before in graph.successors(stage)} & needed.keys()
        if awaited or stage.addressing in changed:
            needed[stage.addressing] = awaited
    return [stage.addressing for stage in stages], needed


class Pool:
    """Runs stages, `jobs` at once, each after those it awaits.

    Attributes:
        done, failed: stages that ended well, and those that did not.
    """

    def __init__(self, jobs: int, order: list[str], needed: Mapping[str, set[str]]) -> None:
        self.order, self.needed = order, needed
        self.done: list[str] = []
        self.failed: list[str] = []
        self._threads = ThreadPoolExecutor(jobs)
        self._places = list(range(jobs))
        self._processes: set[subprocess.Popen[str]] = set()

    def run(self) -> None:
        """Runs all; what awaits a stage that failed is left out."""
        waiting = TopologicalSorter(self.needed)
        waiting.prepare()
        running: dict[Future[bool], str] = {}
        while True:
            for name in sorted(waiting.get_ready(), key=self.order.index):
                running[self._threads.submit(self._reproduce, name)] = name
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                if future.result():
                    self.done.append(name)
                    waiting.done(name)
                else:
                    self.failed.append(name)

    def stop(self) -> None:
        """Interrupts what is running, as Ctrl-C would, and waits for its end."""
        from dvc.repo import Repo

        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes:
            with Repo(_wait_for_lock=True) as repo, repo.lock:  # so that none writes dvc.lock
                for process in list(self._processes):
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGINT)
        self._threads.shutdown()

    def _reproduce(self, name: str) -> bool:
        """One stage, its last line shown where there is a terminal, else all of its lines."""
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
            for line in map(str.rstrip, process.stdout):
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
        ended = f"failed, exit code {process.returncode}" if process.returncode else "done"
        tqdm.write(f"{name}: {ended} after {tqdm.format_interval(time.monotonic() - began)}")
        return not process.returncode


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM is Ctrl-C as well."""

    def interrupt(number: int, frame: FrameType | None) -> None:
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

    return list(load_yaml(LOCK)["stages"]) if LOCK.exists() else []


def _sort_lock(order: list[str]) -> None:
    """Brings dvc.lock into the order of `dvc repro`, which adds stages as they end."""
    from dvc.utils.serialize import modify_yaml

    if _locked() == (known := [name for name in dict.fromkeys(order) if name in _locked()]):
        return
    with modify_yaml(LOCK) as content:
        stages: Any = content["stages"]
        for name in known:
            stages[name] = stages.pop(name)
