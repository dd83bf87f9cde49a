"""Ray's workers: on this machine, or on the cluster of RAY_ADDRESS."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayTaskError

from modelmill.errors import in_one_line

RETRIES = 2  # of what a worker or node that died was at work on
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no reports to its makers


@contextmanager
def workers() -> Iterator[None]:
    """Within it, Ray has workers to give work to."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            ray.init("local", include_dashboard=False, **quiet)
        yield
    finally:
        ray.shutdown()


def told(error: Exception) -> str:
    """What happened in a worker, in one line; Ray hands it over within an error of its own."""
    return in_one_line(error.cause if isinstance(error, RayTaskError) else error)
