"""history.csv of a trained model: what each lap of its training measured."""

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelmill.files import undamaged

if TYPE_CHECKING:
    import pandas as pd

HISTORY = "history.csv"


def remedy(folder: Path) -> str:
    """The command that makes the trained model of a folder again."""
    return f"dvc repro train@{folder.name}"


def write_history(folder: Path, rows: list[dict[str, float]]) -> None:
    """Writes history.csv: a row per lap, empty where its phase does not measure a column."""
    with (folder / HISTORY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer.writerow(names)
        for row in rows:
            writer.writerow([f"{row[name]:.9g}" if name in row else "" for name in names])


def read_history(folder: Path, *names: str) -> "pd.DataFrame":
    """Reads history.csv: a row per lap, all of them numbers; steps are whole.

    Of a training in phases it is the last one, counted from its own beginning; see `read_phases`.

    Args:
        names: the metrics that must be among its columns, beside the loss.

    Raises:
        ModelmillError: it is missing or damaged.
    """
    *before, last = read_phases(folder)
    with undamaged(folder / HISTORY, remedy(folder)):
        if missing := {"loss", *names}.difference(last):
            raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    if before:
        last["step"] -= before[-1].step.iloc[-1]
    return last


def read_phases(folder: Path) -> "list[pd.DataFrame]":
    """Reads history.csv: of each phase, most often the only one, its laps and what they measure.

    Raises:
        ModelmillError: it is missing or damaged.
    """
    import pandas as pd

    path = folder / HISTORY
    with undamaged(path, remedy(folder)):
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        if len(set(header)) < len(header) or {len(row) for row in rows} != {len(header)}:
            raise ValueError("its rows are not as long as its header, which names each column once")
        several = "phase" in header  # which do not measure the same
        values = [[float(value or (math.nan if several else "")) for value in row] for row in rows]
        frame = pd.DataFrame(values, columns=header)
        of = frame.phase if several else np.ones(len(frame))
        parts = [part.dropna(axis=1, how="all") for _, part in frame.groupby(of, dropna=False)]
        for part in parts:
            if missing := {"step", "epoch"}.difference(part):
                raise ValueError(f"it has no column {', '.join(sorted(missing))}")
        if not (_rises(frame.step) and (np.diff(of) >= 0).all() and all(map(_is_whole, parts))):
            raise ValueError("its steps and epochs do not rise from above 0 on, all of it numbers")
        return [part.astype({"step": "int64"}).reset_index(drop=True) for part in parts]


def _is_whole(laps: "pd.DataFrame") -> bool:
    """Whether the laps of a phase follow one another, and all about them is known."""
    step, epoch = laps.step, laps.epoch
    begun = 0 < epoch.iloc[0] <= step.iloc[0] and step.iloc[-1] < 2**53
    return bool(begun and _rises(epoch) and np.isfinite(laps.to_numpy()).all())


def _rises(values: "pd.Series") -> bool:
    return bool((values.diff()[1:] > 0).all())
