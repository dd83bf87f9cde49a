"""Evaluating an autoencoder: squared error of what it makes of (corrupted) inputs."""

from typing import Annotated

import numpy as np
from pydantic import Field

from modelmill.evaluation import Job
from modelmill.reference import Better
from modelmill.schema import Probability, Section

METRICS: dict[str, Better] = {"total_squared_error": "lower", "mean_squared_error": "lower"}
SHOWN = 10


class Eval(Section):
    """What is measured.

    Attributes:
        split: the one to measure on: train, validation or test.
        corruption: share of the input values that are set to zero first.
        seed: of the draw of that share.
    """

    split: str
    corruption: Probability = 0.0
    seed: Annotated[int, Field(ge=0)] = 0


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Squared error against the whole inputs: in total, by example (loss), and by value."""
    from modelmill.figures import images
    from modelmill.trained import artifacts
    from modelmill.trained.inference import predict

    x, scale = job.data.split(options.split)["x"], job.data.meta["scale"]
    kept = np.random.default_rng(options.seed).random(x.shape, np.float32) >= options.corruption
    corrupted = x * kept
    outputs = predict(artifacts.restore(job.folder), corrupted, scale)
    total = float(np.square(outputs - x * np.float64(scale)).sum())
    if x.ndim == 3:
        rows = [("original", x[:SHOWN]), ("reconstructed", outputs[:SHOWN] / scale)]
        if options.corruption:
            rows.insert(1, (f"{options.corruption:.0%} missing", corrupted[:SHOWN]))
        path = job.figures / "reconstructions.png"
        images.rows(rows, f"{job.name}: what it makes of the {options.split} examples", path)
    return {
        "total_squared_error": total,
        "loss": total / len(x),
        "mean_squared_error": total / x.size,
        "examples": len(outputs),
    }
