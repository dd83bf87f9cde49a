"""What is done with a trained model: one module per task.

Each has `Eval`, the typed keys of `eval` in a conf file, `METRICS`, what it measures beside the
task's own and which way is better, and ``evaluate(job, options)``, which returns the metrics over
the whole split, and what else there is to tell, and writes figures and texts.
TensorFlow is imported inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError

if TYPE_CHECKING:
    from modelmill.trained.artifacts import Card


@dataclass(frozen=True)
class Job:
    """A trained model, the data it belongs to, and where what is found out about it goes.

    Attributes:
        figures: a folder of pictures, and of a table that DVC draws: it refuses all else.
        texts: a folder for what is read.
    """

    folder: Path
    card: "Card"
    data: Processed
    figures: Path
    texts: Path

    @classmethod
    def of(cls, name: str, verify: bool = False) -> "Job":
        """The model `name` in data/models, and the data it was trained on.

        Args:
            verify: whether the data are read to see that they are what was prepared.

        Raises:
            ModelmillError: it has not been trained, or on data that has changed since.
        """
        from modelmill.datasets import processed
        from modelmill.trained import artifacts

        folder = Path("data/models", name)
        card = artifacts.read_card(folder)
        data = processed.load(Path("data/processed", card.settings["dataset"]), verify)
        if data.digest != card.data:
            raise ModelmillError(
                f"{name} was trained on other data than {data.folder} holds now: "
                f"run `dvc repro train@{name}`"
            )
        return cls(folder, card, data, Path("data/figures", name), Path("data/evaluations", name))

    def require_whole(self, split: str, metrics: Mapping[str, float]) -> None:
        """Raises ModelmillError unless `metrics` counts every example or token of the split."""
        start, stop = self.data.meta["splits"][split]
        seen = metrics["tokens" if "tokens" in self.data.arrays else "examples"]
        if seen != stop - start:
            raise ModelmillError(
                f"{self.name}: evaluated on {seen:,} of the {stop - start:,} in split '{split}': "
                "a figure over a part is none to compare"
            )

    @property
    def name(self) -> str:
        return self.card.settings["model"]
