"""One training from beginning to end."""

from collections.abc import Callable
from types import ModuleType

import keras

from modelmill.datasets.processed import Processed
from modelmill.tasks import Task
from modelmill.training import batches
from modelmill.training.loop import Row, Trainer
from modelmill.training.progress import Progress
from modelmill.training.settings import Fit


def train(
    name: str,
    model: keras.Model,
    task: Task | ModuleType,
    fit: Fit,
    data: Processed,
    seed: int,
    on_lap: Callable[[Row], None],
) -> list[Row]:
    """Trains `model` in place, showing progress; returns its history, a row per lap.

    Args:
        seed: of the order of the examples.
        on_lap: gets each row of the history as soon as it is measured.
    """
    scale = data.meta.get("scale", 1.0)
    training = batches.training(data.split("train"), scale, fit, seed)
    validation = None
    if "validation" in data.meta["splits"]:
        validation = batches.validation(data.split("validation"), scale, fit)
    trainer = Trainer(model, task, fit, training, validation)
    history = []
    with Progress(
        name,
        trainer.steps,
        training.steps,
        trainer.predictions_per_step,
        data.meta.get("unit", "example") + "s",
    ) as progress:
        for row in trainer.run(progress.call):
            progress.lap(row)
            on_lap(row)
            history.append(row)
    return history
