"""How many steps go into a compiled call."""

import math
import time
from collections.abc import Iterator

CALL_SECONDS = 0.7


class Pace:
    """Divides steps into calls that each take about `CALL_SECONDS`."""

    def __init__(self) -> None:
        self.count = 1

    def calls(self, total: int) -> Iterator[tuple[int, int]]:
        """Yields first step and number of steps; the caller's time between is what it measures."""
        first = 0
        while first < total:
            count = min(self.count, total - first)
            began = time.perf_counter()
            yield first, count
            first += count
            growth = min(CALL_SECONDS / max(time.perf_counter() - began, 1e-9), 8.0)
            if count == self.count:
                self.count = max(1, math.floor(count * growth))
