"""Text as a sequence of characters: vocabulary, ids, and batches for a language model."""

import codecs
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, overload

import numpy as np
from pydantic import Field

from modelmill.datasets.grammar import sentences
from modelmill.datasets.processed import VOCABULARY, describe
from modelmill.datasets.settings import Seeded
from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.files import reading, replacing, sha256, write_json
from modelmill.schema import Section

FILE = "input.txt"
TENSOR = "tokens.npy"
CODE_POINTS = 0x110000
HOST_NAMES = ("idna", "punycode")  # Python has them among the encodings; no text is written in them

SPLITS = ("train", "validation")
ARRAYS = {"tokens": "tokens"}
SPEAKERS = ["ROMEO", "JULIET", "MILLER", "KING"]


class Options(Section):
    """How the text is read and divided.

    Attributes:
        encoding: of the file, any that Python knows.
        validation_fraction: share of the text, its end, that is for validation.
    """

    encoding: str
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]


class Generate(Seeded):
    """2,000 speeches of a sentence each."""


# --- encoding ------------------------------------------------------------------------------


def code_points(path: Path, encoding: str, block: int = 1 << 20) -> Iterator[np.ndarray]:
    """The text's Unicode code points, uint32 (uint8 for a run of ASCII), block by block.

    Raises:
        ModelmillError: no file, unknown encoding, bytes that it cannot decode, with their offset,
            or half of a surrogate pair, which is no character.
    """
    try:
        "".encode(encoding)  # refuses what is no text encoding, such as zlib
        if codecs.lookup(encoding).name in HOST_NAMES:
            raise LookupError
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, ValueError):
        raise ModelmillError(f"Python knows no text encoding {encoding!r}") from None
    ascii_is_itself = codecs.lookup(encoding).name == "utf-8"
    offset = 0
    with reading(path), path.open("rb") as file:
        while True:
            data = file.read(block)
            if ascii_is_itself and data.isascii() and not decoder.getstate()[0]:
                yield np.frombuffer(data, np.uint8)
            else:
                try:
                    codes = decoder.decode(data, final=not data).encode("utf-32-le")
                except UnicodeDecodeError as error:
                    at = offset + len(data) - len(error.object) + error.start
                    raise ModelmillError(
                        f"{path}: not {encoding}: {error.reason} at byte {at:,}"
                    ) from None
                except UnicodeEncodeError as error:
                    half = ord(error.object[error.start])
                    raise ModelmillError(
                        f"{path}: not {encoding}: U+{half:X} is half of a surrogate pair"
                    ) from None
                except UnicodeError as error:
                    raise ModelmillError(f"{path}: not {encoding}: {error}") from None
                yield np.frombuffer(codes, np.uint32)
            if not data:
                return
            offset += len(data)


def count_characters(blocks: Iterator[np.ndarray]) -> tuple[list[str], int]:
    """The vocabulary by falling frequency, ties by first appearance, and the text's length."""
    counts = np.zeros(CODE_POINTS, np.int64)
    order: list[int] = []
    length = 0
    for codes in blocks:
        found = np.bincount(codes)
        new = np.flatnonzero((found > 0) & (counts[: len(found)] == 0))
        if len(new):
            first = np.full(len(found), len(codes))
            np.minimum.at(first, codes, np.arange(len(codes)))
            order += new[np.argsort(first[new])].tolist()
        counts[: len(found)] += found
        length += len(codes)
    order.sort(key=lambda code: -counts[code])
    return [chr(code) for code in order], length


def encode_file(text: Path, out: Path, encoding: str) -> list[str]:
    """Writes vocabulary.json and tokens.npy (smallest unsigned type) for a text of any length.

    Two passes over the text, each in blocks of 1 MiB: time is linear, and memory depends on the
    vocabulary alone. Measured above the interpreter's: 35 MB for 22,000 different characters in
    10 MB or 1 GB of UTF-8 (benchmarks/readers.py); 225 MB for all of Unicode's 1.1 million.

    Returns:
        The vocabulary; a character's id is its place in it.

    Raises:
        ModelmillError: see `code_points`; an empty text.
    """
    characters, length = count_characters(code_points(text, encoding))
    if not length:
        raise ModelmillError(f"{text} is empty")
    dtype = np.min_scalar_type(len(characters) - 1)
    ids = np.zeros(CODE_POINTS, dtype)
    ids[[ord(character) for character in characters]] = np.arange(len(characters))
    # The vocabulary vouches for the tensor: it goes first and comes back last.
    (out / VOCABULARY).unlink(missing_ok=True)
    with replacing(out / TENSOR) as temporary, temporary.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
        np.lib.format.write_array_header_1_0(file, header)
        for codes in code_points(text, encoding):
            ids.take(codes).tofile(file)
    write_json(
        out / VOCABULARY,
        {
            "encoding": encoding,
            "sha256": sha256(text),
            "tensor_sha256": sha256(out / TENSOR),
            "tokens": characters,
        },
    )
    return characters


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes tokens.npy [characters] and vocabulary.json."""
    characters = encode_file(raw / FILE, out, options.encoding)
    length = len(np.load(out / TENSOR, mmap_mode="r"))
    border = int(length * (1 - options.validation_fraction))
    describe(
        out,
        {"train": (0, border), "validation": (border, length)},
        unit="character",
        vocabulary_size=len(characters),
    )


def generate(raw: Path, settings: Generate) -> None:
    """Makes up input.txt."""
    rng = np.random.default_rng(settings.seed)
    speakers = rng.choice(SPEAKERS, 2000).tolist()
    speeches = zip(speakers, sentences(2000, rng), strict=True)
    content = "\n\n".join(f"{speaker}:\n{sentence}." for speaker, sentence in speeches)
    (raw / FILE).write_text(content + "\n", encoding="utf-8")


# --- batches -------------------------------------------------------------------------------


class TextLoader:
    """Batches of a text for a character model.

    The vocabulary and the ids are cached in `data_dir` beside the text and made anew when the
    text or the encoding changes. The ids are memory-mapped, so the text may exceed memory.

    Args:
        data_dir: folder with input.txt.
        batch_size: sequences read side by side.
        seq_length: characters in each window.
        encoding: any encoding that Python knows.

    Attributes:
        chars: the vocabulary, by falling frequency, ties by first appearance.
        vocab: id of each character.
        tensor: all ids, smallest unsigned type [characters].
        num_batches: windows in one pass; left-over characters at the end are not used.
        x_batches, y_batches: `num_batches` arrays [batch_size, seq_length]; targets are one
            character ahead, the very last target is the first character.

    Raises:
        ModelmillError: no text, bytes the encoding cannot decode (with their offset), or fewer
            characters than one batch needs.
    """

    def __init__(
        self, data_dir: Path | str, batch_size: int, seq_length: int, encoding: str = "utf-8"
    ) -> None:
        folder = Path(data_dir)
        text = folder / FILE
        self.batch_size, self.seq_length = batch_size, seq_length
        self.chars = _cached(text, folder, encoding) or encode_file(text, folder, encoding)
        self.vocab = {character: index for index, character in enumerate(self.chars)}
        self.tensor = np.load(folder / TENSOR, mmap_mode="r", allow_pickle=False)
        streams = Streams(self.tensor, batch_size, seq_length, wrap=True)
        self.num_batches = streams.windows
        self.x_batches = _Windows(streams, slice(None, -1))
        self.y_batches = _Windows(streams, slice(1, None))
        self.pointer = 0

    @property
    def vocab_size(self) -> int:
        return len(self.chars)

    def next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The next x and y, each [batch_size, seq_length]; after the last comes the first."""
        index = self.pointer
        self.pointer = (index + 1) % self.num_batches
        return self.x_batches[index], self.y_batches[index]

    def reset_batch_pointer(self) -> None:
        """Makes `next_batch` start over."""
        self.pointer = 0


class _Windows(Sequence[np.ndarray]):
    """The windows of some streams, cut out on demand."""

    def __init__(self, streams: Streams, columns: slice) -> None:
        self._streams, self._columns = streams, columns

    def __len__(self) -> int:
        return self._streams.windows

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._streams.block(range(len(self))[index])[:, self._columns]


def _cached(text: Path, folder: Path, encoding: str) -> list[str] | None:
    """The vocabulary in `folder` if it and the tensor were made from this text and encoding."""
    try:
        cache = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        whole = cache["encoding"] == encoding and cache["tensor_sha256"] == sha256(folder / TENSOR)
        return cache["tokens"] if whole and cache["sha256"] == sha256(text) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
