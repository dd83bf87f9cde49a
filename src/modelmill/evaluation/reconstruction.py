"""Evaluating an autoencoder: squared error of what it makes of whole or corrupted inputs."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from modelmill.evaluation import Job
from modelmill.reference import Better
from modelmill.schema import Probability, Section

if TYPE_CHECKING:
    import keras

METRICS: dict[str, Better] = {
    "total_squared_error": "lower",
    "mean_squared_error": "lower",
    "squared_error_per_example": "lower",
}
SHOWN = 10
WALKED, STEPS = 6, 8  # examples, and steps from each to the next
MAPPED = 2_000  # codes: t-SNE takes seconds for them
PERPLEXITY = 30  # about how many neighbours t-SNE keeps together


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
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from modelmill.figures import images
    from modelmill.trained import artifacts, insights
    from modelmill.trained.inference import predict

    x, scale = job.data.split(options.split)["x"], job.data.meta["scale"]
    whole = x * np.float64(scale)
    kept = np.random.default_rng(options.seed).random(x.shape, np.float32) >= options.corruption
    corrupted = x * kept
    model = artifacts.restore(job.folder)
    outputs = predict(model, corrupted, scale)
    total = squared_error(outputs, whole)
    metrics = {
        "total_squared_error": total,
        "loss": total / len(x),
        "mean_squared_error": total / x.size,
        "examples": len(outputs),
    }
    lines = [("original", x[:SHOWN]), ("reconstructed", outputs[:SHOWN])]
    if options.corruption:
        lines.insert(1, (f"{options.corruption:.0%} missing", corrupted[:SHOWN]))
    else:
        encoder, decoder = insights.halves(model)
        codes = predict(encoder, x, scale)
        with threadpool_limits(1):  # rounded alike on any number of cores
            linear = of_components(job.data.split("train")["x"], x, codes.shape[1]) * scale
            _draw_map(job, options.split, codes)
        lines.append((f"PCA, {codes.shape[1]}\ncomponents", linear[:SHOWN].clip(0, 1)))
        metrics["squared_error_per_example"] = total / len(x)
        metrics["squared_error_per_example_of_pca"] = squared_error(linear, whole) / len(x)
        if x.ndim == 3:
            _draw_walks(job, decoder, x, codes)
    if x.ndim == 3:
        path = job.figures / "reconstructions.png"
        images.rows(lines, f"{job.name}: what it makes of the {options.split} examples", path)
    return metrics


def squared_error(outputs: np.ndarray, whole: np.ndarray) -> float:
    """The sum over all values of all examples, neither halved nor averaged."""
    return float(np.square(outputs - whole).sum())


def of_components(train: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
    """What the first `count` principal components of `train` [n, ...] leave of x [m, ...].

    No linear code of so many numbers has a smaller squared error (Baldi and Hornik 1989).
    """
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    known, asked = (part.reshape(len(part), -1).astype(np.float32) for part in (train, x))
    pca = PCA(min(count, *known.shape), svd_solver="covariance_eigh")
    return pca.fit(known).inverse_transform(pca.transform(asked)).reshape(x.shape)


def walks(codes: np.ndarray, steps: int) -> np.ndarray:
    """Codes [n - 1, steps, k] along the straight line from each of codes [n, k] to the next."""
    share = np.linspace(0, 1, steps, dtype=codes.dtype)[:, None]
    return codes[:-1, None] * (1 - share) + codes[1:, None] * share


def _draw_map(job: Job, split: str, codes: np.ndarray) -> None:
    """The first codes as a map, by t-SNE (van der Maaten and Hinton 2008), where classes exist."""
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]

    from modelmill.figures import codes as figures

    names = job.data.meta.get("class_names")
    if names is None or len(codes) <= 3 * PERPLEXITY:
        return
    mapped = TSNE(perplexity=PERPLEXITY, max_iter=500, init="random", random_state=0)
    points = mapped.fit_transform(codes[:MAPPED])
    title = f"{job.name}: codes of {len(points):,} {split} examples, by class"
    truth = job.data.split(split)["y"][:MAPPED]
    figures.by_class(points, truth, names, title, job.figures / "codes.png")


def _draw_walks(job: Job, decoder: "keras.Model", x: np.ndarray, codes: np.ndarray) -> None:
    """What lies between the codes of two examples, which stand at the two ends of each row."""
    from modelmill.figures import images
    from modelmill.trained.inference import predict

    ways = walks(codes[:WALKED], STEPS)
    between = predict(decoder, ways.reshape(-1, codes.shape[1]), 1.0)
    between = between.reshape(*ways.shape[:2], *x.shape[1:])
    shown = x[:WALKED] * job.data.meta["scale"]
    lines = [
        ("", np.concatenate([shown[row : row + 1], way, shown[row + 1 : row + 2]]))
        for row, way in enumerate(between)
    ]
    title = f"{job.name}: on the straight line from one code to the next"
    images.rows(lines, title, job.figures / "walks.png")
