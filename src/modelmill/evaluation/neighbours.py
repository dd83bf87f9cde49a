"""Which films a recommender takes for alike."""

from typing import TYPE_CHECKING

import numpy as np

from modelmill.datasets import ratings, titles
from modelmill.evaluation import Job
from modelmill.evaluation.baselines import popularity

if TYPE_CHECKING:
    import keras

SHOWN, NEAREST = 8, 4
LEAST = 0.02  # of all users must have rated a film that is shown


def draw(job: Job, model: "keras.Model", known: np.ndarray) -> None:
    """neighbours.png: the films that most have rated, and those most like each of them."""
    from modelmill.figures.ratings import neighbours
    from modelmill.trained.inference import item_features, likeness

    films = ratings.catalogue(job.data.folder).items
    count = popularity(known.nonzero()[1], len(films))
    rare, features, rows = count < LEAST * len(known), item_features(model, known), []
    for film in np.argsort(-count, kind="stable")[:SHOWN]:
        alike = likeness(features, film)
        alike[rare] = -np.inf
        alike[film] = np.inf
        near = np.argsort(-alike, kind="stable")[1 : NEAREST + 1]
        shown = [(titles.label(films[n]), float(alike[n])) for n in near if not rare[n]]
        rows.append((titles.label(films[film]), shown))
    neighbours(rows, f"{job.name}: films and their nearest", job.figures / "neighbours.png")
