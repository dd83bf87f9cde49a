"""How good predicted ratings and lists of recommendations are; evaluating those of a model."""

import numpy as np

from modelmill.evaluation import Job, neighbours
from modelmill.evaluation.baselines import popularity
from modelmill.reference import Better
from modelmill.schema import Section

METRICS: dict[str, Better] = {
    "precision_at_10": "higher",
    "recall_at_10": "higher",
    "map_at_10": "higher",
    "coverage": "higher",
}


class Eval(Section):
    """The split to measure on."""

    split: str


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


def rating_errors(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Root mean squared error and mean absolute error, in stars.

    Args:
        predicted, true: a value for each rating, in the same order [ratings].
    """
    error = predicted.astype(np.float64) - true
    return {"rmse": float(np.sqrt(np.square(error).mean())), "mae": float(np.abs(error).mean())}


def best(scores: np.ndarray, seen: np.ndarray, count: int) -> np.ndarray:
    """The items with the highest scores among those not seen, best first [users, count].

    Of equal scores the item with the lower number comes first. Whoever has seen all but fewer than
    `count` items gets seen ones at the end.

    Args:
        scores: of each item for each user [users, items].
        seen: whether a user has rated an item already [users, items].
    """
    return np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")[:, :count]


def list_quality(
    scores: np.ndarray, seen: np.ndarray, relevant: np.ndarray, count: int = 10
) -> dict[str, float]:
    """What the first `count` recommendations are worth, averaged over users with relevant items.

    Relevance is yes or no, with the definitions of Microsoft's recommenders library
    (recommenders/evaluation/python_evaluation.py), to whose benchmark the figures compare:

    - precision, hits / count, and recall, hits / relevant items;
    - nDCG (Järvelin and Kekäläinen 2002): the hits' sum of 1 / log(1 + rank), divided by the
      largest sum that the user's number of relevant items allows;
    - MAP: the precision at the rank of each hit, added up and divided by the relevant items;
    - coverage (Shani and Gunawardana 2010): the distinct items in all lists, divided by the items
      that anybody has seen.

    Args:
        scores: of each item for each user [users, items].
        seen: what a user's list leaves out [users, items].
        relevant: what it should hold, none of it seen [users, items].
    """
    asked = relevant.any(axis=1)
    chosen = best(scores[asked], seen[asked], count)
    hits = np.take_along_axis(relevant[asked], chosen, axis=1)
    wanted = relevant[asked].sum(axis=1)
    rank = np.arange(1, hits.shape[1] + 1)
    gain = 1 / np.log1p(rank)
    ideal = gain.cumsum()[np.minimum(wanted, len(rank)) - 1]
    precision_at_hits = hits * hits.cumsum(axis=1) / rank
    new = ~np.take_along_axis(seen[asked], chosen, axis=1)
    return {
        f"ndcg_at_{count}": float((hits @ gain / ideal).mean()),
        f"precision_at_{count}": float((hits.sum(axis=1) / count).mean()),
        f"recall_at_{count}": float((hits.sum(axis=1) / wanted).mean()),
        f"map_at_{count}": float((precision_at_hits.sum(axis=1) / wanted).mean()),
        "coverage": len(np.unique(chosen[new])) / int(seen.any(axis=0).sum()),
    }
