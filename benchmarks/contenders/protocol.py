"""What every contender speaks: a workload in, then numbers of steps in and seconds out.

Only numpy is needed, so that a contender may live in an environment of its own.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Train = Callable[[int], int | None]


def told() -> dict[str, Any]:
    """The workload, as `workload` in ../training.py describes it."""
    return json.loads(sys.argv[1])


def serve(prepare: Callable[[dict[str, Any]], Train]) -> None:
    """Trains as many steps as each line of standard input says, and prints steps and seconds.

    The first line printed says that it is prepared, and has trained already.

    Args:
        prepare: builds the model of a workload and returns what trains it for some steps, and
            returns how many if it cannot stop after exactly so many.
    """
    began = time.perf_counter()
    train = prepare(told())
    train(1)
    print(1, time.perf_counter() - began, flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        steps = train(int(line)) or int(line)
        print(steps, time.perf_counter() - began, flush=True)


def split(workload: dict[str, Any], name: str) -> np.ndarray:
    """The training rows of an array of the workload's data set."""
    start, stop = workload["rows"]
    return np.load(Path(workload["data"], f"{name}.npy"), mmap_mode="r")[start:stop]


def images(workload: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Digits in [0, 1], float32 [n, 28, 28], and their labels, int64 [n]."""
    x = split(workload, "x").astype(np.float32) / 255
    return x, split(workload, "y").astype(np.int64)


def vectors(workload: dict[str, Any]) -> np.ndarray:
    """Digits of ones and zeros, float32 [n, 784]."""
    x = split(workload, "x")
    return x.reshape(len(x), -1).astype(np.float32)


def windows(workload: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and the tokens after them, int32 [windows, batch, steps], streams in parallel."""
    fit, tokens = workload["model"]["fit"], split(workload, "tokens").astype(np.int32)
    length = (len(tokens) - 1) // fit["batch_size"]
    count = length // fit["num_steps"]

    def cut(ids: np.ndarray) -> np.ndarray:
        streams = ids[: fit["batch_size"] * length].reshape(fit["batch_size"], length)
        streams = streams[:, : count * fit["num_steps"]]
        return streams.reshape(fit["batch_size"], count, fit["num_steps"]).swapaxes(0, 1)

    return np.ascontiguousarray(cut(tokens[:-1])), np.ascontiguousarray(cut(tokens[1:]))
