"""The table that holds every model's figure against its goal and the published one."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from modelmill.errors import ModelmillError
from modelmill.params import Model, Reference

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def table(models: Mapping[str, Model], metrics: Path) -> pd.DataFrame:
    """A row a model, all cells text; a model that has not been evaluated yet says so."""
    rows = []
    for name, model in models.items():
        reference, path = model.reference, metrics / f"{name}.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        value = found[reference.metric] if found else math.nan
        rows.append(
            {
                "model": name,
                "what": model.about,
                "split": model.eval.split,
                "metric": reference.metric.replace("_", " "),
                "value": _number(value) if found else "not run",
                "goal": ("≥ " if reference.better == "higher" else "≤ ") + _number(reference.goal),
                "reached": ("yes" if reached(reference, value) else "no") if found else "",
                "published": _number(reference.published),
                "source": reference.source,
            }
        )
    return pd.DataFrame(rows)


def reached(reference: Reference, value: float) -> bool:
    """Whether `value` is at least as good as the goal."""
    if reference.better == "higher":
        return value >= reference.goal
    return value <= reference.goal


def plain(frame: pd.DataFrame) -> str:
    """The table for a terminal."""
    return frame.drop(columns=["what", "source"]).to_string(index=False)


def markdown(frame: pd.DataFrame, profile: str) -> str:
    """The table for a README, between the lines that `insert` looks for."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    title = f"Profile `{profile}`, each over its whole split, written by `make results`:"
    return "\n".join([BEGIN, title, "", *lines, END])


def insert(document: str, block: str) -> str:
    """`document` with its part between the two marks replaced by `block`.

    Raises:
        ModelmillError: the document does not have both marks, once each, in this order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ModelmillError(f"there must be one line {BEGIN} and one line {END} after it")
    return before + block + after


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
