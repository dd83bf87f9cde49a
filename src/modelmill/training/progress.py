"""What a person sees while a model trains."""

import shutil
import sys
import time
from typing import NamedTuple

from tqdm import tqdm

from modelmill.training import AXES
from modelmill.training.observer import Observed, Observer, Row

SECONDS_BETWEEN_LINES = 2.0  # where there is no terminal to redraw a line on
POSITION = tuple(axis for axis in AXES if axis != "learning_rate")
BAR = "███"  # the place of a bar, at its shortest


class Part(NamedTuple):
    """A part of the line; that of the highest rank is the first to go where there is no room."""

    text: str
    rank: int


class Progress(Observer):
    """A live line on a terminal (epoch, metrics, rate, time left), plain lines in a log."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def began(self, training: Observed) -> None:
        self.first, self.seen_before = training.step, training.seen
        self.clock = self.last_line = time.monotonic()
        self.validated: Row = {}
        if self.first:
            print(f"{training.name}: goes on from step {self.first:,}", file=sys.stderr)
        self.bar = tqdm(disable=None, dynamic_ncols=True, initial=training.seen, bar_format=" ")

    def called(self, training: Observed, metrics: Row) -> None:
        if self.bar.disable:
            return
        now = self.bar.format_dict
        total = training.seen * training.steps / training.step
        rate = now["rate"]
        speed = f"{tqdm.format_sizeof(rate)}/s" if rate else ""
        left = f"{tqdm.format_interval((total - training.seen) / rate)} left" if rate else ""
        parts = [
            Part(training.name, 7),
            Part(BAR, 5),
            Part(f"epoch {_epoch(training, digits=1)}", 0),
            *_metrics(metrics, self.validated),
            Part(speed, 6),
            Part(left, 1),
        ]
        width = now["ncols"] or shutil.get_terminal_size().columns
        self.bar.bar_format = line(parts, width)
        self.bar.total = round(total)
        self.bar.update(training.seen - self.bar.n)

    def lap(self, training: Observed, row: Row) -> None:
        self.validated = {name: row[name] for name in row if name.startswith("validation_")}
        now = time.monotonic()
        due = now - self.last_line > SECONDS_BETWEEN_LINES or training.step == training.steps
        if not (self.bar.disable and due):
            return
        self.last_line = now
        step = f"step {training.step:,}/{training.steps:,}"
        parts = [f"epoch {_epoch(training, digits=2)}, {step}", _text(row)]
        if training.step > self.first:  # else it went on from the very end of a lap
            seconds, done = now - self.clock, training.step - self.first
            rate = (training.seen - self.seen_before) / seconds
            left = (training.steps - training.step) * seconds / done
            parts += [f"{rate:,.0f} {training.unit}s/s", f"{left:.0f} s left"]
        print(f"{training.name}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def ended(self, training: Observed) -> None:
        stop = training.fit.stop
        if stop and training.step < training.steps:
            print(
                f"{training.name}: stopped at step {training.step:,}: "
                f"{stop.metric.replace('_', ' ')} is no longer better by {stop.min_change:g}",
                file=sys.stderr,
            )


def line(parts: list[Part], width: int) -> str:
    """The parts that there is room for, the most important of them, as tqdm's format of a bar."""
    kept = [part for part in parts if part.text]
    while len(text := " ".join(part.text for part in kept)) > width and len(kept) > 1:
        kept.remove(max(kept, key=lambda part: part.rank))
    return text.replace(BAR, f"{{bar:{len(BAR) + width - len(text)}}}")


def _metrics(metrics: Row, validated: Row) -> list[Part]:
    """The loss, and what else is measured, of the last steps and of the validation data."""
    names = [name for name in metrics if name not in (*POSITION, "learning_rate")]
    parts = []
    for place, name in enumerate(names):
        text = f"{name.replace('_', ' ')} {metrics[name]:.4g}"
        value = validated.get(f"validation_{name}")
        if value is not None and name == names[-1]:
            text += f" (val {value:.4g})"
        parts.append(Part(text, 2 if name == names[-1] else 3 + place))
    return parts


def _epoch(training: Observed, digits: int) -> str:
    count, (done, all_of_it) = len(training.phases), training.epochs
    phase = f" of phase {training.number + 1}/{count}" if count > 1 else ""
    return f"{done:.{digits}f}/{round(all_of_it, digits):g}{phase}"


def _text(metrics: Row) -> str:
    shown = {name: metrics[name] for name in metrics if name not in POSITION}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items())
