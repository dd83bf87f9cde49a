"""Images in grids: digits, weights, filters, feature maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelmill.figures import drawing

GAP = 1  # pixels between the tiles of a mosaic


def grid(
    images: np.ndarray, captions: Sequence[str], title: str, path: Path, signed: bool = False
) -> None:
    """Images [n, rows, columns] in rows of six, or two rows of five, each with its caption.

    Args:
        signed: whether values around zero matter: purple below, white at, and orange above it.
    """
    columns = 5 if len(images) == 10 else 6
    rows = max(1, -(-len(images) // columns))
    with drawing(path, 1.5 * columns, 1.75 * rows + 0.5, grid=False) as figure:
        figure.suptitle(title)
        for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            axes.axis("off")
            if index < len(images):
                axes.imshow(images[index], **_colours(images if signed else None))
                axes.set_title(captions[index], fontsize=8, fontweight="normal", parse_math=False)


def rows(lines: Sequence[tuple[str, np.ndarray]], title: str, path: Path) -> None:
    """Rows of grey images of one size, each row with its name at the left.

    The lowest of all values is white and the highest black.
    """
    count, height, _ = lines[0][1].shape
    table = tile(np.concatenate([images for _, images in lines]), count)
    with drawing(path, 1.1 * count + 1, 1.05 * len(lines) + 0.5, grid=False) as figure:
        figure.suptitle(title)
        axes = figure.subplots()
        axes.imshow(table, cmap="gray_r")
        middles = (height + GAP) * np.arange(len(lines)) + (height - 1) / 2
        axes.set_yticks(middles, [name for name, _ in lines])
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def mosaics(parts: Sequence[tuple[str, np.ndarray]], title: str, path: Path, signed: bool) -> None:
    """Many images [n, rows, columns] side by side; each part has a heading and tiles of a size."""
    tiled = [(name, tile(images)) for name, images in parts]
    width = 9.0
    heights = [width * picture.shape[0] / picture.shape[1] for _, picture in tiled]
    with drawing(path, width, sum(heights) + 0.4 * len(parts) + 0.4, grid=False) as figure:
        figure.suptitle(title)
        places = figure.subplots(
            len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, (name, picture) in zip(places.flat, tiled, strict=True):
            axes.imshow(picture, **_colours(picture if signed else None))
            axes.set_title(name, fontsize=10, fontweight="normal")
            axes.axis("off")


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """One picture of images [n, height, width], so many a line, NaN between them.

    Args:
        columns: by default twice as many as there are lines, but at least eight.
    """
    count, height, width = images.shape
    columns = columns or max(8, int(np.ceil(np.sqrt(2 * count))))
    lines = -(-count // columns)
    cells = np.full((lines * columns, height + GAP, width + GAP), np.nan)
    cells[:count, :height, :width] = images
    table = cells.reshape(lines, columns, height + GAP, width + GAP)
    return table.swapaxes(1, 2).reshape(lines * (height + GAP), -1)[:-GAP, :-GAP]


def _colours(signed: np.ndarray | None) -> dict:
    if signed is None:
        return {"cmap": "gray_r"}
    limit = np.nanmax(np.abs(signed))
    return {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}
