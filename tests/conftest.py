"""Shared by the tests: where the repository is, and TensorFlow started as the stages start it."""

import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, redirect_stderr, suppress
from functools import cache, partial
from pathlib import Path

import psutil
import pytest
import requests
from clone import ROOT, Clone, plant, ran
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from modelmill.files import write_text
from modelmill.report.table import insert

__all__ = ["ROOT"]
# While one worker makes the seed, the other is in the longest file that does without. The longest
# of those that copy it come next, so that short files are left to fill the end. Damage takes half
# an hour of `make reliability`.
FIRST = [
    f"test_{name}.py"
    for name in (
        *("all_models", "pipeline", "sweeps", "interruptions", "replicate", "checkpoints"),
        *("tracking", "experiments", "repro", "changes", "damage"),
    )
]

PATIENCE = 600  # seconds with what should be so and never is

# Else a tenth of the time is the collector's, which goes through all that TensorFlow, MLflow and
# Ray consist of, again and again.
gc.set_threshold(100_000, 50, 100)

# The suite tries the same examples each time. What one takes depends on who else is at work.
settings.register_profile("suite", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("suite")


def photograph(tab, path):
    """Saves what a browser's tab shows, in few colours, for the documentation."""
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    picture.quantize(128).save(path, optimize=True)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes minutes")
    parser.addoption("--reliability", type=Path, help="a document to write the table of faults to")
    parser.addoption("--screenshots", type=Path, help="a folder for pictures of its pages")


def pytest_configure(config):
    if path := config.getoption("--reliability"):
        config.pluginmanager.register(Reliability(path))


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: [*FIRST, item.path.name].index(item.path.name))
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip("takes minutes: --long"))
        if fault := item.get_closest_marker("fault"):
            item.user_properties.append(("fault", fault.args))
            if hasattr(item.obj, "hypothesis"):
                item.user_properties.append(("tries", settings().max_examples))


class Reliability:
    """Collects how often the tests marked with a fault survived it."""

    def __init__(self, path):
        self.path, self.survived, self.tried = path, Counter(), Counter()

    def pytest_runtest_logreport(self, report):
        properties = dict(report.user_properties)
        if report.when == "call" and "fault" in properties:
            row = (*properties["fault"], report.location[0], report.location[2].split("[")[0])
            self.tried[row] += properties.get("tries", 1)
            self.survived[row] += properties.get("tries", 1) * report.passed

    def pytest_sessionfinish(self, session):
        if hasattr(session.config, "workerinput"):
            return
        lines = ["| fault | promise | test | survived |", "| --- | --- | --- | --- |"]
        for row in sorted(self.tried):
            fault, promise, file, test = row
            count = f"{self.survived[row]:,} of {self.tried[row]:,}"
            lines.append(f"| {fault} | {promise} | `{file}`: `{test}` | {count} |")
        document = self.path.read_text(encoding="utf-8")
        write_text(self.path, insert(document, "faults", "\n".join(lines)))


@pytest.fixture(scope="session")
def seed(tmp_path_factory, worker_id):
    """A clone in which everything has been run once, for all workers: to be read and copied."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    clone, printed = Clone(base / "seed"), base / "seed.printed"
    with FileLock(base / "seed.lock"):
        if not printed.exists():
            shutil.rmtree(clone.path, ignore_errors=True)
            write_text(printed, plant(clone.path))
    clone.ran = ran(printed.read_text(encoding="utf-8"))
    return clone


@pytest.fixture
def tries(request):
    """How often to do what a test does again and again."""
    count = 34 if request.config.getoption("--reliability") else 3
    request.node.user_properties.append(("tries", count))
    return count


def until(condition, process=None):
    """Waits for something to be so, which the process, if it is one's doing, does not outlive."""
    given_up = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < given_up, f"{condition} in {PATIENCE} s"
        time.sleep(0.05)


@contextmanager
def serving(command, ping, **options):
    """A server and its port, once it answers; `command` makes its command line from a port.

    A port that was free may have been taken when the server comes to it: then it ends, and another
    is tried.
    """
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    printed = "address already in use"
    while "address already in use" in printed.lower():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(command(port), start_new_session=True, **options)
        try:
            until(partial(ended_or_answers, server, f"http://127.0.0.1:{port}{ping}"))
            if server.poll() is None:
                yield server, port
                return
            printed = server.stdout.read()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    raise AssertionError(printed)


def ended_or_answers(server, url):
    try:
        return server.poll() is not None or requests.get(url).ok
    except requests.ConnectionError:
        return False


def listening(server):
    """The addresses that a process and its children listen on."""
    started = psutil.Process(server.pid)
    processes = [started, *started.children(recursive=True)]
    found = [c for process in processes for c in process.net_connections("inet")]
    return {connection.laddr.ip for connection in found if connection.status == "LISTEN"}


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow, deterministic, two shards side by side."""
    from modelmill import runtime

    runtime.start(seed=1, shards=2)
    import tensorflow as tf

    return tf


@pytest.fixture
def recorded_here(monkeypatch):
    """A stage called in this process is recorded by this process too, when it ends.

    Calling the fixture records what a `Recorder` has been told until then.
    """
    from modelmill.tracking import recorder, recording, store

    @cache
    def carried(path):
        return recording.Recording(path)

    def advance(stage):
        with redirect_stderr(io.StringIO()):  # where the recording process has none either
            return carried(stage._path).advance()

    monkeypatch.setattr(recorder.Recorder, "_ensure_recording", lambda _: None)
    monkeypatch.setattr(recorder.Recorder, "_answer", advance)
    monkeypatch.setattr(recording, "_client", store.connect)
    return advance


@pytest.fixture
def in_process(tensorflow, recorded_here, monkeypatch):
    """Stages may be called in this process, one after another, as if each had just started."""
    import keras

    def start(seed, *_, **__):
        keras.utils.set_random_seed(seed)

    monkeypatch.setattr("modelmill.runtime.start", start)
