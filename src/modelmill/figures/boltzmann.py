"""What a Boltzmann machine's units do, and what chains say of its partition function."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from modelmill.figures import BLACK, BLUE, ORANGE, drawing

SHOWN = 200  # examples


def activity(hidden: np.ndarray, title: str, path: Path) -> None:
    """Probabilities of hidden units [examples, units]: of the first examples, and mean ones."""
    with drawing(path, 10, 3.8, grid=False) as figure:
        figure.suptitle(title)
        left, right = figure.subplots(1, 2)
        picture = left.imshow(hidden[:SHOWN], cmap="gray_r", aspect="auto", vmin=0, vmax=1)
        left.set(xlabel="hidden unit", ylabel="example")
        figure.colorbar(picture, ax=left, label="probability of being on")
        right.hist(hidden.mean(axis=0), np.linspace(0, 1, 41), color=BLUE)
        right.set(xlabel="share of the examples that a unit is on for", ylabel="units")
        right.xaxis.set_major_formatter(PercentFormatter(1))


def log_z(estimates: Mapping[str, tuple[float, np.ndarray]], title: str, path: Path) -> None:
    """By way of estimating log Z: what its chains say of it, each alone, and what all do."""
    with drawing(path, 7, 3.8) as figure:
        axes = figure.subplots()
        every = np.concatenate([by_chain for _, by_chain in estimates.values()])
        bins = np.histogram_bin_edges(every, 40).tolist()
        for (name, (middle, by_chain)), colour, dash in zip(
            estimates.items(), (BLUE, ORANGE), ("-", "--"), strict=True
        ):
            axes.hist(by_chain, bins, color=colour, alpha=0.5, label=f"{name}, a chain alone")
            axes.axvline(middle, color=BLACK, linestyle=dash, label=f"{name}, all: {middle:.2f}")
        axes.set(title=title, xlabel="log Z, nats", ylabel="chains")
        axes.legend()
