"""Speed and peak memory of the readers, beside the plain way of doing the same.

Texts for the character reader are random, ASCII or mixed UTF-8; those for the reader of the Penn
Treebank's format are words as frequent as Zipf's law has it.
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from modelmill.datasets import ptb
from modelmill.datasets.text import encode_file

KINDS = ("ASCII", "mixed", "words")
ENGLISH = [*map(ord, "It was the best of times, it was the worst of times: the year 1775.\n")]
# Accented, CJK, emoji: first code point, last + 1, share of the characters.
FOREIGN = [(0xC0, 0x180, 0.15), (0x4E00, 0xA000, 0.1), (0x1F300, 0x1F650, 0.05)]
PIECE = 1 << 16
PLAIN_UP_TO = 100


def write(path: Path, kind: str, megabytes: int) -> None:
    """Writes random text up to the size."""
    random = np.random.default_rng(megabytes)
    if kind == "words":
        write_words(path, random, megabytes)
    else:
        write_characters(path, random, megabytes, kind == "mixed")


def write_characters(path: Path, random: np.random.Generator, megabytes: int, mixed: bool) -> None:
    """Characters, English ones as frequent as in English, others among them if `mixed`."""
    with path.open("wb") as file:
        while file.tell() < megabytes * 1e6:
            codes = random.choice(ENGLISH, PIECE)
            if mixed:
                for start, stop, share in FOREIGN:
                    places = np.flatnonzero(random.random(PIECE) < share)
                    codes[places] = random.integers(start, stop, len(places))
            file.write(codes.astype("<u4").tobytes().decode("utf-32-le").encode())


def write_words(path: Path, random: np.random.Generator, megabytes: int) -> None:
    """Sentences of 20 of 10,000 words, the n-th of them 1 / n as frequent as the first."""
    words = np.array([f"w{number}" for number in range(10_000)])
    shares = 1 / np.arange(1, len(words) + 1)
    borders = np.cumsum(shares / shares.sum())
    with path.open("w") as file:
        while file.tell() < megabytes * 1e6:
            chosen = words[np.searchsorted(borders, random.random(PIECE * 20)).clip(max=9_999)]
            file.writelines(" ".join(line) + "\n" for line in chosen.reshape(-1, 20).tolist())


def encode(path: Path, kind: str) -> None:
    """The reader: vocabulary and ids, those of characters written beside the text."""
    if kind == "words":
        text = ptb.read(path)
        ptb.encode(path, text, ptb.vocabulary(text))
    else:
        encode_file(path, path.parent, "utf-8")


def plain(path: Path, kind: str) -> None:
    """The same vocabulary and ids, all in memory; nothing is written."""
    text: str | list[str] = path.read_bytes().decode()
    if kind == "words":
        text = text.replace("\n", " <eos> ").split()
    vocab = {item: index for index, (item, _) in enumerate(Counter(text).most_common())}
    np.array(list(map(vocab.get, text)))


def measured(function: Callable[..., None], *args: object) -> tuple[float, float]:
    """Seconds, and peak megabytes of this process since its start (Linux counts in KiB)."""
    start = time.perf_counter()
    function(*args)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def alone(function: Callable[..., None], *args: object) -> tuple[float, float]:
    """`measured`, in a process of its own.

    Linux starts a child's peak at its parent's. So the parent does nothing but this: even the
    texts are written by children.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, function, *args).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes_help = f"sizes of the texts (%(default)s); the plain way only up to {PLAIN_UP_TO}"
    parser.add_argument(
        "--megabytes", type=int, nargs="+", default=[10, 100, 1000], metavar="N", help=sizes_help
    )
    sizes = parser.parse_args().megabytes
    columns = f"{'seconds':>8} {'MB/s':>6} {'peak MB':>8}"
    print(f"{'':15}|{'reader':^25}|{'plain':^25}|")
    print(f"{'kind':6} {'size MB':>7} |{columns} |{columns} | faster")
    for kind in KINDS:
        for size in sizes:
            with TemporaryDirectory() as folder:
                text = Path(folder, "input.txt")
                alone(write, text, kind, size)
                ways = [encode, plain] if size <= PLAIN_UP_TO else [encode]
                results = [alone(way, text, kind) for way in ways]
                actual = text.stat().st_size / 1e6
            cells = [f"{s:8.2f} {actual / s:6.0f} {peak:8.0f}" for s, peak in results]
            ratio = f"{results[1][0] / results[0][0]:.0f}×" if len(results) > 1 else ""
            cells += [""] * (2 - len(cells))
            print(f"{kind:6} {actual:7.0f} |{cells[0]} |{cells[1]:24} | {ratio:>6}", flush=True)


if __name__ == "__main__":
    main()
