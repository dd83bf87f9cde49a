"""Evaluating ratings predicted by Boltzmann machines: as any, and, of two, what each is worth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from modelmill.evaluation import Job
from modelmill.evaluation.measures import rated
from modelmill.evaluation.measures.ranking import rating_errors
from modelmill.evaluation.measures.rated import METRICS

if TYPE_CHECKING:
    import keras

__all__ = ["METRICS", "Eval", "evaluate"]
ROWS = ("item", "user")
SHARES = np.linspace(0, 1, 21)


class Eval(rated.Eval):
    """What is measured.

    Attributes:
        split: the one to measure on: validation or test; training ratings are predicted from.
    """

    split: Literal["validation", "test"]


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """As `rated.evaluate`; of two machines also the error that each has alone.

    blend.png shows the error on validation ratings by how they are mixed, to choose from.
    """
    from modelmill.trained import artifacts
    from modelmill.training.evidence import evidence

    metrics = rated.evaluate(job, options)
    share = job.card.settings["net"]["item_share"]
    if share is None:
        return metrics
    model, known = artifacts.restore(job.folder), evidence(job.data)
    items, users, given = _predictions(model, known, job.data.split("validation"))
    errors = [_rmse(job, s * items + (1 - s) * users, given) for s in SHARES]
    _draw(job, np.array(errors), share)
    items, users, given = _predictions(model, known, job.data.split(options.split))
    alone = {"rmse_of_items": _rmse(job, items, given), "rmse_of_users": _rmse(job, users, given)}
    return {**metrics, **alone}


def _predictions(
    model: "keras.Model", known: np.ndarray, held_out: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Those of the machine of items, those of the machine of users, and what was given."""
    from modelmill.trained import inference

    pairs = held_out["user"], held_out["item"]
    predicted = [inference.ratings(inference.machine(model, row), known, *pairs) for row in ROWS]
    return [*predicted, held_out["rating"]]


def _rmse(job: Job, predicted: np.ndarray, given: np.ndarray) -> float:
    return rating_errors(predicted.clip(1, job.data.meta["stars"]), given)["rmse"]


def _draw(job: Job, errors: np.ndarray, share: float) -> None:
    from modelmill.figures import ratings

    title = f"{job.name}: two machines mixed"
    ratings.blend(SHARES, errors, share, title, job.figures / "blend.png")
