"""One training from beginning to end."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import keras

from modelmill.datasets.processed import Processed
from modelmill.params import Fit
from modelmill.tasks import Task
from modelmill.training import batches
from modelmill.training.loop import Row, Trainer
from modelmill.training.progress import Progress


def train(
    model: keras.Model,
    task: Task | ModuleType,
    settings: Mapping[str, Any],
    fit: Fit,
    data: Processed,
    on_lap: Callable[[Row], None],
) -> list[Row]:
    """Trains `model` in place, showing progress; returns its history, a row per lap.

    Args:
        settings: for the model's name and the seed of the order of examples.
        on_lap: gets each row of the history as soon as it is measured.
    """
    scale = data.meta.get("scale", 1.0)
    training = batches.training(data.split("train"), scale, fit, settings["seed"])
    validation = None
    if "validation" in data.meta["splits"]:
        validation = batches.validation(data.split("validation"), scale, fit)
    trainer = Trainer(model, task, fit, training, validation)
    history = []
    with Progress(
        settings["model"],
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
