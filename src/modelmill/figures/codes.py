"""The codes that an autoencoder gives examples, seen from above."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke

from modelmill.figures import BLACK, drawing


def by_class(
    points: np.ndarray, truth: np.ndarray, names: Sequence[str], title: str, path: Path
) -> None:
    """Points [n, 2] coloured by their classes [n], each class named where its middle is."""
    colours = ListedColormap(mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(names))))
    with drawing(path, 6.4, 6.0, grid=False) as figure:
        axes = figure.subplots()
        x, y = points.T
        axes.scatter(x, y, 8, truth, cmap=colours, vmin=0, vmax=len(names) - 1)
        for index in np.unique(truth):
            middle = np.median(points[truth == index], axis=0)
            outline = [withStroke(linewidth=3, foreground="white")]
            axes.annotate(
                names[index],
                middle,
                color=BLACK,
                fontsize=14,
                fontweight="bold",
                ha="center",
                va="center",
                path_effects=outline,
                parse_math=False,
            )
        axes.set(title=title, xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
