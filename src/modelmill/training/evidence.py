"""What is known of ratings before one is predicted: those of the training split, and no others."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.training.batches import Change, Examples
from modelmill.training.task import Tensors


def evidence(data: Processed) -> np.ndarray:
    """The stars that users gave to items, 0 where unknown, uint8 [users, items]."""
    known, train = np.zeros((data.meta["users"], data.meta["items"]), np.uint8), data.split("train")
    known[train["user"], train["item"]] = train["rating"]
    return known


def by_row(known: np.ndarray) -> dict[str, np.ndarray]:
    """`evidence` as tables [rows, units], by the names of the inputs that rows are for."""
    return {"user_stars": known, "item_stars": np.ascontiguousarray(known.T)}


def with_evidence(known: np.ndarray) -> Change:
    """Returns what adds to a batch of users and items the stars that are known of each of them.

    Args:
        known: as `evidence` has it.
    """
    tables = {name: tf.constant(table) for name, table in by_row(known).items()}

    def change(batch: Tensors, seed: tf.Tensor) -> Tensors:
        rows = {"user_stars": batch["user"], "item_stars": batch["item"]}
        found = {name: tf.gather(tables[name], places) for name, places in rows.items()}
        return batch | {name: tf.cast(stars, tf.int32) for name, stars in found.items()}

    return change


class Rows:
    """Batches of the rows of one table, or of two side by side, and the `epoch` they belong to.

    Rows in which nothing is known are left out. The first table is cut into batches of that size,
    and the second into as many batches, or fewer if it has fewer rows: then an epoch has these.

    Raises:
        ModelmillError: there are two, whose left-over rows would be the same ones each epoch.
    """

    signature = Examples.signature

    def __init__(
        self, tables: Mapping[str, np.ndarray], batch_size: int, seed: int, shuffle: bool
    ) -> None:
        if len(tables) > 1 and not shuffle:
            raise ModelmillError("fit.shuffle: rows of two kinds, side by side, are to be shuffled")
        self.parts: list[Examples] = []
        for name, table in tables.items():
            rows = table[table.any(axis=1)]
            size = max(1, len(rows) // self.parts[0].steps) if self.parts else batch_size
            self.parts.append(Examples({name: rows}, {}, size, seed, shuffle, keep_rest=False))
        self.batch_size, self.steps = batch_size, min(part.steps for part in self.parts)

    def load(self, epoch: int, first: int, count: int) -> tf.Tensor:
        return self.parts[0].load(epoch, first, count)

    def batch(self, loaded: tf.Tensor, index: tf.Tensor) -> Tensors:
        batch = {"epoch": tf.fill([self.batch_size], tf.cast(loaded[0], tf.int32))}
        for part in self.parts:
            batch |= part.batch(loaded, index)
        return batch
