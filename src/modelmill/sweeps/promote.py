"""The best trial as conf/experiment/NAME_best.yaml: what it differs in from conf/, nothing else."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from modelmill.errors import ModelmillError


def delta(wanted: Mapping[str, Any], base: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """What, merged into `base`, makes it `wanted`.

    Raises:
        ModelmillError: `base` has a key that `wanted` lacks: nothing merged takes it away.
    """
    if gone := sorted(set(base) - set(wanted)):
        raise ModelmillError(
            f"an experiment cannot take away {where}{gone[0]}: change conf/ itself"
        )
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            if inner := delta(value, base[key], f"{where}{key}."):
                changes[key] = inner
        elif key not in base or value != base[key]:
            changes[key] = value
    return changes


def experiment(wanted: Mapping[str, Any], base: Mapping[str, Any], model: str, comment: str) -> str:
    """The text of the experiment that trains `model` as in `wanted`, on its data.

    Args:
        wanted, base: the data of params.yaml of the trial, and what conf/ composes to by itself.
        comment: one line on where it comes from.
    """
    parts = [("models", model), ("datasets", wanted["models"][model]["dataset"])]
    changes: dict[str, Any] = {}
    if wanted["seed"] != base["seed"]:
        changes["seed"] = wanted["seed"]
    for group, name in parts:
        inside = delta(
            {name: wanted[group][name]},
            {key: value for key, value in base[group].items() if key == name},
            f"{group}.",
        )
        if inside:
            changes[group] = inside
    text = io.StringIO()
    YAML().dump(changes, text)
    return f"# @package _global_\n# {comment}\n{text.getvalue()}"
