"""No training: a large matrix product, all cores, which tells what the machine can do at best."""

from typing import Any

import numpy as np
from protocol import Train, serve

SIZE = 2048


def prepare(workload: dict[str, Any]) -> Train:
    a, b, product = np.random.default_rng(0).random((3, SIZE, SIZE), np.float32)

    def train(steps: int) -> None:
        for _ in range(steps):
            np.matmul(a, b, out=product)

    return train


if __name__ == "__main__":
    serve(prepare)
