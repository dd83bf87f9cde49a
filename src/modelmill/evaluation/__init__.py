"""What is done with a trained model: one module per task.

Each has `Eval`, the typed keys of `eval` in a conf file, `METRICS`, what it measures beside the
task's own and which way is better, and ``evaluate(job, options)``, which returns the metrics over
the whole split, and what else there is to tell, and writes figures.
TensorFlow is imported inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import replacing_folder
from modelmill.parts import part

if TYPE_CHECKING:
    from modelmill.trained.artifacts import Card


@dataclass(frozen=True)
class Job:
    """A trained model, the data it belongs to, and a folder for its figures."""

    folder: Path
    card: "Card"
    data: Processed
    figures: Path

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
        return cls(folder, card, data, Path("data/figures", name))

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


def evaluate(job: Job, options: Any) -> dict[str, float]:
    """What stage evaluate measures; the figures become the job's folder as a whole.

    Args:
        options: the model's `eval`.

    Raises:
        ModelmillError: an example or token of the split was left out.
    """
    from modelmill.figures import curves
    from modelmill.trained import artifacts

    evaluation = part("evaluation", job.card.settings["task"], f"models.{job.name}.task")
    with replacing_folder(job.figures) as pictures:
        metrics = evaluation.evaluate(replace(job, figures=pictures), options)
        job.require_whole(options.split, metrics)
        metrics["parameters"] = job.card.parameters
        history = artifacts.read_history(job.folder)
        curves.learning_curves(history, job.name, pictures / "curves.png")
        artifacts.save_evaluation(pictures, job.card, options.model_dump(), metrics)
    return metrics
