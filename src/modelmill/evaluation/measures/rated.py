"""Evaluating predicted ratings: their errors, beside those of biases alone, and for whom."""

import numpy as np

from modelmill.evaluation import Eval, Job
from modelmill.evaluation.measures import neighbours
from modelmill.evaluation.measures.baselines import fit_biases
from modelmill.evaluation.measures.ranking import rating_errors
from modelmill.reference import Better

METRICS: dict[str, Better] = {"mae": "lower"}
GROUPS = 10  # of equally many ratings, in figures


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Errors in stars over every rating of the split, predictions held to the scale of stars.

    The biases they are beside are those of the training ratings, as the model is.
    """
    from modelmill.trained import artifacts
    from modelmill.trained.inference import ratings
    from modelmill.training.evidence import evidence

    train, held_out, meta = job.data.split("train"), job.data.split(options.split), job.data.meta
    user, item, given = (held_out[name] for name in ("user", "item", "rating"))
    biases = fit_biases(
        train["user"], train["item"], train["rating"], meta["users"], meta["items"]
    ).predict(user, item)
    model, known = artifacts.restore(job.folder), evidence(job.data)
    predicted = {
        job.name: ratings(model, known, user, item).clip(1, meta["stars"]),
        "biases alone": biases.clip(1, meta["stars"]),
    }
    _draw(job, train, held_out, predicted)
    neighbours.draw(job, model, known)
    ours, theirs = (rating_errors(values, given) for values in predicted.values())
    of_biases = {f"{name}_of_biases": value for name, value in theirs.items()}
    return {**ours, **of_biases, "examples": len(given)}


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
