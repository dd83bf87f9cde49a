"""What a person sees while a model trains."""

import sys
import time
from typing import TYPE_CHECKING

from tqdm import tqdm

from modelmill.training.observer import Observer, Row

if TYPE_CHECKING:
    from modelmill.training.session import Training

SECONDS_BETWEEN_LINES = 2.0  # where there is no terminal to redraw a line on


class Progress(Observer):
    """A live line on a terminal (epoch, metrics, rate, time left), plain lines in a log."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def began(self, training: "Training") -> None:
        self.first, self.seen_before = training.step, training.seen
        self.clock = self.last_line = time.monotonic()
        if self.first:
            print(f"{training.name}: goes on from step {self.first:,}", file=sys.stderr)
        self.bar = tqdm(
            desc=training.name,
            unit=f" {training.unit}s",
            unit_scale=True,
            disable=None,
            dynamic_ncols=True,
            initial=training.seen,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix} {rate_fmt}, {remaining} left",
        )

    def called(self, training: "Training", metrics: Row) -> None:
        self.bar.set_postfix_str(f"{_position(training)}, {_text(metrics)}", refresh=False)
        self.bar.total = round(training.seen * training.steps / training.step)
        self.bar.update(training.seen - self.bar.n)

    def lap(self, training: "Training", row: Row) -> None:
        now = time.monotonic()
        due = now - self.last_line > SECONDS_BETWEEN_LINES or training.step == training.steps
        if not (self.bar.disable and due):
            return
        self.last_line = now
        parts = [_position(training), _text(row)]
        if training.step > self.first:  # else it went on from the very end of a lap
            seconds, done = now - self.clock, training.step - self.first
            rate = (training.seen - self.seen_before) / seconds
            left = (training.steps - training.step) * seconds / done
            parts += [f"{rate:,.0f} {training.unit}s/s", f"{left:.0f} s left"]
        print(f"{training.name}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def ended(self, training: "Training") -> None:
        stop = training.fit.stop
        if stop and training.step < training.steps:
            print(
                f"{training.name}: stopped at step {training.step:,}: "
                f"{stop.metric.replace('_', ' ')} is no longer better by {stop.min_change:g}",
                file=sys.stderr,
            )


def _position(training: "Training") -> str:
    trainer, count = training.trainer, len(training.phases)
    done, all_of_it = (steps / trainer.train.steps for steps in (trainer.step, trainer.steps))
    phase = f"phase {training.number + 1}/{count}, " if count > 1 else ""
    return f"{phase}epoch {done:.2f}/{all_of_it:.4g}, step {training.step:,}/{training.steps:,}"


def _text(metrics: Row) -> str:
    position = ("step", "phase", "epoch", "examples")
    shown = {name: metrics[name] for name in metrics if name not in position}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items())
