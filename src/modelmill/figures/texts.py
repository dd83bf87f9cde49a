"""What a language model makes of a text: how probable it finds each token."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from modelmill.figures import BLACK, BLUE, ORANGE, drawing

COLUMNS, LINES = 84, 22  # of characters shown
POINTS = 8.5  # height of a character
WIDTH, HEIGHT = 0.602 * POINTS / 72, 1.7 * POINTS / 72  # inches of a DejaVu Sans Mono's cell
FACE = "DejaVu Sans Mono"  # matplotlib brings it
END = "<eos>"
Panels: TypeAlias = Mapping[str, np.ndarray]


def passage(tokens: Sequence[str], losses: np.ndarray, words: bool, title: str, path: Path) -> None:
    """The beginning of a text, the ground of each token coloured by its probability.

    Args:
        losses: negative log-likelihood of each token in nats [tokens].
        words: whether tokens are words, which stand apart, or characters.
    """
    lines = layout(tokens, np.exp(-losses), words)[:LINES]
    shares = np.full((len(lines), COLUMNS), np.nan)
    for row, (_, known) in enumerate(lines):
        shares[row, : len(known)] = known
    with drawing(path, COLUMNS * WIDTH + 1.4, len(lines) * HEIGHT + 0.7, grid=False) as figure:
        axes = figure.subplots()
        edges = np.arange(COLUMNS + 1), np.arange(len(lines) + 1)
        mesh = axes.pcolormesh(*edges, shares, cmap="Blues", vmin=0, vmax=1, alpha=0.75)
        for row, (text, known) in enumerate(lines):
            for column, (character, share) in enumerate(zip(text, known, strict=True)):
                colour = "white" if share > 0.75 else BLACK
                place = (column + 0.5, row + 0.53)
                axes.text(
                    *place,
                    character,
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=POINTS,
                    fontfamily=FACE,
                    parse_math=False,
                )
        axes.set(title=title, xticks=[], yticks=[], ylim=(len(lines), 0))
        axes.spines[:].set_visible(False)
        figure.colorbar(mesh, label="probability, before it was read", shrink=0.8, pad=0.01)


def layout(tokens: Sequence[str], shares: np.ndarray, words: bool) -> list[tuple[str, list[float]]]:
    """The text in lines of at most `COLUMNS` characters, with the value of each character.

    A line ends where the text has one; spaces between words have the value NaN.
    """
    lines: list[tuple[str, list[float]]] = [("", [])]
    for token, share in zip(tokens, shares.tolist(), strict=True):
        text, known = lines[-1]
        ends = token in (END, "\n")
        shown = "↵" if ends else token[:COLUMNS]
        gap = " " if words and text else ""
        if len(text) + len(gap) + len(shown) > COLUMNS:
            lines.append(("", []))
            (text, known), gap = lines[-1], ""
        lines[-1] = text + gap + shown, known + [np.nan] * len(gap) + [share] * len(shown)
        if ends:
            lines.append(("", []))
    return lines if lines[-1][0] else lines[:-1]


def over_time(tokens: Sequence[str], panels: Panels, words: bool, title: str, path: Path) -> None:
    """What units of a layer do while it reads: a panel for each thing they do, a row for each unit.

    Args:
        panels: values [tokens, units] by what they are of, the units in the same order: shares
            from 0 to 1, or what has signs, which is white at 0.
        words: whether tokens are words, which are written from bottom to top.
    """
    width = (0.31 if words else 0.19) * len(tokens) + 1.3
    height = 1.35 * max(len(panels), 2) + (2.6 if words else 1.2)
    with drawing(path, width, height, grid=False) as figure:
        figure.suptitle(title)
        places = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for (name, values), axes in zip(panels.items(), places, strict=True):
            shades = _shades(values)
            picture = axes.imshow(values.T, aspect="auto", interpolation="nearest", **shades)
            figure.colorbar(picture, ax=axes, pad=0.01)
            axes.set(ylabel=name, yticks=[])
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0, labelrotation=90 if words else 0)
        font = {} if words else {"fontfamily": FACE}
        places[0].set_xticks(range(len(tokens)), map(_shown, tokens), parse_math=False, **font)
        places[0].tick_params(labeltop=len(panels) > 1)


def _shades(values: np.ndarray) -> dict[str, Any]:
    if values.min() >= 0:
        return {"cmap": "viridis", "vmin": 0, "vmax": 1}
    limit = np.percentile(np.abs(values), 99)  # the very largest would leave all others pale
    # Without their darkest ends, which look alike.
    colours = ListedColormap(mpl.colormaps["PuOr_r"](np.linspace(0.1, 0.9, 256)))
    return {"cmap": colours, "vmin": -limit, "vmax": limit}


def _shown(token: str) -> str:
    return {"\n": "↵", " ": "␣", END: "↵"}.get(token, token)


def extremes(
    best: Sequence[tuple[str, float]], worst: Sequence[tuple[str, float]], title: str, path: Path
) -> None:
    """The tokens that a model predicts best and worst, with their mean loss in nats."""
    height = 0.9 + 0.24 * max(len(best), len(worst))
    with drawing(path, 8.4, height, grid=False) as figure:
        figure.suptitle(title)
        left, right = figure.subplots(1, 2)
        _bars(left, best, BLUE, "best predicted")
        _bars(right, worst, ORANGE, "worst predicted")


def _bars(axes: Axes, tokens: Sequence[tuple[str, float]], colour: str, title: str) -> None:
    names = [{"\n": "↵", " ": "space"}.get(token, token) for token, _ in tokens]
    places, losses = range(len(tokens)), [loss for _, loss in tokens]
    axes.barh(places, losses, color=colour)
    axes.set_yticks(places, names, fontfamily=FACE, parse_math=False)
    axes.bar_label(axes.containers[0], [f"{loss:.2f}" for loss in losses], padding=3, fontsize=8)  # type: ignore[arg-type]
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set(title=title, xlabel="mean loss in nats")
