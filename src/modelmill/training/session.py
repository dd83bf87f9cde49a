"""One training from beginning to end."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import NamedTuple

import keras
import numpy as np

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.tasks import Task
from modelmill.training import batches
from modelmill.training.checkpoints import Checkpoint, Checkpoints
from modelmill.training.loop import Row, Trainer
from modelmill.training.progress import Progress
from modelmill.training.settings import Fit


class Outcome(NamedTuple):
    """What a training leaves besides the weights of its model.

    Attributes:
        history: a row per lap.
        snapshots: the weights after each lap, float32 [laps, parameters], or [0, parameters]
            where `fit` does not ask for them.
        seconds: those spent training, before an interruption as well.
    """

    history: list[Row]
    snapshots: np.ndarray
    seconds: float


def train(
    name: str,
    model: keras.Model,
    task: Task | ModuleType,
    fit: Fit,
    data: Processed,
    seed: int,
    on_lap: Callable[[Row], None],
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Trains `model` in place, showing progress.

    Args:
        seed: of the order of the examples, and of their corruption.
        on_lap: gets each row of the history as soon as it is measured.
        checkpoints: where the training goes on from, if it has been interrupted, and where its
            state is saved from time to time.

    Raises:
        ModelmillError: `fit.stop` watches validation data that the data set does not have, or
            the training diverged.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    scale = data.meta.get("scale", 1.0)
    training = batches.training(data.split("train"), task.TARGETS, scale, fit, seed)
    validation = None
    if "validation" in data.meta["splits"]:
        validation = batches.validation(data.split("validation"), task.TARGETS, scale, fit, seed)
    elif fit.stop and fit.stop.metric == "validation_loss":
        raise ModelmillError(f"models.{name}.fit.stop.metric: the data has no validation split")
    trainer = Trainer(model, task, fit, training, validation)
    history: list[Row] = []
    snapshots = np.zeros([0, model.count_params()], np.float32)
    began = time.monotonic()
    if found := checkpoints and checkpoints.newest():
        history, snapshots = found.progress["history"], found.arrays["snapshots"]
        began -= found.progress["seconds"]
        trainer.restore(found.arrays, history)
        for row in history:
            on_lap(row)

    def state() -> Checkpoint:
        return Checkpoint(
            {**trainer.checkpoint(), "snapshots": snapshots},
            {"history": history, "seconds": time.monotonic() - began},
        )

    def on_call(step: int, metrics: Row) -> None:
        progress.call(step, metrics)
        if checkpoints:
            checkpoints.offer(step, False, state)

    with (
        Progress(
            name,
            trainer.steps,
            training.steps,
            trainer.predictions_per_step,
            data.meta.get("unit", "example") + "s",
            trainer.step,
        ) as progress,
        checkpoints or nullcontext(),
    ):
        for row in trainer.run(on_call):
            progress.lap(row)
            on_lap(row)
            history.append(row)
            if fit.snapshots:
                weights = np.concatenate([w.ravel() for w in model.get_weights()])
                snapshots = np.append(snapshots, weights[None], axis=0)
            if checkpoints and trainer.step < trainer.steps:
                checkpoints.offer(trainer.step, True, state)
        if fit.stop and trainer.step < trainer.steps:
            progress.stopped(trainer.step, fit.stop)
    return Outcome(history, snapshots, time.monotonic() - began)
