"""What a run in MLflow says of a training, so that runs compare: all of it from files."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from modelmill.parts import metrics
from modelmill.reference import Better, Reference, shown_goal, shown_published
from modelmill.training import AXES

Row = Mapping[str, float]


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow parameters: ``fit.optimizer.name`` and so on."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def rounded(row: Row) -> dict[str, float]:
    """A row of the history to the digits that history.csv has."""
    return {name: float(f"{value:.9g}") for name, value in row.items()}


def best_and_final(rows: Sequence[Row], better: Mapping[str, Better]) -> dict[str, float]:
    """Each metric's last value, and its best one in the last phase of a training.

    Where there are validation data, the best of them counts and not the best of training.
    """
    rows = [row for row in rows if row.get("phase") == rows[-1].get("phase")]
    measured = [name for name in rows[-1] if name not in AXES]
    validation = [name for name in measured if name.startswith("validation_")]
    final = {f"final_{name}": rows[-1][name] for name in measured}
    best = {}
    for name in validation or measured:
        pick = max if better[name.removeprefix("validation_")] == "higher" else min
        best[f"best_{name}"] = pick(row[name] for row in rows)
    return final | best


def registered(name: str, about: str) -> str:
    """The description in Markdown of the registered model `name`."""
    return (
        f"{html.escape(about, quote=False)}\n\n`current` is the version that was evaluated last, "
        f"the one in data/models/{name}: `modelmill serve {name}` answers with it."
    )


def arrays(meta: Mapping[str, Any]) -> str:
    """The schema of a data set by its meta.json, as MLflow's pages show one: names and types."""
    columns = [
        {"name": name, "type": " × ".join([array["dtype"], *map(str, array["shape"][1:])])}
        for name, array in meta["arrays"].items()
    ]
    return json.dumps({"mlflow_colspec": columns})


def sizes(meta: Mapping[str, Any]) -> str:
    """The profile of a data set by its meta.json: how many examples, or tokens, a split has."""
    return json.dumps({name: stop - start for name, (start, stop) in meta["splits"].items()})


def note(
    name: str,
    about: str,
    tags: Mapping[str, str],
    reference: Reference | None = None,
    figures: str = "",
) -> str:
    """The run's description in Markdown: what it is, what it is held against, how to repeat it.

    Args:
        tags: the run's.
        reference: given with `figures` once the model was evaluated.
        figures: address of the figures within MLflow's pages.
    """
    parts = [f"**{name}**: {html.escape(about, quote=False)}"]
    if reference:
        goal = shown_goal(metrics(tags["task"])[reference.metric], reference.goal) or "none"
        published = shown_published(reference.published, reference.source)
        parts += [
            f"Goal: {tags['evaluated_on']} {reference.metric.replace('_', ' ')} {goal}. "
            f"Published: {html.escape(published, quote=False)}. [Figures]({figures})",
        ]
    again = []
    if experiment := tags.get("dvc_experiment"):
        again = [f"dvc exp apply {experiment}"]
    elif profile := tags.get("profile"):
        again = [f"git checkout {tags['git']}"] if "git" in tags else []
        again += [f"modelmill compose profile={profile}", f"dvc repro evaluate@{name}"]
    if again:
        parts += ["To have it again:", "\n".join(["```", *again, "```"])]
    if tags.get("git_dirty") == "true":
        parts += ["The code or conf/ had changes that were not committed."]
    return "\n\n".join(parts)
