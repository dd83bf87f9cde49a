"""The fundamentals as pictures."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from modelmill.figures import BLACK, BLUE, GREEN, ORANGE, drawing
from modelmill.fundamentals import values


def draw(folder: Path) -> None:
    """Writes every picture into `folder`."""
    activations(folder / "activations.png")
    convolution_1d(folder / "convolution_1d.png")
    convolution_2d(folder / "convolution_2d.png")
    edges(folder / "edges.png")
    lstm(folder / "lstm.png")


def activations(path: Path) -> None:
    """Activation functions as surfaces over a neuron's weight and bias."""
    # Steps of 1/8 are exact in binary: w + b is 0 all along the edge of the step function.
    w, b, surfaces = values.activation_surfaces(limit=3.0, points=49)
    with drawing(path, 3.2 * len(surfaces), 3.9) as figure:
        figure.suptitle("Height: output f(w · 1 + b) of a neuron with the input 1")
        panels = figure.subplots(1, len(surfaces), subplot_kw={"projection": "3d"})
        for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
            # Antialiased, the seams between the facets would show.
            axes.plot_surface(
                w, b, surface, rstride=1, cstride=1, cmap="cividis", antialiased=False
            )
            axes.set(title=name, xlabel="weight w", ylabel="bias b")
            axes.set_xticks([-3, 0, 3])
            axes.set_yticks([-3, 0, 3])
            axes.zaxis.set_major_locator(MaxNLocator(4))
            axes.view_init(elev=24, azim=-60)  # nearly along w + b = 0, so that the profile shows


def convolution_1d(path: Path) -> None:
    """A convolution as a sum: a copy of the kernel for each element of the signal."""
    parts = values.contributions()
    colours = (BLUE, ORANGE, GREEN)
    with drawing(path, 11, 3.8) as figure:
        signal, kernel, result = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 5))
        _bars(signal, np.diag(values.SIGNAL), colours, f"signal {values.SIGNAL}")
        _bars(kernel, np.array([values.KERNEL]), (BLACK,), f"kernel {values.KERNEL}")
        _bars(result, parts, colours, f"full convolution {parts.sum(axis=0).tolist()}")
        signal.set_ylabel("value")


def _bars(axes: Axes, parts: np.ndarray, colours: tuple[str, ...], title: str) -> None:
    below = np.zeros(parts.shape[1], int)
    for part, colour in zip(parts, colours, strict=True):
        shown = part != 0
        bars = axes.bar(np.flatnonzero(shown), part[shown], bottom=below[shown], color=colour)
        axes.bar_label(bars, label_type="center", color="white", fontweight="bold")
        below += part
    axes.set(title=title, xlabel="position", xticks=range(parts.shape[1]))
    axes.grid(False, axis="x")
    axes.set_axisbelow(True)
    axes.set_xlim(-0.6, parts.shape[1] - 0.4)  # positions whose value is 0 have their place, too


def convolution_2d(path: Path) -> None:
    """An image, a kernel and their convolution in the three modes."""
    matrices = {
        "image": np.array(values.IMAGE),
        "kernel": np.array(values.DIFFERENCE),
        **{f"{mode} convolution": np.array(m) for mode, m in values.convolution_2d().items()},
    }
    with drawing(path, 14, 3.2, grid=False) as figure:
        panels = figure.subplots(1, 5, width_ratios=[m.shape[1] for m in matrices.values()])
        for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
            _heat_map(axes, matrix, name, 255, "{}")
            axes.set(xlabel="column", ylabel="row")


def edges(path: Path) -> None:
    """A photograph beside the magnitude of its convolution with the Laplacian kernel."""
    image = values.photograph()
    magnitude = np.abs(values.laplacian(image))
    with drawing(path, 11, 4.2, grid=False) as figure:
        left, right = figure.subplots(1, 2)
        left.imshow(image, cmap="gray")
        left.set_title("photograph")
        # The few strongest edges would leave all others too pale to see.
        right.imshow(magnitude, cmap="gray_r", vmax=np.percentile(magnitude, 98))
        right.set_title(f"edges: magnitude of the convolution with\n{values.LAPLACIAN}")
        for axes in (left, right):
            axes.set(xlabel="column", ylabel="row")


def lstm(path: Path) -> None:
    """Outputs and memory of one LSTM cell, and the outputs of two stacked ones step by step."""
    cell, stacked = values.lstm_cell(), values.stacked_lstm()
    with drawing(path, 10, 5.6, grid=False) as figure:
        panels = figure.subplots(2, 2)
        maps = {
            "one cell: output h": (cell["output"], "example"),
            "one cell: memory c": (cell["memory"], "example"),
            "two stacked cells: output for sequence 0": (stacked["output"][0], "step"),
            "two stacked cells: output for sequence 1": (stacked["output"][1], "step"),
        }
        for axes, (title, (matrix, rows)) in zip(panels.flat, maps.items(), strict=True):
            _heat_map(axes, np.array(matrix), title, 0.6, "{:.3f}")
            axes.set(xlabel="unit", ylabel=rows)


def _heat_map(axes: Axes, matrix: np.ndarray, title: str, limit: float, number: str) -> None:
    axes.imshow(matrix, cmap="PuOr_r", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if abs(value) > 0.7 * limit else BLACK
        text = number.format(value)
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_title(title)
    axes.set_xticks(range(matrix.shape[1]))
    axes.set_yticks(range(matrix.shape[0]))
