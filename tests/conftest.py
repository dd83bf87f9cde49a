"""Shared by the tests: where the repository is, and TensorFlow started as the stages start it."""

from pathlib import Path

import psutil
import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
LONGEST = ("test_pipeline.py", "test_changes.py", "test_sweeps.py")

# Time for one example depends on who else is at work; what may not hang has a limit of its own.
settings.register_profile("suite", max_examples=200, deadline=None)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("suite")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="kill every stage 20 times")


def pytest_collection_modifyitems(items):
    """Starts the longest files first, so that two workers end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


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
