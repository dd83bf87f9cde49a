"""Cutting one long sequence of ids into parallel streams, read window by window.

Stream b of a batch goes on in the next window where it stopped in this one, so that a recurrent
state can be carried across windows.
"""

from dataclasses import dataclass

import numpy as np

from modelmill.errors import ModelmillError


@dataclass(frozen=True)
class Streams:
    """`batch_size` contiguous streams over `ids`, read `num_steps` at a time.

    Attributes:
        ids: integers [n]; a memory-mapped array is read only where it is asked for.
        wrap: whether the last target of the last stream is the first id. Without it a target
            is always the id that really follows, at the cost of up to one window.

    Raises:
        ModelmillError: sizes below 1, or too few ids for one window of every stream.
    """

    ids: np.ndarray
    batch_size: int
    num_steps: int
    wrap: bool = False

    def __post_init__(self) -> None:
        if min(self.batch_size, self.num_steps) < 1:
            raise ModelmillError(
                f"batches of {self.batch_size} x {self.num_steps} steps: both must be at least 1"
            )
        if self.windows < 1:
            needed = self.batch_size * (self.num_steps + (not self.wrap))
            raise ModelmillError(
                f"{len(self.ids):,} ids are too few for batches of {self.batch_size} x "
                f"{self.num_steps} steps, which need at least {needed:,}: "
                "make batch_size or num_steps smaller"
            )

    @property
    def length(self) -> int:
        """Ids in one stream."""
        if self.wrap:
            return len(self.ids) // (self.batch_size * self.num_steps) * self.num_steps
        return len(self.ids) // self.batch_size

    @property
    def windows(self) -> int:
        """Windows in one pass over the ids."""
        return (self.length - (not self.wrap)) // self.num_steps

    def block(self, first: int, count: int = 1) -> np.ndarray:
        """Windows `first` to `first + count` and the id after them: [batch, count * steps + 1]."""
        start, stop = first * self.num_steps, (first + count) * self.num_steps
        rows = self.ids[: self.batch_size * self.length].reshape(self.batch_size, self.length)
        if stop < self.length:
            return np.asarray(rows[:, start : stop + 1])
        following = np.roll(rows[:, 0], -1)[:, None]
        return np.concatenate([rows[:, start:], following], axis=1)
