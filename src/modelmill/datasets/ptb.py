"""Penn Treebank: one sentence a line, words separated by blanks, ends marked ``<eos>``."""

import reprlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modelmill.datasets.grammar import sentences
from modelmill.datasets.processed import VOCABULARY, describe
from modelmill.datasets.settings import Seeded
from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.files import reading, write_json
from modelmill.schema import Section

END = "<eos>"
UNKNOWN = "<unk>"
BLOCK = 1 << 22
SPLITS = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
ARRAYS = {"tokens": "tokens"}


class Options(Section):
    """Nothing to choose: the corpus comes tokenised."""


class Generate(Seeded):
    """3,000 + 300 + 300 sentences of a small grammar."""


class Text(NamedTuple):
    """Distinct words in order of appearance, and the place there of each word, in blocks of them.

    A place takes two bytes as long as there are 65,536 words; blocks, because NumPy needs eight for
    each index while it looks them up.
    """

    words: list[str]
    places: list[np.ndarray]


def read(path: Path) -> Text:
    """The words of a file.

    ``<eos>`` stands for each end of line. However long a line is, no more than a block of the file
    is held; what is done for each word is done by Arrow.

    Raises:
        ModelmillError: the file is missing, empty or not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, int] = {}
    blocks: list[np.ndarray] = []
    for text in _pieces(path):
        split = pc.utf8_split_whitespace(pa.array([text])).flatten().dictionary_encode()
        places = [found.setdefault(word, len(found)) for word in split.dictionary.to_pylist()]
        table = np.array(places, np.min_scalar_type(len(found) - 1))
        blocks.append(table[split.indices.to_numpy()])
    if not found:
        raise ModelmillError(f"{path} is empty")
    return Text(list(found), blocks)


def _pieces(path: Path) -> Iterator[str]:
    """The text in pieces that end between words, never empty, with its line ends marked."""
    begun = ""
    try:
        with reading(path), path.open(encoding="utf-8-sig") as file:
            while block := file.read(BLOCK):
                text = (begun + block).replace("\n", f" {END} ")
                # What the block ends within may go on in the next.
                begun = "" if text[-1].isspace() else text.rsplit(maxsplit=1)[-1]
                if whole := text.removesuffix(begun).strip():
                    yield whole
            if begun:
                yield begun
    except UnicodeDecodeError as error:
        raise ModelmillError(f"{path}: not UTF-8: {error}") from None


class Vocabulary(dict[str, int]):
    """Ids of words; a word that is not there counts as ``<unk>`` if that is."""

    def __missing__(self, word: str) -> int:
        if UNKNOWN in self:
            return self[UNKNOWN]
        raise KeyError(word)


def vocabulary(text: Text) -> Vocabulary:
    """Ids of the words by falling frequency, then alphabetically."""
    counts = np.zeros(len(text.words), np.int64)
    for block in text.places:
        counts += np.bincount(block, minlength=len(counts))
    ranked = sorted(zip(-counts, text.words, strict=True))
    return Vocabulary({word: index for index, (_, word) in enumerate(ranked)})


def encode(path: Path, text: Text, ids: Vocabulary) -> np.ndarray:
    """What `read` found in the file as ids (smallest unsigned type) [words].

    Raises:
        ModelmillError: a word outside a vocabulary without ``<unk>``.
    """
    try:
        table = np.array([ids[word] for word in text.words], np.min_scalar_type(len(ids) - 1))
    except KeyError as error:
        raise ModelmillError(
            f"{path}: the word {reprlib.repr(error.args[0])} is not in the training vocabulary, "
            f"which has no {UNKNOWN} to stand for it"
        ) from None
    return np.concatenate([table[block] for block in text.places])


def ptb_raw_data(
    data_dir: Path | str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Vocabulary]:
    """Ids of the training, validation and test text, and the id of each training word.

    Raises:
        ModelmillError: see `read` and `encode`.
    """
    paths = [Path(data_dir) / name for name in SPLITS.values()]
    texts = [read(path) for path in paths]
    ids = vocabulary(texts[0])
    train, validation, test = (
        encode(path, text, ids) for path, text in zip(paths, texts, strict=True)
    )
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


def generate(raw: Path, settings: Generate) -> None:
    """Makes up the three files."""
    rng = np.random.default_rng(settings.seed)
    for name, count in zip(SPLITS.values(), (3000, 300, 300), strict=True):
        lines = [f" {sentence.lower()} \n" for sentence in sentences(count, rng)]
        (raw / name).write_text("".join(lines).replace(" n ", " N "), encoding="utf-8")
