"""Shared by the tests: where the repository is, and TensorFlow started as the stages start it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = ("test_pipeline.py", "test_changes.py", "test_sweeps.py")


def pytest_collection_modifyitems(items):
    """Starts the longest files first, so that two workers end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow, deterministic, two shards side by side."""
    from modelmill import runtime

    runtime.start(seed=1, shards=2)
    import tensorflow as tf

    return tf
