"""What is done with a trained model: one module per task.

Each has `Eval`, the typed keys of `eval` in a conf file, `METRICS`, what it measures beside the
task's own and which way is better, and ``evaluate(job, options)``, which returns the metrics over
the whole split, and what else there is to tell, and writes figures and texts.
TensorFlow is imported inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import replacing_folder, write_text
from modelmill.parts import part
from modelmill.schema import Section
from modelmill.trained.history import read_history

if TYPE_CHECKING:
    from modelmill.trained.artifacts import Card

LAPS = (1, 2, 5, 10, 20, 50)  # and the last: those that are shown of a training


class Eval(Section):
    """What is measured.

    Attributes:
        split: the one to measure on: train, validation or test.
    """

    split: str


@dataclass(frozen=True)
class Job:
    """A trained model, the data it belongs to, and where what is found out about it goes.

    Attributes:
        figures: a folder of pictures, and of a table that DVC draws: it refuses all else.
        texts: a folder for what is read.
        curves: a folder of tables of the training's history, which DVC draws as well.
    """

    folder: Path
    card: "Card"
    data: Processed
    figures: Path
    texts: Path
    curves: Path

    @classmethod
    def of(cls, name: str, verify: bool = False) -> "Job":
        """The model `name` in data/models, and the data it was trained on.

        Args:
            verify: whether the data are read to see that they are what was prepared.

        Raises:
            ModelmillError: it has not been trained, or on data that has changed since.
        """
        from modelmill.trained import artifacts

        folder = Path("data/models", name)
        card = artifacts.read_card(folder)
        data = artifacts.read_data(card, Path("data/processed"), verify)
        places = (Path("data", kind, name) for kind in ("figures", "evaluations", "curves"))
        return cls(folder, card, data, *places)

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


def shown_laps(count: int) -> list[int]:
    """Which of so many laps, counted from 1, to show: most of them early, where most is learnt."""
    return sorted({lap for lap in LAPS if lap < 0.9 * count} | {count} - {0})


def evaluate(job: Job, options: Any) -> dict[str, float]:
    """What stage evaluate measures; each folder of the job comes to be as a whole.

    Args:
        options: the model's `eval`.

    Raises:
        ModelmillError: an example or token of the split was left out.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from modelmill.figures import curves
    from modelmill.trained import artifacts

    evaluation = part("evaluation", job.card.settings["task"], f"models.{job.name}.task")
    with (  # the last first: what evaluation.json vouches for is there when it comes
        threadpool_limits(1),  # NumPy's, which rounds otherwise on more
        replacing_folder(job.texts) as texts,
        replacing_folder(job.curves) as tables,
        replacing_folder(job.figures) as pictures,
    ):
        metrics = evaluation.evaluate(replace(job, figures=pictures, texts=texts), options)
        job.require_whole(options.split, metrics)
        metrics["parameters"] = job.card.parameters
        history = read_history(job.folder)
        curves.learning_curves(history, job.name, pictures / "curves.png")
        for metric, table in curves.tables(history).items():
            write_text(tables / f"{metric}.csv", table)
        artifacts.save_evaluation(texts, job.card, options.model_dump(), metrics)
    return metrics
