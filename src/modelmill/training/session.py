"""One training from beginning to end."""

from collections.abc import Callable
from types import ModuleType

import keras
import numpy as np

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
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
) -> tuple[list[Row], np.ndarray]:
    """Trains `model` in place, showing progress.

    Args:
        seed: of the order of the examples, and of their corruption.
        on_lap: gets each row of the history as soon as it is measured.

    Returns:
        The history, a row per lap, and the weights after each lap, float32 [laps, parameters],
        or [0, parameters] where `fit` does not ask for snapshots.

    Raises:
        ModelmillError: `fit.stop` watches validation data that the data set does not have.
    """
    scale = data.meta.get("scale", 1.0)
    training = batches.training(data.split("train"), task.TARGETS, scale, fit, seed)
    validation = None
    if "validation" in data.meta["splits"]:
        validation = batches.validation(data.split("validation"), task.TARGETS, scale, fit, seed)
    elif fit.stop and fit.stop.metric == "validation_loss":
        raise ModelmillError(f"models.{name}.fit.stop.metric: the data has no validation split")
    trainer = Trainer(model, task, fit, training, validation)
    history, snapshots = [], []
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
            if fit.snapshots:
                snapshots.append(np.concatenate([w.ravel() for w in model.get_weights()]))
        if fit.stop and row["step"] < trainer.steps:
            progress.stopped(row, fit.stop)
    return history, np.array(snapshots, np.float32).reshape(len(snapshots), model.count_params())
