"""What is told of a training while it goes on, and what may then be asked of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from modelmill.training.settings import Fit

if TYPE_CHECKING:
    import numpy as np

Row = dict[str, float]


class Checkpoint(NamedTuple):
    """The state of a training: large `arrays`, and `progress`, which JSON can hold."""

    arrays: "dict[str, np.ndarray]"
    progress: dict[str, Any]


class Observed(Protocol):
    """A `modelmill.training.session.Training`, as far as it is for others to see."""

    name: str
    unit: str
    fit: Fit
    history: list[Row]
    number: int

    @property
    def phases(self) -> Sequence[object]: ...
    @property
    def last(self) -> bool: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def epochs(self) -> tuple[float, float]: ...
    @property
    def seen(self) -> int: ...
    def checkpoint(self) -> Checkpoint: ...


class Observer:
    """Progress, checkpoints, recordings: each is told what it cares for, and changes nothing."""

    def began(self, training: Observed) -> None:
        """It begins, or goes on from `training.step`, its history so far being there."""

    def called(self, training: Observed, metrics: Row) -> None:
        """A compiled call has ended, about one a second; `metrics` are those of its steps."""

    def lap(self, training: Observed, row: Row) -> None:
        """A lap has ended; its row is in the history."""

    def ended(self, training: Observed) -> None:
        """It has come to its end, and the model has the weights that are kept."""
