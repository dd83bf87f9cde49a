"""What changes while a model trains: metrics, perplexity, fitted lines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from modelmill.figures import BLACK, BLUE, GREEN, ORANGE, drawing
from modelmill.training import AXES

Panels: TypeAlias = Mapping[str, Mapping[str, pd.DataFrame]]
FEW = 30  # up to here each lap gets a dot


def learning_curves(history: pd.DataFrame, title: str, path: Path) -> None:
    """Each metric by epoch, training and validation; a logarithmic axis where it spans decades."""
    metrics = _metrics(history)
    with drawing(path, 5 * len(metrics), 3.6) as figure:
        for axes, metric in zip(
            np.atleast_1d(figure.subplots(1, len(metrics))), metrics, strict=True
        ):
            _two_curves(axes, history.epoch, history, metric)
            axes.set_title(f"{title}: {metric}")
            _by_epoch(axes)


def replicates(
    histories: Sequence[pd.DataFrame], bands: Mapping[str, pd.DataFrame], title: str, path: Path
) -> None:
    """The curves of several trainings of a model, in the band from the lowest to the highest.

    Args:
        histories: of each training a row per lap.
        bands: by column of theirs, at each epoch its lowest and highest value.
    """
    with drawing(path, 5 * len(bands), 3.6) as figure:
        places = np.atleast_1d(figure.subplots(1, len(bands)))
        for (column, band), axes in zip(bands.items(), places, strict=True):
            axes.fill_between(band.epoch, band.low, band.high, color=BLUE, alpha=0.25, linewidth=0)
            for history in histories:
                marker = "o" if len(history) < FEW else None
                axes.plot(history.epoch, history[column], marker=marker, color=BLUE, linewidth=0.8)
            if 0 < band.low.min() < band.high.max() / 30:
                axes.set_yscale("log")
            axes.set_ylabel(column.replace("_", " "))
            _by_epoch(axes)
        figure.suptitle(title)


def tables(history: pd.DataFrame) -> dict[str, str]:
    """The same curves as CSVs by metric, as .dvc/plots/curves.json draws them."""
    found = {}
    for metric in _metrics(history):
        columns = {metric: "training", f"validation_{metric}": "validation"}
        curves = history.filter(["epoch", *columns]).rename(columns=columns)
        points = curves.melt("epoch", var_name="curve", value_name="value")
        found[metric] = points.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return found


def _metrics(history: pd.DataFrame) -> list[str]:
    return [name for name in history if name not in AXES and not name.startswith("validation_")]


def pretraining(layers: Sequence[pd.DataFrame], title: str, path: Path) -> None:
    """How far off each layer's Boltzmann machine is by epoch, as a history has it."""
    with drawing(path, 5 * len(layers), 3.6) as figure:
        places = np.atleast_1d(figure.subplots(1, len(layers)))
        for number, (laps, axes) in enumerate(zip(layers, places, strict=True), start=1):
            _two_curves(axes, laps.epoch, laps, "reconstruction_error")
            axes.set_title(f"{title}: layer {number}")
            _by_epoch(axes)


def errors(panels: Panels, title: str, path: Path) -> None:
    """The share of validation examples that are mistaken by epoch, on logarithmic axes.

    Args:
        panels: by heading the histories of models that compare, by what each is.
    """
    with drawing(path, 5 * len(panels), 3.8) as figure:
        figure.suptitle(title)
        places = np.atleast_1d(figure.subplots(1, len(panels)))
        for (heading, histories), axes in zip(panels.items(), places, strict=True):
            for (name, history), colour, dash in zip(
                histories.items(), (BLUE, ORANGE), ("-", "--"), strict=True
            ):
                shares = 100 * (1 - history.validation_accuracy)
                axes.plot(history.epoch, shares, dash, color=colour, label=name)
            axes.set_title(heading, fontsize=10, fontweight="normal")
            axes.set(xlabel="epoch", ylabel="validation error, %", xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
            axes.legend()


def perplexity(history: pd.DataFrame, per_step: int, unit: str, title: str, path: Path) -> None:
    """Perplexity by epoch and by the tokens trained on, `per_step` in each step."""
    with drawing(path, 10, 3.8) as figure:
        by_epoch, by_tokens = figure.subplots(1, 2, sharey=True)
        _two_curves(by_epoch, history.epoch, history, "perplexity")
        by_epoch.set_title(f"{title}: perplexity by epoch")
        _by_epoch(by_epoch)
        _two_curves(by_tokens, history.step * per_step, history, "perplexity")
        by_tokens.set(title=f"… by training {unit}s", xlabel=f"{unit}s trained on")
        by_tokens.xaxis.set_major_formatter(EngFormatter(sep=""))


def _by_epoch(axes: Axes) -> None:
    """Whole epochs at the ticks, where there are enough of them."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=3))


def _two_curves(axes: Axes, x: pd.Series, history: pd.DataFrame, metric: str) -> None:
    """`metric` of training and validation, logarithmic where it spans decades."""
    marker = "o" if len(history) < FEW else None
    axes.plot(x, history[metric], "-", marker=marker, color=BLUE, label="training")
    shown = [history[metric]]
    if (validation := f"validation_{metric}") in history:
        axes.plot(x, history[validation], "--", marker=marker, color=ORANGE, label="validation")
        shown.append(history[validation])
    values = pd.concat(shown)
    if 0 < values.min() < values.max() / 30:
        axes.set_yscale("log")
    axes.set_ylabel(metric.replace("_", " "))
    axes.legend()


def line_fit(
    x: np.ndarray,
    y: np.ndarray,
    lines: Sequence[tuple[str, float, float]],
    title: str,
    path: Path,
) -> None:
    """Points and straight lines, each line as its label, slope and intercept."""
    with drawing(path, 6, 4) as figure:
        axes, ends = _points(figure, x, y)
        for (name, slope, intercept), colour, dash in zip(
            lines, (ORANGE, BLUE, GREEN), ("-", "--", ":"), strict=False
        ):
            label = f"{name}: {slope:.4f} x + {intercept:.4f}"
            axes.plot(ends, slope * ends + intercept, dash, color=colour, label=label)
        axes.set_title(title)
        axes.legend()


def line_over_time(
    x: np.ndarray,
    y: np.ndarray,
    steps: np.ndarray,
    lines: np.ndarray,
    title: str,
    path: Path,
) -> None:
    """Points, and a line (slope, intercept) after each of `steps`, from dark to light."""
    with drawing(path, 7, 4) as figure:
        axes, ends = _points(figure, x, y)
        # Without the last yellows, which are too pale on white.
        colours = ListedColormap(mpl.colormaps["plasma"](np.linspace(0, 0.9, 256)))
        shade = mpl.colors.Normalize(0, steps[-1])
        for step, (slope, intercept) in zip(steps, lines, strict=True):
            axes.plot(ends, slope * ends + intercept, color=colours(shade(step)), linewidth=1.2)
        axes.set_title(title)
        scale = mpl.cm.ScalarMappable(shade, colours)
        figure.colorbar(scale, ax=axes, label="training step")


def _points(figure: Figure, x: np.ndarray, y: np.ndarray) -> tuple[Axes, np.ndarray]:
    """Draws the data; returns the axes, and the two ends of a line across them."""
    axes = figure.subplots()
    axes.scatter(x, y, s=14, color=BLACK, alpha=0.5, label="data")
    axes.set(xlabel="x", ylabel="y")
    axes.xaxis.set_major_locator(MaxNLocator(7))
    return axes, np.array([x.min(), x.max()])
