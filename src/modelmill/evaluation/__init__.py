"""What is done with a trained model: one module per task.

Each has `Eval`, the typed keys of `eval` in a conf file, and ``evaluate(job, options)``, which
returns the metrics over the whole split and writes figures. TensorFlow is imported inside.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelmill.datasets.processed import Processed

if TYPE_CHECKING:
    from modelmill.artifacts import Card


@dataclass(frozen=True)
class Job:
    """A trained model, the data it belongs to, and a folder for its figures."""

    folder: Path
    card: "Card"
    data: Processed
    figures: Path

    @property
    def name(self) -> str:
        return self.card.settings["model"]
