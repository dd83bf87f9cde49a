"""One look for all figures: legible, colour-blind safe, the same bytes for the same data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Okabe and Ito 2008, distinguishable with any kind of colour blindness.
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#222222"
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


@contextmanager
def drawing(path: Path, width: float, height: float, grid: bool = True) -> Iterator[Figure]:
    """Yields a figure of that many inches, and saves it as a PNG."""
    with mpl.rc_context({**STYLE, "axes.grid": grid}):
        figure = Figure(figsize=(width, height))
        yield figure
        # Without the version of the library, which would make the bytes differ.
        figure.savefig(path, dpi=120, metadata={"Software": None})
