"""What is told of a training while it goes on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelmill.training.session import Training

Row = dict[str, float]


class Observer:
    """Progress, checkpoints, recordings: each is told what it cares for, and changes nothing."""

    def began(self, training: "Training") -> None:
        """It begins, or goes on from `training.step`, its history so far being there."""

    def called(self, training: "Training", metrics: Row) -> None:
        """A compiled call has ended, about one a second; `metrics` are those of its steps."""

    def lap(self, training: "Training", row: Row) -> None:
        """A lap has ended; its row is in the history."""

    def ended(self, training: "Training") -> None:
        """It has come to its end, and the model has the weights that are kept."""
