"""The line that a person sees while a model trains fits the terminal; what matters most stays."""

import itertools
import sys
from types import SimpleNamespace

import pytest

from modelmill.training.progress import Progress

NAME = "mnist_denoising_autoencoder"
BAR = "█"
# What a line has, by the columns of the terminal: less of what matters less.
SHOWN = {
    140: [NAME, BAR, "epoch", "loss", "accuracy", "(val ", "k/s", "left"],
    80: [BAR, "epoch", "loss", "accuracy", "(val ", "k/s", "left"],
    72: [BAR, "epoch", "loss", "accuracy", "(val ", "left"],
    66: ["epoch", "loss", "accuracy", "(val ", "left"],
    55: ["epoch", "accuracy", "(val ", "left"],
    30: ["epoch", "left"],
    15: ["epoch"],
}
EVERYTHING = SHOWN[140]


def drawn(width, metrics, monkeypatch, capsys):
    """The last line of a training that is half done, a second from call to call."""
    monkeypatch.setattr("tqdm.std.time", itertools.count().__next__)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    training = SimpleNamespace(name=NAME, unit="example", fit=SimpleNamespace(stop=None))
    training.step, training.seen, training.steps = 0, 0, 34_400
    training.number, training.phases = 0, ["the only one"]
    with Progress() as progress:
        progress.began(training)
        for _ in range(17):
            training.step += 1000
            training.seen += 128_000
            training.epochs = training.step / 344, 100.0
            progress.called(training, metrics)
            laps = {f"validation_{name}": value for name, value in metrics.items()}
            progress.lap(training, {"step": training.step, **laps})
    lines = capsys.readouterr().err.replace("\n", "\r").split("\r")
    return [line.rstrip() for line in lines if "epoch" in line][-1]


@pytest.mark.parametrize("width", SHOWN)
def test_a_narrower_terminal_shows_what_matters_most(width, monkeypatch, capsys):
    line = drawn(width, {"loss": 0.12345, "accuracy": 0.98765}, monkeypatch, capsys)
    assert len(line) <= width
    assert [part for part in EVERYTHING if part in line] == SHOWN[width]
    assert "epoch 49.4/100" in line


@pytest.mark.parametrize(
    "metrics",
    [{"loss": 4.5678, "perplexity": 123.456}, {"loss": 54_610.3}, {"loss": 0.81, "rmse": 0.9123}],
)
def test_eighty_columns_have_room_for_every_task(metrics, monkeypatch, capsys):
    line = drawn(80, metrics, monkeypatch, capsys)
    assert len(line) <= 80
    wanted = [BAR, "epoch", *metrics, "(val ", "k/s", "left"]
    assert [part for part in wanted if part in line] == wanted
