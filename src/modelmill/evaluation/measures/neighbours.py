"""Which films a recommender takes for alike."""

from typing import TYPE_CHECKING

import numpy as np

from modelmill.datasets import ratings, titles
from modelmill.evaluation import Job
from modelmill.evaluation.measures.baselines import popularity
from modelmill.files import undamaged

if TYPE_CHECKING:
    import keras

SHOWN, NEAREST = 8, 4


def draw(job: Job, model: "keras.Model", known: np.ndarray) -> None:
    """neighbours.png: the films that most have rated, and those most like each of them.

    There is none of a model that cannot tell.
    """
    from modelmill.figures.ratings import neighbours
    from modelmill.trained.inference import alike

    folder = job.data.folder
    with undamaged(folder / ratings.CATALOGUE, f"dvc repro preprocess@{folder.name}"):
        films = ratings.catalogue(folder).items
    rows = []
    counts = popularity(known.nonzero()[1], len(films))
    popular = np.argsort(-counts, kind="stable")[:SHOWN]
    found = alike(model, known, popular.tolist())
    if found is None:
        return
    for film, likeness in zip(popular, found, strict=True):
        near = [other for other in np.argsort(-likeness, kind="stable") if other != film][:NEAREST]
        shown = [(titles.label(films[n]), float(likeness[n])) for n in near if likeness[n] > -1]
        rows.append((titles.label(films[film]), shown))
    neighbours(rows, f"{job.name}: films and their nearest", job.figures / "neighbours.png")
