"""Shared by the tests: where the repository is, and TensorFlow started as the stages start it."""

from collections import Counter
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from modelmill.files import write_text
from modelmill.report.table import insert

ROOT = Path(__file__).parent.parent
# The longest files, so that two workers end together; and those that the first fills a cache for.
FIRST, LAST = ("test_pipeline.py", "test_sweeps.py"), ("test_changes.py", "test_remotes.py")

# Time for one example depends on who else is at work; what may not hang has a limit of its own.
settings.register_profile("suite", max_examples=200, deadline=None)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("suite")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes minutes")
    parser.addoption("--reliability", type=Path, help="a document to write the table of faults to")


def pytest_configure(config):
    if path := config.getoption("--reliability"):
        config.pluginmanager.register(Reliability(path))


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: (item.path.name in LAST) - (item.path.name in FIRST))
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
def dvc_cache(tmp_path_factory, worker_id):
    """DVC's cache for all workers: what a stage made in one clone is there for others."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "dvc_cache"


@pytest.fixture
def tries(request):
    """How often to do what a test does again and again."""
    count = 20 if request.config.getoption("--reliability") else 3
    request.node.user_properties.append(("tries", count))
    return count


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
