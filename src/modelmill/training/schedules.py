"""Learning rates by step."""

import numpy as np

from modelmill.training.settings import (
    ConstantRate,
    Cosine,
    DecayAfter,
    ExponentialDecay,
    Fit,
    Linear,
)


def learning_rates(fit: Fit, first: int, count: int, steps_per_epoch: int) -> np.ndarray:
    """The rates of steps `first` to `first + count`, counted from 0: float32 [count]."""
    steps = np.arange(first, first + count)
    done = steps / fit.length.steps(steps_per_epoch)
    match fit.schedule:
        case ConstantRate():
            factor = np.ones(count)
        case ExponentialDecay(decay=decay, every=every, staircase=staircase):
            progress = steps / every.steps(steps_per_epoch)
            factor = decay ** (np.floor(progress) if staircase else progress)
        case DecayAfter(epoch=epoch, decay=decay):
            factor = decay ** np.maximum(steps // steps_per_epoch + 1.0 - epoch, 0)
        case Cosine(floor=floor):
            factor = floor + (1 - floor) * (1 + np.cos(np.pi * done)) / 2
        case Linear(floor=floor):
            factor = floor + (1 - floor) * (1 - done)
    if warmup := fit.schedule.warmup:
        factor = factor * np.minimum((steps + 1) / warmup.steps(steps_per_epoch), 1)
    return (fit.learning_rate * factor).astype(np.float32)
