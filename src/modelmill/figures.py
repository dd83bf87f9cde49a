"""One look for all figures: legible, colour-blind safe, the same bytes for the same data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito 2008, distinguishable with any kind of colour blindness.
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#222222"
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG without the time or version that would make its bytes differ."""
    figure.savefig(path, dpi=120, metadata={"Software": None})


def learning_curves(history: pd.DataFrame, title: str, path: Path) -> None:
    """Each metric by epoch, training and validation; a logarithmic axis where it spans decades."""
    metrics = [
        name
        for name in history
        if name not in ("step", "epoch", "learning_rate") and not name.startswith("validation_")
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5 * len(metrics), 3.6))
        for axes, metric in zip(
            np.atleast_1d(figure.subplots(1, len(metrics))), metrics, strict=True
        ):
            marker = "o" if len(history) < 30 else None
            axes.plot(
                history.epoch, history[metric], "-", marker=marker, color=BLUE, label="training"
            )
            shown = [history[metric]]
            if (validation := f"validation_{metric}") in history:
                axes.plot(
                    history.epoch,
                    history[validation],
                    "--",
                    marker=marker,
                    color=ORANGE,
                    label="validation",
                )
                shown.append(history[validation])
            values = pd.concat(shown)
            if 0 < values.min() < values.max() / 30:
                axes.set_yscale("log")
            axes.set(title=f"{title}: {metric}", xlabel="epoch", ylabel=metric)
            axes.legend()
        save(figure, path)


def confusion_matrix(counts: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """True classes down, predicted across; shade by share of the true class, counts written."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.4, 5.6))
        axes = figure.subplots()
        # A square root brings out the few mistakes beside the many right answers.
        image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.4 else BLACK
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)
        axes.set(title=title, xlabel="predicted", ylabel="true")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        bar = figure.colorbar(image, ticks=np.sqrt([0, 0.01, 0.1, 0.5, 1]), shrink=0.8)
        bar.set_ticklabels(["0", "1 %", "10 %", "50 %", "100 %"])
        bar.set_label("share of the true class")
        save(figure, path)


def image_grid(images: np.ndarray, captions: Sequence[str], title: str, path: Path) -> None:
    """Grey images [n, rows, columns] in rows of six, each with its caption."""
    columns = 6
    rows = max(1, -(-len(images) // columns))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(1.5 * columns, 1.75 * rows + 0.5))
        figure.suptitle(title, fontweight="bold", fontsize=12)
        for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            axes.axis("off")
            if index < len(images):
                axes.imshow(images[index], cmap="gray_r")
                axes.set_title(captions[index], fontsize=8, fontweight="normal")
        save(figure, path)


def line_fit(
    x: np.ndarray,
    y: np.ndarray,
    lines: Sequence[tuple[str, float, float]],
    title: str,
    path: Path,
) -> None:
    """Points and straight lines, each line as its label, slope and intercept."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 4))
        axes = figure.subplots()
        axes.scatter(x, y, s=14, color=BLACK, alpha=0.5, label="data")
        ends = np.array([x.min(), x.max()])
        for (name, slope, intercept), colour, dash in zip(
            lines, (ORANGE, BLUE, GREEN), ("-", "--", ":"), strict=False
        ):
            label = f"{name}: {slope:.4f} x + {intercept:.4f}"
            axes.plot(ends, slope * ends + intercept, dash, color=colour, label=label)
        axes.set(title=title, xlabel="x", ylabel="y")
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.legend()
        save(figure, path)
