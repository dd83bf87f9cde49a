"""Evaluating a regression: squared error, and for a line its slope beside the least-squares one."""

import numpy as np

from modelmill.evaluation import Eval, Job
from modelmill.reference import Better
from modelmill.trained.history import read_history

METRICS: dict[str, Better] = {
    "slope_error": "lower",
    "intercept_error": "lower",
    "line_error": "lower",
}


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Squared error of an example; of a straight line also slope and intercept, compared."""
    from modelmill.trained import artifacts
    from modelmill.trained.inference import predict

    arrays = job.data.split(options.split)
    model = artifacts.restore(job.folder)
    errors = predict(model, arrays["x"], job.data.meta["scale"]) - arrays["y"].astype(np.float64)
    metrics = {"loss": float(np.square(errors).sum()) / len(errors), "examples": len(errors)}
    spec = job.card.spec
    from_one_to_one = spec.inputs["x"].shape == (1,) and spec.outputs == 1
    if job.card.settings["arch"] == "linear" and from_one_to_one:
        weights = np.concatenate([w.numpy().ravel() for w in model.weights])
        metrics |= _line(job, job.data.scaled(arrays["x"]), arrays["y"], weights)
    return metrics


def _line(job: Job, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Metrics and figures of a line with `weights` [slope] or [slope, intercept].

    Args:
        x: as the model sees them.
    """
    from modelmill.figures import curves
    from modelmill.trained import artifacts

    columns = np.hstack([x, np.ones_like(x)])[:, : len(weights)]
    solution = np.linalg.lstsq(columns.astype(np.float64), y.astype(np.float64))[0].ravel()
    (slope, intercept), (best, best_intercept) = _pair(weights), _pair(solution)
    lines = [("trained", slope, intercept), ("least squares", best, best_intercept)]
    title = f"{job.name}: the fitted line"
    curves.line_fit(x.ravel(), y.ravel(), lines, title, job.figures / "line.png")
    if job.card.settings["fit"]["snapshots"] is True:
        snapshots = artifacts.read_snapshots(job.folder)
        curves.line_over_time(
            x.ravel(),
            y.ravel(),
            read_history(job.folder).step.to_numpy(),
            np.array([_pair(snapshot) for snapshot in snapshots]),
            f"{job.name}: the line while it learns",
            job.figures / "line_over_time.png",
        )
    slope_error, intercept_error = abs(slope - best), abs(intercept - best_intercept)
    return {
        "slope": slope,
        "intercept": intercept,
        "slope_error": slope_error,
        "intercept_error": intercept_error,
        "line_error": max(slope_error, intercept_error),
    }


def _pair(weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept, which is 0 where there is none."""
    slope, intercept = [*weights.tolist(), 0.0][:2]
    return slope, intercept
