"""When a training has become as good as it will."""

import math
from collections.abc import Mapping

from modelmill.reference import Better
from modelmill.training.observer import Row
from modelmill.training.settings import Stop


class Patience:
    """Follows a metric, and is exhausted when it no longer becomes better.

    Args:
        metrics: which way each is better.
    """

    def __init__(self, stop: Stop | None, metrics: Mapping[str, Better]) -> None:
        self.stop, self.best, self.laps = stop, math.inf, 0
        self.sign = 1 if stop is None else sign(stop.metric, metrics)

    def watch(self, row: Row) -> None:
        if self.stop:
            value = self.sign * row[self.stop.metric]
            if value < self.best and self.best - value >= self.stop.min_change:
                self.best, self.laps = value, 0
            else:
                self.laps += 1

    @property
    def exhausted(self) -> bool:
        return self.stop is not None and self.laps >= self.stop.patience


def sign(column: str, metrics: Mapping[str, Better]) -> int:
    """What makes lower values of a column of the history better: 1, or -1 if higher ones are."""
    return 1 if metrics[column.removeprefix("validation_")] == "lower" else -1
