"""Evaluating a classifier: accuracy and cross-entropy, confusion matrix, worst mistakes."""

import numpy as np

from modelmill.evaluation import Job
from modelmill.schema import Section

METRICS = ("accuracy", "loss")
SHOWN = 24


class Eval(Section):
    """The split to measure on."""

    split: str


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [true class, predicted class]."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Accuracy and cross-entropy in nats over every example of the split."""
    from modelmill import artifacts, figures
    from modelmill.inference import predict

    arrays = job.data.split(options.split)
    x, truth = arrays["x"], arrays["y"].astype(np.int64)
    logits = predict(artifacts.restore(job.folder), x, job.data.meta["scale"])
    log_p = log_probabilities(logits)
    predicted, confidence = logits.argmax(axis=1), np.exp(log_p.max(axis=1))
    names = job.data.meta["class_names"]
    figures.confusion_matrix(
        confusion(truth, predicted, len(names)),
        names,
        f"{job.name}: confusion on {len(x):,} examples",
        job.figures / "confusion.png",
    )
    if x.ndim == 3:
        wrong = np.flatnonzero(predicted != truth)
        worst = wrong[np.argsort(log_p[wrong, truth[wrong]], kind="stable")][:SHOWN]
        figures.image_grid(
            x[worst],
            [
                f"{names[truth[i]]} taken for {names[predicted[i]]}\np = {confidence[i]:.2f}"
                for i in worst
            ],
            f"{job.name}: worst of {len(wrong):,} mistakes",
            job.figures / "mistakes.png",
        )
    return {
        "accuracy": float(np.mean(predicted == truth)),
        "loss": float(-np.mean(log_p[np.arange(len(x)), truth])),
        "examples": len(x),
    }
