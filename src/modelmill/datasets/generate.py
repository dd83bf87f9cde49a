"""Raw files made from a seed: the line fits, and stand-ins in the real formats for smoke runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from modelmill.datasets import line, mnist, ptb, text
from modelmill.schema import PositiveInt, Section

# Each digit as 7 rows of 5 pixels, a row in the low 5 bits of a number.
FONT = np.array(
    [
        [0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E],
        [0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E],
        [0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F],
        [0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E],
        [0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02],
        [0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E],
        [0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E],
        [0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        [0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E],
        [0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C],
    ]
)
DETERMINERS = ["The", "A", "Every", "No"]
ADJECTIVES = ["small", "old", "quiet", "bright", "weary", "<unk>"]
NOUNS = ["miller", "river", "wheel", "king", "market", "lantern", "storm", "N"]
VERBS = ["turns", "sees", "follows", "leaves", "hears", "keeps"]
SPEAKERS = ["ROMEO", "JULIET", "MILLER", "KING"]


class Seed(Section):
    """What a generator needs at least."""

    seed: Annotated[int, Field(ge=0)]


class Line(Seed):
    """y = slope x + intercept + N(0, noise), x `even`ly spaced or `random` in [low, high]."""

    points: PositiveInt
    x: Literal["even", "random"]
    low: float
    high: float
    slope: float
    intercept: float
    noise: Annotated[float, Field(ge=0)]


def points(raw: Path, options: Line) -> None:
    """line.csv: noisy points of a line."""
    rng = np.random.default_rng(options.seed)
    if options.x == "even":
        x = np.linspace(options.low, options.high, options.points)
    else:
        x = rng.uniform(options.low, options.high, options.points)
    y = options.slope * x + options.intercept + rng.normal(0, options.noise, options.points)
    np.savetxt(raw / line.FILE, np.stack([x, y], 1), "%.9g", ",", header="x,y", comments="")


def digits(raw: Path, options: Seed) -> None:
    """MNIST's four IDX files with 6,000 + 1,000 digits drawn from a font, moved and faded."""
    rng = np.random.default_rng(options.seed)
    shapes = (FONT[:, :, None] >> np.arange(4, -1, -1) & 1).repeat(3, axis=1).repeat(3, axis=2)
    height, width = shapes.shape[1:]
    for prefix, count in (("train", 6000), ("t10k", 1000)):
        labels = rng.integers(0, 10, count, np.uint8)
        top = rng.integers(0, 28 - height, (count, 1, 1)) + np.arange(height)[:, None]
        left = rng.integers(0, 28 - width, (count, 1, 1)) + np.arange(width)
        ink = rng.integers(128, 256, (count, 1, 1))
        images = rng.integers(0, 32, (count, 28, 28), np.uint8)
        images[np.arange(count)[:, None, None], top, left] |= (shapes[labels] * ink).astype(
            np.uint8
        )
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(mnist.format_idx(images))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(mnist.format_idx(labels))


def sentences(count: int, rng: np.random.Generator) -> list[str]:
    """Determiner, adjective, noun, verb, determiner, noun; some words likelier than others."""
    parts = [DETERMINERS, ADJECTIVES, NOUNS, VERBS, DETERMINERS, NOUNS]
    columns = [
        np.array(part)[(len(part) * rng.random(count) ** 2).astype(int)].tolist() for part in parts
    ]
    return [" ".join(sentence) for sentence in zip(*columns, strict=True)]


def treebank(raw: Path, options: Seed) -> None:
    """Penn Treebank's three files, filled from the grammar."""
    rng = np.random.default_rng(options.seed)
    for name, count in zip(ptb.SPLITS.values(), (3000, 300, 300), strict=True):
        lines = [f" {sentence.lower()} \n" for sentence in sentences(count, rng)]
        (raw / name).write_text("".join(lines).replace(" n ", " N "), encoding="utf-8")


def play(raw: Path, options: Seed) -> None:
    """input.txt: speeches made from the grammar."""
    rng = np.random.default_rng(options.seed)
    speakers = rng.choice(SPEAKERS, 2000).tolist()
    speeches = zip(speakers, sentences(2000, rng), strict=True)
    content = "\n\n".join(f"{speaker}:\n{sentence}." for speaker, sentence in speeches)
    (raw / text.FILE).write_text(content + "\n", encoding="utf-8")


class Generator(NamedTuple):
    """The keys of `generate` in a conf file, and what writes the raw files."""

    Settings: type[Section]
    write: Callable[[Path, Any], None]


GENERATORS = {  # by reader
    "line": Generator(Line, points),
    "mnist": Generator(Seed, digits),
    "ptb": Generator(Seed, treebank),
    "text": Generator(Seed, play),
}
