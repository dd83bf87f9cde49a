"""Penn Treebank: one sentence a line, words separated by blanks, ends marked ``<eos>``."""

import reprlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from modelmill.datasets.processed import VOCABULARY, describe
from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.files import reading, write_json
from modelmill.schema import Section

END = "<eos>"
UNKNOWN = "<unk>"
BLOCK = 1 << 22
SPLITS = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
TASKS = ("language_modeling",)


class Options(Section):
    """Nothing to choose: the corpus comes tokenised."""


def words(path: Path) -> Iterator[list[str]]:
    """The file's words, ``<eos>`` for each end of line, in lists of some hundred thousand.

    However long a line is, no more than a block of it is held.

    Raises:
        ModelmillError: the file is missing or not UTF-8.
    """
    begun = ""
    try:
        with reading(path), path.open(encoding="utf-8") as file:
            while block := file.read(BLOCK):
                # The mark joins the word that the block ends within, or stands alone.
                *found, last = (begun + block + "|").replace("\n", f" {END} ").split()
                begun = last[:-1]
                yield found
            yield [begun] if begun else []
    except UnicodeDecodeError as error:
        raise ModelmillError(f"{path}: not UTF-8: {error}") from None


def build_vocabulary(path: Path) -> list[str]:
    """The distinct words by falling frequency, then alphabetically; an id is a word's place."""
    counts: Counter[str] = Counter()
    for block in words(path):
        counts.update(block)
    return sorted(counts, key=lambda word: (-counts[word], word))


class Vocabulary(dict[str, int]):
    """Ids of words; a word that is not there counts as ``<unk>`` if that is."""

    def __missing__(self, word: str) -> int:
        if UNKNOWN in self:
            return self[UNKNOWN]
        raise KeyError(word)


def encode(path: Path, ids: Vocabulary) -> np.ndarray:
    """The file as ids (smallest unsigned type) [words].

    Raises:
        ModelmillError: a word outside a vocabulary without ``<unk>``, or an empty file.
    """
    dtype = np.min_scalar_type(max(len(ids) - 1, 0))
    try:
        blocks = [
            np.fromiter(map(ids.__getitem__, block), dtype, len(block)) for block in words(path)
        ]
    except KeyError as error:
        raise ModelmillError(
            f"{path}: the word {reprlib.repr(error.args[0])} is not in the training vocabulary, "
            f"which has no {UNKNOWN} to stand for it"
        ) from None
    if not any(map(len, blocks)):
        raise ModelmillError(f"{path} is empty")
    return np.concatenate(blocks)


def ptb_raw_data(
    data_dir: Path | str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Vocabulary]:
    """Ids of the training, validation and test text, and the id of each training word.

    Raises:
        ModelmillError: see `words` and `encode`.
    """
    paths = [Path(data_dir) / name for name in SPLITS.values()]
    ids = Vocabulary({word: index for index, word in enumerate(build_vocabulary(paths[0]))})
    train, validation, test = (encode(path, ids) for path in paths)
    return train, validation, test, ids


def ptb_iterator(
    ids: np.ndarray, batch_size: int, num_steps: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields x and y [batch_size, num_steps], y one word ahead.

    Raises:
        ModelmillError: too few words for one batch.
    """
    streams = Streams(np.asarray(ids), batch_size, num_steps)
    for window in range(streams.windows):
        block = streams.block(window)
        yield block[:, :-1], block[:, 1:]


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes tokens.npy [words], the three texts one after another, and vocabulary.json."""
    *parts, ids = ptb_raw_data(raw)
    np.save(out / "tokens.npy", np.concatenate(parts))
    write_json(out / VOCABULARY, {"tokens": list(ids)})
    borders = np.cumsum([0, *map(len, parts)]).tolist()
    describe(
        out,
        dict(zip(SPLITS, pairwise(borders), strict=True)),
        unit="word",
        vocabulary_size=len(ids),
    )
