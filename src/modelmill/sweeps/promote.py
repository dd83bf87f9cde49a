"""The best trial as a file of conf/: as an experiment, or in the model's own file.

An experiment has what the trial differs in from conf/, nothing else. In conf/model/ only the values
that were searched change: a sweep trains for a shorter time, and the model need not.
"""

import io
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML

from modelmill.errors import ModelmillError
from modelmill.sweeps.settings import Values, with_values

LONGEST = 10_000  # characters of a line, which is not to be broken


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


def in_model(text: str, values: Values, model: str, origin: str) -> str:
    """The text of conf/model/MODEL.yaml with these values, its comments and all else as they were.

    Args:
        values: by key of params.yaml, all of this model.
        origin: the file.

    Raises:
        ModelmillError: a value belongs into a list that the file has from another model.
    """
    file = YAML()
    file.width, file.preserve_quotes = LONGEST, True
    file.indent(mapping=2, sequence=4, offset=2)
    file.default_flow_style = None
    file.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    content = {"models": {model: file.load(text)}}
    for key in values:
        _make_room(content, key, origin)
    changed = with_values(content, values, origin)
    written = io.StringIO()
    file.dump(changed["models"][model], written)
    return written.getvalue()


def _make_room(content: Any, key: str, origin: str) -> None:
    """Adds the blocks around `key` that the file of a model which inherits need not have."""
    for name, inner in pairwise(key.split(".")):
        if not isinstance(content, dict):
            return
        if name not in content and inner.isdigit():
            raise ModelmillError(
                f"{origin}: {key}: the list is another model's: write it into this file first"
            )
        content = content.setdefault(name, {})
