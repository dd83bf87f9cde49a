"""What a classifier decides: confusion, regions, and how a decision grows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap

from modelmill.figures import BLACK, BLUE, GREEN, ORANGE, drawing

MARKERS = "osD^vP*X"
COLOURS = [BLUE, ORANGE, GREEN, BLACK, "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"]

DISTINCT = len(COLOURS)
LEGIBLE = 25  # classes whose counts have room in a matrix


def confusion_matrix(counts: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """True classes down, predicted across; shade by share of the true class.

    Counts are written where they can be read.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing(path, 6.4, 5.6, grid=False) as figure:
        axes = figure.subplots()
        # A square root brings out the few mistakes beside the many right answers.
        image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts) if len(names) <= LEGIBLE else ():
            colour = "white" if shares[row, column] > 0.4 else BLACK
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)
        axes.set(title=title, xlabel="predicted", ylabel="true")
        axes.set_xticks(range(len(names)), names, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
        bar = figure.colorbar(image, ticks=np.sqrt([0, 0.01, 0.1, 0.5, 1]), shrink=0.8)
        bar.set_ticklabels(["0", "1 %", "10 %", "50 %", "100 %"])
        bar.set_label("share of the true class")


def decision_regions(
    grid: tuple[np.ndarray, np.ndarray],
    decided: np.ndarray,
    points: np.ndarray,
    truth: np.ndarray,
    axis_names: Sequence[str],
    names: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """The plane of two inputs, coloured by the class decided there, and examples on it.

    Args:
        grid: the places on each axis where `decided` [second axis, first axis] is known.
        points, truth: examples [n, 2] and their classes.
    """
    with drawing(path, 6.4, 4.8, grid=False) as figure:
        axes = figure.subplots()
        colours = COLOURS[: len(names)]
        regions = ListedColormap(colours)
        axes.pcolormesh(*grid, decided, cmap=regions, vmin=0, vmax=len(names) - 1, alpha=0.25)
        for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
            shown, marker = points[truth == index], MARKERS[index]
            x, y = shown[:, 0], shown[:, 1]
            axes.scatter(x, y, 28, colour, marker=marker, edgecolor="white", label=_plain(name))
        first, second = map(_plain, axis_names)
        axes.set(title=title, xlabel=first, ylabel=second)
        axes.legend(loc="upper left", frameon=True)


def _plain(name: str) -> str:
    """A name as it is, for what would take some of it for mathematics."""
    return name.replace("$", r"\$")


def reading(
    images: np.ndarray, probabilities: np.ndarray, names: Sequence[str], title: str, path: Path
) -> None:
    """Images [n, rows, columns], each beside the classes' probabilities after each row.

    Args:
        probabilities: [n, rows, classes].
    """
    with drawing(path, 3.1 * len(images), 3.6, grid=False) as figure:
        figure.suptitle(title)
        pairs = figure.subplots(1, 2 * len(images), sharey=True, squeeze=False)[0]
        for index, (image, shares) in enumerate(zip(images, probabilities, strict=True)):
            left, right = pairs[2 * index : 2 * index + 2]
            left.imshow(image, cmap="gray_r", aspect="auto")
            left.set_xticks([])
            picture = right.imshow(shares, cmap="viridis", aspect="auto", vmin=0, vmax=1)
            right.set_xticks(range(len(names)), names, fontsize=8, parse_math=False)
            right.set_xlabel("class")
        pairs[0].set_ylabel("rows read so far")
        figure.colorbar(picture, ax=pairs[-1], label="probability")
