"""MNIST: IDX files of images and labels (http://yann.lecun.com/exdb/mnist/, "file formats")."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from modelmill.datasets.processed import describe
from modelmill.datasets.settings import Seeded
from modelmill.errors import ModelmillError
from modelmill.files import reading
from modelmill.schema import Section

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8
LONGEST_HEADER = 4 + 4 * 255
BLOCK = 1 << 20

SPLITS = ("train", "validation", "test")
ARRAYS = {"x": "values", "y": "classes"}

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


class Options(Section):
    """What becomes of the images.

    Attributes:
        validation: how many of the first training examples are set aside for validation.
        binary_seed: of a draw, once, that makes each pixel 1 with its brightness as probability,
            else 0 (Salakhutdinov and Murray 2008); grey pixels stay if it is null.
    """

    validation: Annotated[int, Field(ge=1)]
    binary_seed: Annotated[int, Field(ge=0)] | None = None


class Generate(Seeded):
    """6,000 + 1,000 digits from a font, moved about in noise."""


def parse_idx(data: bytes, name: str = "IDX data") -> np.ndarray:
    """The uint8 array of an IDX file, gzip-compressed or not.

    The file is two zero bytes, the type (8: unsigned byte), the number of axes, each axis as a
    big-endian 32-bit number, and the values, last axis fastest.

    Raises:
        ModelmillError: wrong magic number, or fewer or more bytes than announced.
    """
    if data.startswith(GZIP_MAGIC):
        try:
            data = _unpack(data, name)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ModelmillError(f"{name}: damaged gzip file: {error}") from None
    shape, start = _header(data, name)
    if len(data) - start != math.prod(shape):
        raise ModelmillError(
            f"{name}: {len(data) - start:,} values where the header announces {_size(shape)}"
        )
    try:
        return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
    except ValueError as error:
        raise ModelmillError(f"{name}: {len(shape)} axes: {error}") from None


def _header(data: bytes | bytearray, name: str) -> tuple[tuple[int, ...], int]:
    """The shape that an IDX file announces, and where its values start."""
    if len(data) < 4 or data[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not data[3]:
        raise ModelmillError(f"{name}: not an IDX file of unsigned bytes (starts {data[:4].hex()})")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ModelmillError(f"{name}: ends within its header")
    return struct.unpack_from(f">{data[3]}I", data, 4), start


def _size(shape: tuple[int, ...]) -> str:
    """The number of values, which 255 axes can make thousands of digits long."""
    count = math.prod(shape)
    return f"{count:,}" if count < 1 << 64 else "more than 2^64"


def _unpack(data: bytes, name: str) -> bytes:
    """An IDX file out of gzip, at most as long as its own header announces: a bomb stays packed."""
    with gzip.open(io.BytesIO(data)) as stream:
        content = bytearray(stream.read(LONGEST_HEADER))
        shape, start = _header(content, name)
        while block := stream.read(BLOCK):
            content += block
            if len(content) - start > math.prod(shape):
                raise ModelmillError(
                    f"{name}: more values than the {_size(shape)} that its header announces"
                )
    return bytes(content)


def format_idx(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array: the inverse of `parse_idx`."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def read_pair(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, rows, columns] and labels uint8 [n] of ``PREFIX-...-ubyte``.

    Raises:
        ModelmillError: files that are missing, damaged, do not belong together, or hold labels
            beyond 9.
    """
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        path = folder / f"{prefix}-{kind}-ubyte"
        with reading(path):
            data = path.read_bytes()
        arrays.append(parse_idx(data, path.name))
    images, labels = arrays
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ModelmillError(f"{prefix}: images {images.shape} and labels {labels.shape} disagree")
    if labels.max(initial=0) > 9:
        raise ModelmillError(f"{prefix}: a label is {labels.max()}, the largest digit is 9")
    return images, labels


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes x uint8 [n, 28, 28] and y uint8 [n]: validation, training, then test examples.

    `scale` in meta.json takes a pixel to [0, 1], where it is not 0 or 1 already.
    """
    train, test = read_pair(raw, "train"), read_pair(raw, "t10k")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise ModelmillError(f"images of {train[0].shape[1:]} and of {test[0].shape[1:]} pixels")
    count, first = len(train[0]), options.validation
    if first >= count:
        raise ModelmillError(f"validation ({first}) leaves nothing of {count} training examples")
    if 0 in train[0].shape:
        raise ModelmillError(f"{raw}: images of {train[0].shape[1:]} pixels show nothing")
    x, y = (np.concatenate(parts) for parts in zip(train, test, strict=True))
    binary = options.binary_seed is not None
    np.save(out / "x.npy", binarised(x, options.binary_seed) if binary else x)
    np.save(out / "y.npy", y)
    describe(
        out,
        {
            "validation": (0, first),
            "train": (first, count),
            "test": (count, count + len(test[0])),
        },
        input_shape=list(train[0].shape[1:]),
        outputs=10,
        class_names=[str(digit) for digit in range(10)],
        scale=1.0 if binary else 1 / 255,
    )


def binarised(x: np.ndarray, seed: int | None) -> np.ndarray:
    """Bytes of which each is 1 with the probability x / 255, else 0."""
    return (np.random.default_rng(seed).integers(0, 255, x.shape, np.uint8) < x).astype(np.uint8)


def generate(raw: Path, settings: Generate) -> None:
    """Makes up the four IDX files, digits drawn from `FONT`, moved and faded."""
    rng = np.random.default_rng(settings.seed)
    shapes = (FONT[:, :, None] >> np.arange(4, -1, -1) & 1).repeat(3, axis=1).repeat(3, axis=2)
    height, width = shapes.shape[1:]
    for prefix, count in (("train", 6000), ("t10k", 1000)):
        labels = rng.integers(0, 10, count, np.uint8)
        top = rng.integers(0, 28 - height, (count, 1, 1)) + np.arange(height)[:, None]
        left = rng.integers(0, 28 - width, (count, 1, 1)) + np.arange(width)
        ink = rng.integers(128, 256, (count, 1, 1))
        images = rng.integers(0, 32, (count, 28, 28), np.uint8)
        drawn = (shapes[labels] * ink).astype(np.uint8)
        images[np.arange(count)[:, None, None], top, left] |= drawn
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(format_idx(images))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(format_idx(labels))
