"""Evaluating a regression: squared error, and for a line its slope beside the least-squares one."""

import numpy as np

from modelmill.evaluation import Job
from modelmill.params import Section


class Eval(Section):
    """The split to measure on."""

    split: str


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Mean squared error; slope, intercept, and how far they are from least squares."""
    from modelmill import artifacts, figures
    from modelmill.inference import predict

    arrays = job.data.split(options.split)
    x, y = arrays["x"].astype(np.float64), arrays["y"].astype(np.float64)
    model = artifacts.restore(job.folder)
    slope, *rest = (float(weight.numpy().ravel()[0]) for weight in model.weights)
    intercept = rest[0] if rest else 0.0
    columns = np.hstack([x, np.ones_like(x)] if rest else [x])
    best, *best_rest = np.linalg.lstsq(columns, y)[0].ravel().tolist()
    best_intercept = best_rest[0] if best_rest else 0.0
    figures.line_fit(
        x.ravel(),
        y.ravel(),
        [("trained", slope, intercept), ("least squares", best, best_intercept)],
        f"{job.name}: the fitted line",
        job.figures / "line.png",
    )
    errors = predict(model, arrays["x"], job.data.meta["scale"]) - y
    return {
        "loss": float(np.mean(errors**2)),
        "slope": slope,
        "intercept": intercept,
        "slope_error": abs(slope - best),
        "intercept_error": abs(intercept - best_intercept),
        "examples": len(x),
    }
