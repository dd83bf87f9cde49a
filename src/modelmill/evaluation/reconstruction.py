"""Evaluating an autoencoder: squared error of what it makes of whole or of corrupted inputs."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from modelmill.evaluation import Job, shown_laps
from modelmill.reference import Better
from modelmill.schema import Probability, Section, validate
from modelmill.tasks import reconstruction as task
from modelmill.trained.history import read_history
from modelmill.training.settings import SHOWN

if TYPE_CHECKING:
    import keras

METRICS: dict[str, Better] = {
    "total_squared_error": "lower",
    "mean_squared_error": "lower",
    "squared_error_per_example": "lower",
}
WALKED, STEPS = 6, 8  # examples, and steps from each to the next
MAPPED = 2_000  # codes, for which t-SNE takes seconds


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
    """Squared error against the whole inputs: in total, by example (loss), and by value.

    A model that is shown whole inputs is there for its code. Beside its error by example stands
    that of as many principal components (Hinton and Salakhutdinov 2006).
    """
    from modelmill.figures import images
    from modelmill.trained import artifacts, insights
    from modelmill.trained.inference import predict

    x, scale = job.data.split(options.split)["x"], job.data.meta["scale"]
    kept = np.random.default_rng(options.seed).random(x.shape, np.float32) >= options.corruption
    corrupted = x * kept
    model = artifacts.restore(job.folder)
    outputs = predict(model, corrupted, scale)
    total = squared_error(outputs, x, scale)
    metrics = {
        "total_squared_error": total,
        "loss": total / len(x),
        "mean_squared_error": total / x.size,
        "examples": len(outputs),
    }
    scaled = job.data.scaled
    lines = [("original", scaled(x[:SHOWN])), ("reconstructed", outputs[:SHOWN])]
    if options.corruption:
        lines.insert(1, (f"{options.corruption:.0%} missing", scaled(corrupted[:SHOWN])))
    else:
        metrics["squared_error_per_example"] = total / len(x)
        if halves := insights.halves(model):
            count, linear = _look_at_codes(job, options.split, *halves)
            lines.append((f"PCA, {count}\ncomponents", linear[:SHOWN].clip(0, 1)))
            metrics["squared_error_per_example_of_pca"] = squared_error(linear, x, scale) / len(x)
    if x.ndim == 3:
        path = job.figures / "reconstructions.png"
        images.rows(lines, f"{job.name}: what it makes of the {options.split} examples", path)
        if job.card.settings["fit"]["snapshots"] == "outputs":
            _draw_learning(job)
    return metrics


def _draw_learning(job: Job) -> None:
    """What was made of the same validation examples after some of the laps of the training."""
    import tensorflow as tf

    from modelmill.figures import images
    from modelmill.trained import artifacts

    settings = job.card.settings
    fit = validate(task.Fit, settings["fit"], "fit")
    batches = task.batches(job.data, "validation", fit, settings["seed"])
    given = batches.batch(batches.load(0, 0, 1), tf.constant(0))
    lines = [("original", given["whole"][:SHOWN].numpy())]
    if fit.corruption:
        lines.append((f"{fit.corruption:.0%} missing", given["x"][:SHOWN].numpy()))
    history, snapshots = read_history(job.folder), artifacts.read_snapshots(job.folder)
    for lap in shown_laps(len(snapshots)):
        row = history.iloc[lap - 1]
        name = f"epoch {round(row.epoch, 2):g},\nerror {row.validation_loss:.3g}"
        lines.append((name, snapshots[lap - 1].reshape(lines[0][1].shape)))
    title = f"{job.name}: what it makes of validation examples while it learns"
    images.rows(lines, title, job.figures / "learning.png")


def squared_error(outputs: np.ndarray, x: np.ndarray, scale: float) -> float:
    """The sum over all values of all examples, neither halved nor averaged, `x` unscaled."""
    return float(np.square(outputs - x * np.float64(scale)).sum())


def _look_at_codes(
    job: Job, split: str, encoder: "keras.Model", decoder: "keras.Model"
) -> tuple[int, np.ndarray]:
    """Draws the codes of a split.

    Returns:
        How many numbers a code has, and what as many principal components keep of the split.
    """
    from modelmill.evaluation.measures.codes import mapped, of_components
    from modelmill.figures import codes as figures
    from modelmill.trained.inference import predict

    arrays, scale = job.data.split(split), job.data.meta["scale"]
    codes = predict(encoder, arrays["x"], scale)
    names = job.data.meta.get("class_names")
    if names and len(codes) > 1:
        points, truth = mapped(codes[:MAPPED]), arrays["y"][:MAPPED]
        title = f"{job.name}: codes of {len(points):,} {split} examples, by class"
        figures.by_class(points, truth, names, title, job.figures / "codes.png")
    if arrays["x"].ndim == 3 and len(codes) > 1:
        _draw_walks(job, decoder, arrays["x"][:WALKED] * scale, codes[:WALKED])
    learnt_from = job.data.split("train")["x"][: job.card.settings["fit"]["examples"]]
    linear = of_components(learnt_from, arrays["x"], codes.shape[1])
    return codes.shape[1], linear * scale


def _draw_walks(job: Job, decoder: "keras.Model", ends: np.ndarray, codes: np.ndarray) -> None:
    """What lies between the codes of two images, which stand at the two ends of each row."""
    from modelmill.evaluation.measures.codes import walks
    from modelmill.figures import images
    from modelmill.trained.inference import predict

    ways = walks(codes, STEPS)
    between = predict(decoder, ways.reshape(-1, codes.shape[1]), 1.0)
    seen = [
        ("", np.stack([first, *way, last]))
        for first, way, last in zip(
            ends, between.reshape(*ways.shape[:2], *ends.shape[1:]), ends[1:], strict=False
        )
    ]
    title = f"{job.name}: on the straight line from one code to the next"
    images.rows(seen, title, job.figures / "walks.png")
