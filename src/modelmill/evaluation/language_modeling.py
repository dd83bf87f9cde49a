"""Evaluating a language model: exact perplexity over the whole text, and a sample of its own."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelmill.evaluation import Job, shown_laps
from modelmill.files import write_text
from modelmill.reference import Better
from modelmill.schema import Section
from modelmill.tasks.language_modeling import perplexity, windows_of
from modelmill.trained.history import read_history
from modelmill.trained.writing import Sample, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

# A token is a word or a character here.
METRICS: dict[str, Better] = {"bits_per_token": "lower"}  # nosec B105
WINDOW = 50
SHOWN = 1800  # tokens from the beginning, at least as many as there is room for
COMMON, EXTREMES = 20, 15  # occurrences of a token whose mean loss tells something; those shown
UNITS, WORDS = 24, 30  # shown while the model reads; of characters, a window


class Eval(Section):
    """What is measured, and what is written.

    Attributes:
        split: the one to measure on: train, validation or test.
        sample: the text to generate.
    """

    split: str
    sample: Sample


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Perplexity = exp(total negative log-likelihood / tokens), state carried over the whole text.

    Every token of the split counts; the first is predicted from the token before the split, or
    from the last of the split where nothing is before it.
    """
    from modelmill.trained import artifacts
    from modelmill.trained.inference import token_losses

    tokens = job.data.split(options.split)["tokens"]
    start = job.data.meta["splits"][options.split][0]
    before = int(job.data.arrays["tokens"][start - 1] if start else tokens[-1])
    model = artifacts.restore(job.folder, windows_of(WINDOW, job.card.spec.outputs))
    losses = token_losses(model, tokens, before).astype(np.float64)
    loss = float(losses.mean())
    _show_text(job, tokens, losses)
    _show_reading(job, model, np.append(before, tokens[: WINDOW - 1]))
    writer = Writer(job.folder, job.data)
    write = writer.prepared(options.sample)
    write_text(job.texts / "sample.txt", write() + "\n")
    _show_learning(job, writer, write)
    return {
        "perplexity": perplexity(loss),
        "loss": loss,
        "bits_per_token": loss / math.log(2),
        "tokens": len(losses),
    }


def sample(job: Job, options: Sample, output: Path | None) -> None:
    """Writes a text, or prints it where there is no `output`."""
    text = Writer(job.folder, job.data).prepared(options)()
    if output:
        write_text(output, text + "\n")
    else:
        print(text)


def _show_text(job: Job, tokens: np.ndarray, losses: np.ndarray) -> None:
    """How probable the model found the beginning of the text, and which tokens everywhere."""
    from modelmill.figures import texts

    vocabulary, unit = job.data.vocabulary(), job.data.meta["unit"]
    shown = [vocabulary[index] for index in tokens[:SHOWN]]
    title = f"{job.name}: how probable it finds each {unit}"
    texts.passage(shown, losses[:SHOWN], unit == "word", title, job.figures / "passage.png")
    ordered, common = by_token(tokens, losses, min(COMMON, len(tokens) // 100))
    named = [(vocabulary[index], loss) for index, loss in ordered]
    title = f"{job.name}: {unit}s that occur at least {common} times"
    path = job.figures / "predictability.png"
    texts.extremes(named[:EXTREMES], named[: -EXTREMES - 1 : -1], title, path)


def by_token(
    tokens: np.ndarray, losses: np.ndarray, least: int
) -> tuple[list[tuple[int, float]], int]:
    """Ids of tokens with their mean loss, the best predicted first, and how often each occurs.

    Args:
        least: occurrences of a token to be among them, or those of the most frequent if fewer.
    """
    counts = np.bincount(tokens)
    least = max(1, min(least, int(counts.max())))
    means = np.bincount(tokens, losses) / np.maximum(counts, 1)
    ids = np.flatnonzero(counts >= least)
    ordered = ids[np.argsort(means[ids], kind="stable")]
    return [(int(index), float(means[index])) for index in ordered], least


def _show_reading(job: Job, model: "keras.Model", tokens: np.ndarray) -> None:
    """What the last recurrent layer does at each of the first tokens that were read."""
    from modelmill.figures import texts
    from modelmill.trained import insights

    words, vocabulary = job.data.meta["unit"] == "word", job.data.vocabulary()
    tokens = tokens[:WORDS] if words else tokens
    if panels := insights.while_reading(model, tokens):
        *_, state = panels.values()
        units = liveliest(state, UNITS)
        shown = {name: values[:, units] for name, values in panels.items()}
        title = f"{job.name} reads: {len(units)} units of the last layer, the slowest on top"
        read = [vocabulary[index] for index in tokens]
        texts.over_time(read, shown, words, title, job.figures / "reading.png")


def liveliest(state: np.ndarray, count: int) -> np.ndarray:
    """The units whose state [tokens, units] varies most, slow ones first.

    One is slow whose state changes little from token to token for how much it varies in all.
    """
    spread = state.std(axis=0)
    units = np.argsort(-spread, kind="stable")[:count]
    changes = np.abs(np.diff(state[:, units], axis=0)).mean(axis=0)
    return units[np.argsort(changes / np.maximum(spread[units], 1e-9), kind="stable")]


def _show_learning(job: Job, writer: Writer, write: "Callable[[], str]") -> None:
    """Perplexity while training, and what the model wrote after some of its laps."""
    from modelmill.figures import curves
    from modelmill.trained import artifacts

    fit, unit = job.card.settings["fit"], job.data.meta["unit"]
    history = read_history(job.folder, "perplexity")
    per_step = fit["batch_size"] * fit["num_steps"]
    path = job.figures / "perplexity.png"
    curves.perplexity(history, per_step, unit, job.name, path)
    snapshots = artifacts.read_snapshots(job.folder)
    texts = []
    for lap in shown_laps(len(snapshots)):
        artifacts.set_weights(writer.model, snapshots[lap - 1])
        row = history.iloc[lap - 1]
        texts.append(
            f"=== epoch {row.epoch:.4g}, perplexity {row.perplexity:.2f} ===\n\n{write()}\n"
        )
    if texts:
        write_text(job.texts / "samples_by_epoch.txt", "\n".join(texts))
