"""Evaluating predicted ratings: their errors, beside those of biases alone, and for whom."""

from typing import TYPE_CHECKING

import numpy as np

from modelmill.evaluation import Job
from modelmill.evaluation.baselines import fit_biases
from modelmill.evaluation.ranking import rating_errors
from modelmill.reference import Better
from modelmill.schema import Section

if TYPE_CHECKING:
    import keras

METRICS: dict[str, Better] = {"mae": "lower"}
GROUPS = 10  # of equally many ratings, in figures
TOGETHER = 10_000  # ratings predicted at once


class Eval(Section):
    """The split to measure on."""

    split: str


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Errors in stars over every rating of the split, predictions held to the scale of stars.

    The biases they are beside are those of the training ratings, as the model is.
    """
    from modelmill.trained import artifacts

    train, held_out, meta = job.data.split("train"), job.data.split(options.split), job.data.meta
    user, item, given = (held_out[name] for name in ("user", "item", "rating"))
    biases = fit_biases(
        train["user"], train["item"], train["rating"], meta["users"], meta["items"]
    ).predict(user, item)
    predicted = {
        job.name: predict(artifacts.restore(job.folder), user, item).clip(1, meta["stars"]),
        "biases alone": biases.clip(1, meta["stars"]),
    }
    _draw(job, train, held_out, predicted)
    ours, theirs = (rating_errors(values, given) for values in predicted.values())
    return {**ours, "rmse_of_biases": theirs["rmse"], "examples": len(given)}


def predict(model: "keras.Model", user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The rating of each pair, in float64 [ratings]."""
    import tensorflow as tf

    from modelmill.models import call

    parts = []
    for start in range(0, len(user), TOGETHER):
        rows = slice(start, start + TOGETHER)
        pairs = {"user": user[rows], "item": item[rows]}
        given = {name: tf.constant(ids, tf.int32) for name, ids in pairs.items()}
        parts.append(call(model, given, training=False).numpy()[:, 0])
    return np.concatenate(parts).astype(np.float64)


def grouped_errors(
    by: np.ndarray, predicted: np.ndarray, given: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `by`, and root mean squared error, in groups of ratings sorted by it [groups]."""
    groups = _groups(by)
    errors = [rating_errors(predicted[rows], given[rows])["rmse"] for rows in groups]
    return np.array([by[rows].mean() for rows in groups]), np.array(errors)


def calibration(predicted: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean prediction, and mean of what was given, in groups sorted by prediction [groups]."""
    means = [(predicted[rows].mean(), given[rows].mean()) for rows in _groups(predicted)]
    x, y = np.array(means).T
    return x, y


def _groups(by: np.ndarray) -> list[np.ndarray]:
    return np.array_split(np.argsort(by, kind="stable"), min(GROUPS, len(by)))


def _draw(
    job: Job,
    train: dict[str, np.ndarray],
    held_out: dict[str, np.ndarray],
    predicted: dict[str, np.ndarray],
) -> None:
    from modelmill.figures import ratings

    given, panels = held_out["rating"], []
    for name, label in (("user", "user"), ("item", "film")):
        counts = np.bincount(train[name], minlength=job.data.meta[f"{name}s"])[held_out[name]]
        lines = {of: grouped_errors(counts, values, given) for of, values in predicted.items()}
        panels.append((f"training ratings of the {label}", lines))
    ratings.errors(panels, f"{job.name}: errors by what is known", job.figures / "errors.png")
    lines = {of: calibration(values, given) for of, values in predicted.items()}
    ratings.calibration(
        lines, job.data.meta["stars"], f"{job.name}: calibration", job.figures / "calibration.png"
    )
