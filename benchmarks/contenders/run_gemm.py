"""No training: a large matrix product, all cores, which tells what the machine can do at best."""

from typing import Any

import tensorflow as tf
from protocol import Train, serve

SIZE = 2048


def prepare(workload: dict[str, Any]) -> Train:
    a, b = (tf.random.stateless_normal([SIZE, SIZE], [seed, 0]) for seed in range(2))

    @tf.function
    def products(count: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([SIZE, SIZE])
        for _ in tf.range(count):
            total = tf.matmul(a, b + total[0, 0])
        return total[0, 0]

    def train(steps: int) -> None:
        products(tf.constant(steps)).numpy()

    return train


if __name__ == "__main__":
    serve(prepare)
