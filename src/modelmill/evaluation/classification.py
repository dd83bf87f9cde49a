"""Evaluating a classifier: accuracy and loss, mistakes, and what it looks at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelmill.evaluation import Eval, Job
from modelmill.files import write_text
from modelmill.reference import Better
from modelmill.tasks.classification import log_probabilities, probabilities
from modelmill.trained.history import read_phases

if TYPE_CHECKING:
    import keras

METRICS: dict[str, Better] = {}
MISTAKES = 24
FILTERS = 72  # of a layer that has more, those with the largest weights
READ = 3  # digits shown row by row
PLACES = 300  # on each axis of decision regions
MARGIN = 0.1  # of what the examples span, around them


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Accuracy and the loss that was trained for over every example of the split."""
    from modelmill.figures import classes
    from modelmill.trained import artifacts
    from modelmill.trained.inference import predict

    arrays = job.data.split(options.split)
    x, truth = arrays["x"], arrays["y"].astype(np.int64)
    model = artifacts.restore(job.folder)
    logits = predict(model, x, job.data.meta["scale"])
    predicted = logits.argmax(axis=1)
    names, loss = job.data.meta["class_names"], job.card.settings["fit"]["loss"]
    counts = confusion(truth, predicted, len(names))
    write_text(job.figures / "confusion.csv", table(counts, names))
    classes.confusion_matrix(
        counts,
        names,
        f"{job.name}: confusion on {len(x):,} examples",
        job.figures / "confusion.png",
    )
    _draw_pretraining(job)
    if x.ndim == 3:
        _draw_mistakes(job, x, truth, predicted, probabilities(logits, loss))
        _draw_insights(job, model, x)
    elif x.ndim == 2 and x.shape[1] > 1 and len(names) <= classes.DISTINCT:
        _draw_regions(job, model, job.data.scaled(x), truth)
    return {
        "accuracy": float(np.mean(predicted == truth)),
        "loss": float(losses(logits, truth, loss).mean()),
        "examples": len(logits),
    }


def losses(logits: np.ndarray, truth: np.ndarray, loss: str) -> np.ndarray:
    """What `modelmill.tasks.classification.score` adds up, by example, in float64."""
    if loss == "half_squared_error":
        right = np.eye(logits.shape[1])[truth]
        return np.square(probabilities(logits, loss) - right).sum(axis=1) / 2
    return -log_probabilities(logits)[np.arange(len(truth)), truth]


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [true class, predicted class]."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def table(counts: np.ndarray, names: Sequence[str]) -> str:
    """A CSV with a row for each pair of classes, as .dvc/plots/confusion_counts.json draws it.

    Args:
        counts: [true class, predicted class].
    """
    import pandas as pd

    pairs = {"actual": np.repeat(names, len(names)), "predicted": np.tile(names, len(names))}
    return pd.DataFrame({**pairs, "examples": counts.ravel()}).to_csv(
        index=False, lineterminator="\n"
    )


def most_telling(x: np.ndarray, truth: np.ndarray) -> list[int]:
    """The two columns of `x` whose class means are furthest apart, measured by their spread."""
    groups = [x[truth == index] for index in np.unique(truth)]
    between = np.var([group.mean(axis=0) for group in groups], axis=0)
    within = np.mean([group.var(axis=0) for group in groups], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        telling = np.nan_to_num(between / within, posinf=np.inf)  # 0 / 0: a column that is constant
    return sorted(np.argsort(telling)[-2:].tolist())


def _draw_mistakes(
    job: Job, x: np.ndarray, truth: np.ndarray, predicted: np.ndarray, shares: np.ndarray
) -> None:
    from modelmill.figures import images

    names = job.data.meta["class_names"]
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(shares[wrong, truth[wrong]], kind="stable")][:MISTAKES]
    captions = [
        f"{names[truth[i]]} taken for {names[predicted[i]]}\np = {p:.2f}"
        for i, p in zip(worst, shares[worst].max(axis=1), strict=True)
    ]
    title = f"{job.name}: worst of {len(wrong):,} mistakes"
    images.grid(x[worst], captions, title, job.figures / "mistakes.png")


def _draw_insights(job: Job, model: "keras.Model", x: np.ndarray) -> None:
    """The weights as images, feature maps, and a digit as it is read, where the model has them."""
    from modelmill.figures import classes, images
    from modelmill.trained import insights

    names = job.data.meta["class_names"]
    digits = job.data.scaled(x[:READ])
    filters = insights.first_filters(model)
    if filters is not None and insights.is_linear(model):
        path = job.figures / "weights.png"
        images.grid(filters, names, f"{job.name}: weights of each class", path, signed=True)
    elif filters is not None:
        parts, which = [_strongest(filters)], "the first layer looks"
        if job.card.settings["fit"]["pretrain"]:
            layers = enumerate(map(_strongest, insights.layer_filters(model)), start=1)
            parts = [(f"layer {number}: {heading}", shown) for number, (heading, shown) in layers]
            which = "the layers look"
        title = f"{job.name}: what {which} for"
        images.mosaics(parts, title, job.figures / "filters.png", signed=True)
    if maps := insights.feature_maps(model, digits[0]):
        title = f"{job.name}: feature maps of one digit"
        path = job.figures / "feature_maps.png"
        images.mosaics([("the digit", digits[:1]), *maps], title, path, signed=False)
    if (logits := insights.reading(model, digits)) is not None:
        shares = probabilities(logits, job.card.settings["fit"]["loss"])
        title = f"{job.name}: reading row by row"
        classes.reading(digits, shares, names, title, job.figures / "reading.png")


def _strongest(filters: np.ndarray) -> tuple[str, np.ndarray]:
    """A heading, and those of [units, rows, columns] with the largest weights."""
    strongest = np.argsort(-np.square(filters).sum(axis=(1, 2)), kind="stable")[:FILTERS]
    shown = "all" if len(strongest) == len(filters) else f"the strongest {len(strongest)} of"
    return f"{shown} {len(filters)} units", filters[np.sort(strongest)]


def _draw_pretraining(job: Job) -> None:
    """How well each layer came to know what those below it answer, if it learnt that first."""
    from modelmill.figures import curves

    layers = [laps for laps in read_phases(job.folder) if "loss" not in laps]
    if layers:
        curves.pretraining(layers, job.name, job.figures / "pretraining.png")


def _draw_regions(job: Job, model: "keras.Model", x: np.ndarray, truth: np.ndarray) -> None:
    """The classes over the two most telling inputs, scaled, with the others at their mean."""
    from modelmill.figures import classes
    from modelmill.trained.inference import predict

    axes = most_telling(x, truth)
    names = job.data.meta.get("input_names") or [f"input {n}" for n in range(1, x.shape[1] + 1)]
    low, high = x[:, axes].min(axis=0), x[:, axes].max(axis=0)
    margin = np.where(high > low, MARGIN * (high - low), 0.5)
    low, high = low - margin, high + margin
    first, second = (np.linspace(*ends, PLACES) for ends in zip(low, high, strict=True))
    plane = np.tile(x.mean(axis=0), (PLACES**2, 1)).astype(np.float32)
    plane[:, axes[0]], plane[:, axes[1]] = (grid.ravel() for grid in np.meshgrid(first, second))
    decided = predict(model, plane, 1.0).argmax(axis=1).reshape(PLACES, PLACES)
    classes.decision_regions(
        (first, second),
        decided,
        x[:, axes],
        truth,
        [names[column] for column in axes],
        job.data.meta["class_names"],
        f"{job.name}: decisions, the other inputs at their mean",
        job.figures / "regions.png",
    )
