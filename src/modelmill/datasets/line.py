"""Noisy points of a straight line (line.csv, columns x and y)."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from modelmill.datasets.processed import describe
from modelmill.datasets.settings import Seeded
from modelmill.errors import ModelmillError
from modelmill.schema import PositiveInt, Section

FILE, HEADER = "line.csv", "x,y"

SPLITS = ("train",)
ARRAYS = {"x": "values", "y": "values"}


class Options(Section):
    """Nothing to choose: every point is for training."""


class Generate(Seeded):
    """y = slope x + intercept + N(0, noise), x `even`ly spaced or `random` in [low, high].

    Attributes:
        points: how many.
        x: how they lie between `low` and `high`.
        low: the smallest x.
        high: the largest x.
        slope: of the line.
        intercept: of the line, at x = 0.
        noise: standard deviation of the points from the line.
    """

    points: PositiveInt
    x: Literal["even", "random"]
    low: float
    high: float
    slope: float
    intercept: float
    noise: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _has_a_span(self) -> "Generate":
        if not 0 < self.high - self.low < np.inf:
            raise ValueError("high is above low, by a finite number")
        return self


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes x, y float32 [points, 1]; all points are for training, as the tutorials have it.

    Raises:
        ModelmillError: the file is missing or not two columns of numbers.
    """
    try:
        header, *lines = (raw / FILE).read_text(encoding="utf-8-sig").splitlines() or [""]
        if header.replace(" ", "").replace('"', "") != HEADER:
            raise ValueError(f"its first line is not {HEADER}")
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


def generate(raw: Path, settings: Generate) -> None:
    """Makes up line.csv."""
    rng = np.random.default_rng(settings.seed)
    if settings.x == "even":
        x = np.linspace(settings.low, settings.high, settings.points)
    else:
        x = rng.uniform(settings.low, settings.high, settings.points)
    y = settings.slope * x + settings.intercept + rng.normal(0, settings.noise, settings.points)
    np.savetxt(raw / FILE, np.stack([x, y], 1), "%.9g", ",", header=HEADER, comments="")
