"""Noisy points of a straight line (line.csv, columns x and y)."""

from pathlib import Path

import numpy as np

from modelmill.datasets.processed import describe
from modelmill.errors import ModelmillError
from modelmill.schema import Section

FILE = "line.csv"

SPLITS = ("train",)
ARRAYS = {"x": "values", "y": "values"}


class Options(Section):
    """Nothing to choose: every point is for training."""


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes x, y float32 [points, 1]; all points are for training, as the tutorials have it.

    Raises:
        ModelmillError: the file is missing or not two columns of numbers.
    """
    try:
        _, *lines = (raw / FILE).read_text(encoding="utf-8").splitlines() or [""]
        if not any(map(str.strip, lines)):
            raise ValueError("no rows")
        with np.errstate(over="ignore"):
            points = np.loadtxt(lines, np.float32, delimiter=",", comments=None, ndmin=2)
        if points.shape[1] != 2:
            raise ValueError(f"{points.shape[1]} columns instead of x,y")
        if not np.isfinite(points).all():
            raise ValueError("a value that is no number, or too large for one")
    except (OSError, ValueError) as error:
        raise ModelmillError(f"{raw / FILE}: not the points of a line: {error!s:.200}") from None
    np.save(out / "x.npy", points[:, :1])
    np.save(out / "y.npy", points[:, 1:])
    describe(out, {"train": (0, len(points))}, input_shape=[1], outputs=1, scale=1.0)
