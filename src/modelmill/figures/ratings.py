"""How far predicted ratings are off, and for whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from modelmill.figures import BLACK, BLUE, ORANGE, drawing

Lines: TypeAlias = Mapping[str, tuple[np.ndarray, np.ndarray]]  # x and y by what they are of


def errors(panels: Sequence[tuple[str, Lines]], title: str, path: Path) -> None:
    """Root mean squared errors over numbers of ratings; a panel is labelled with whose they are."""
    with drawing(path, 10, 3.8) as figure:
        figure.suptitle(title)
        for axes, (label, lines) in zip(
            figure.subplots(1, len(panels), sharey=True), panels, strict=True
        ):
            _dotted(axes, lines)
            axes.set(xlabel=label, xscale="log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_ylabel("RMSE, stars")


def calibration(lines: Lines, stars: int, title: str, path: Path) -> None:
    """Mean ratings that were given where about x stars were predicted."""
    with drawing(path, 5, 4.4) as figure:
        axes = figure.subplots()
        axes.plot([1, stars], [1, stars], ":", color=BLACK, label="as predicted")
        _dotted(axes, lines)
        axes.set(title=title, xlabel="predicted stars", ylabel="given stars, mean")


def _dotted(axes: Axes, lines: Lines) -> None:
    for (name, (x, y)), colour, dash in zip(
        lines.items(), (BLUE, ORANGE), ("-", "--"), strict=True
    ):
        axes.plot(x, y, dash, marker="o", color=colour, label=name)
    axes.legend()
