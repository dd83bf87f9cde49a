"""Evaluating lists of recommendations, beside those of the films that most have seen."""

from typing import Literal

import numpy as np

from modelmill.evaluation import Job
from modelmill.evaluation.measures import neighbours
from modelmill.evaluation.measures.baselines import popularity
from modelmill.evaluation.measures.ranking import list_quality
from modelmill.reference import Better
from modelmill.schema import Section

METRICS: dict[str, Better] = {
    "precision_at_10": "higher",
    "recall_at_10": "higher",
    "map_at_10": "higher",
    "coverage": "higher",
}


class Eval(Section):
    """What is measured.

    Attributes:
        split: the one to measure on: validation or test.
    """

    split: Literal["validation", "test"]


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """What lists of ten are worth, beside those of the films that most have seen.

    A list is made from the training ratings. It leaves out those, and the validation ratings where
    these are not what is to be found.
    """
    from modelmill.trained import artifacts
    from modelmill.trained.inference import seen as probabilities
    from modelmill.training.evidence import evidence

    known, held_out = evidence(job.data), job.data.split(options.split)
    relevant, left_out = np.zeros_like(known, bool), known > 0
    relevant[held_out["user"], held_out["item"]] = True
    if options.split == "test":
        validation = job.data.split("validation")
        left_out[validation["user"], validation["item"]] = True
    model = artifacts.restore(job.folder)
    popular = popularity(known.nonzero()[1], known.shape[1])
    scores = {
        job.name: probabilities(model, known),
        "popularity": np.broadcast_to(popular.astype(np.float32), known.shape),
    }
    ours, theirs = (list_quality(values, left_out, relevant) for values in scores.values())
    neighbours.draw(job, model, known)
    of_popularity = {f"{name}_of_popularity": value for name, value in theirs.items()}
    return {**ours, **of_popularity, "examples": len(held_out["user"])}
