"""What a person sees while a model trains."""

import sys
import time

from tqdm import tqdm

from modelmill.training.settings import Stop

Row = dict[str, float]
SECONDS_BETWEEN_LINES = 2.0  # where there is no terminal to redraw a line on


class Progress:
    """A live line on a terminal (epoch, metrics, rate, time left), plain lines in a log.

    Args:
        name: of the model.
        steps, steps_per_epoch: length of the training and of a pass over the data.
        per_step: predictions in a step.
        unit: what a prediction is: an example, a word, a character.
        first: step that an interrupted training goes on from.
    """

    def __init__(
        self,
        name: str,
        steps: int,
        steps_per_epoch: int,
        per_step: int,
        unit: str,
        first: int = 0,
    ) -> None:
        self.steps, self.steps_per_epoch, self.per_step = steps, steps_per_epoch, per_step
        self.first = first
        self.name, self.unit = name, unit
        self.began = self.last_line = time.monotonic()
        self.bar = tqdm(
            total=steps * per_step,
            initial=first * per_step,
            desc=name,
            unit=f" {unit}",
            unit_scale=True,
            disable=None,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix} {rate_fmt}, {remaining} left",
        )

    def __enter__(self) -> "Progress":
        if self.first:
            print(f"{self.name}: goes on from step {self.first:,}", file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def stopped(self, step: int, stop: Stop) -> None:
        """Says that the training ended early, after `step`."""
        print(
            f"{self.name}: stopped at step {step:,}: {stop.metric.replace('_', ' ')} "
            f"no longer falls by {stop.min_change:g}",
            file=sys.stderr,
        )

    def call(self, step: int, metrics: Row) -> None:
        """After a compiled call: steps done so far, and that call's metrics."""
        self.bar.set_postfix_str(f"{self._position(step)}, {_text(metrics)}", refresh=False)
        self.bar.update(step * self.per_step - self.bar.n)

    def lap(self, row: Row) -> None:
        """After a lap: its row of the history."""
        if self.bar.disable:
            now = time.monotonic()
            step = int(row["step"])
            if now - self.last_line > SECONDS_BETWEEN_LINES or step == self.steps:
                self.last_line = now
                rate = (step - self.first) / (now - self.began)
                left = (self.steps - step) / rate
                position = ("step", "epoch", "examples")
                metrics = {name: row[name] for name in row if name not in position}
                print(
                    f"{self.name}: {self._position(step)}, {_text(metrics)}, "
                    f"{rate * self.per_step:,.0f} {self.unit}/s, {left:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )

    def _position(self, step: int) -> str:
        epochs = self.steps / self.steps_per_epoch
        return f"epoch {step / self.steps_per_epoch:.2f}/{epochs:.4g}, step {step:,}/{self.steps:,}"


def _text(metrics: Row) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())
