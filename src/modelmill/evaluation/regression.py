"""Evaluating a regression: squared error, and for a line its slope beside the least-squares one."""

import numpy as np

from modelmill.evaluation import Job
from modelmill.schema import Section

METRICS = ("loss", "slope", "intercept", "slope_error", "intercept_error", "line_error")


class Eval(Section):
    """The split to measure on."""

    split: str


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Mean squared error; for a straight line also slope and intercept, drawn and compared."""
    from modelmill import artifacts
    from modelmill.inference import predict

    arrays = job.data.split(options.split)
    model = artifacts.restore(job.folder)
    errors = predict(model, arrays["x"], job.data.meta["scale"]) - arrays["y"].astype(np.float64)
    metrics = {"loss": float(np.mean(errors**2)), "examples": len(errors)}
    if job.card.settings["arch"] == "linear" and job.card.spec.inputs == (1,):
        slope, intercept = [*(w.numpy().item() for w in model.weights), 0.0][:2]
        bias = len(model.weights) == 2
        metrics |= _line(job, arrays["x"], arrays["y"], slope, intercept, bias)
    return metrics


def _line(
    job: Job, x: np.ndarray, y: np.ndarray, slope: float, intercept: float, bias: bool
) -> dict[str, float]:
    from modelmill import figures

    columns = np.hstack([x, np.ones_like(x)]) if bias else x
    solution = np.linalg.lstsq(columns.astype(np.float64), y.astype(np.float64))[0]
    best, best_intercept = [*solution.ravel().tolist(), 0.0][:2]
    lines = [("trained", slope, intercept), ("least squares", best, best_intercept)]
    title = f"{job.name}: the fitted line"
    figures.line_fit(x.ravel(), y.ravel(), lines, title, job.figures / "line.png")
    return {
        "slope": slope,
        "intercept": intercept,
        "slope_error": abs(slope - best),
        "intercept_error": abs(intercept - best_intercept),
    }
