"""How far predicted ratings are off, and for whom."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
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


def blend(shares: np.ndarray, errors: np.ndarray, share: float, title: str, path: Path) -> None:
    """The error on validation ratings by the share of the machine of items, and the one in use."""
    with drawing(path, 5.6, 4) as figure:
        axes = figure.subplots()
        axes.plot(shares, errors, "-", marker="o", color=BLUE, label="validation")
        axes.axvline(share, linestyle="--", color=ORANGE, label=f"in use: {share:g}")
        axes.set(title=title, xlabel="share of the machine of items", ylabel="RMSE, stars")
        axes.legend()


def neighbours(
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], title: str, path: Path
) -> None:
    """A line of films for each film: those most like it, the more so the darker, from 0 to 1."""
    width = 1 + max(len(near) for _, near in rows)
    with drawing(path, 2.3 * width, 0.9 + 0.55 * len(rows), grid=False) as figure:
        axes = figure.subplots()
        axes.set(title=title, xlim=(0, width), ylim=(len(rows), 0))
        axes.axis("off")
        for line, (film, near) in enumerate(rows):
            _cell(axes, 0, line, film, 0.0, "bold")
            for column, (other, likeness) in enumerate(near, start=1):
                _cell(axes, column, line, f"{other}  {likeness:.2f}", likeness, "normal")


def _cell(axes: Axes, column: int, line: int, text: str, shade: float, weight: str) -> None:
    colour = to_rgba(BLUE, 0.6 * min(max(shade, 0.0), 1.0))
    axes.add_patch(Rectangle((column + 0.02, line + 0.06), 0.96, 0.88, color=colour, linewidth=0))
    text = textwrap.fill(textwrap.shorten(text, 64, placeholder=" …"), 32)
    place = (column + 0.05, line + 0.5)
    axes.text(*place, text, va="center", fontsize=8, fontweight=weight, parse_math=False)


def _dotted(axes: Axes, lines: Lines) -> None:
    for (name, (x, y)), colour, dash in zip(
        lines.items(), (BLUE, ORANGE), ("-", "--"), strict=True
    ):
        axes.plot(x, y, dash, marker="o", color=colour, label=name)
    axes.legend()
