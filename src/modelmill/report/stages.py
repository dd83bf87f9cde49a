"""The pipeline's graph: the kinds of stages of dvc.yaml, in the order in which they can run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelmill.files import undamaged
from modelmill.params import Params
from modelmill.plain_yaml import read_yaml

UNITS = {"${datasets}": "data sets", "${models}": "models"}


@dataclass(frozen=True)
class Kind:
    """One entry of dvc.yaml.

    Attributes:
        count: how many stages it stands for, such as "17 models"; empty for a single one, and where
            dvc.yaml alone does not say.
        needs: the kinds whose outputs it reads.
        writes: its outputs, a star for each data set or model.
    """

    name: str
    count: str
    needs: list[str]
    writes: list[str]


def levels(path: Path, params: Params) -> list[list[Kind]]:
    """The kinds of stages of a dvc.yaml; those of a level need only those of levels before.

    Raises:
        ModelmillError: it is no such file.
    """
    with undamaged(path, f"git checkout {path.name}"):
        return _levels(read_yaml(path)["stages"], params)


def _levels(entries: dict[str, Any], params: Params) -> list[list[Kind]]:
    outs = {name: _paths(entry, "outs", "plots", "metrics") for name, entry in entries.items()}
    deps = {name: _paths(entry, "deps") for name, entry in entries.items()}
    waiting = {}
    for name, entry in entries.items():
        needs = [
            other
            for other in entries
            if other != name and any(_overlap(d, o) for d in deps[name] for o in outs[other])
        ]
        writes = list(dict.fromkeys(_star(out) for out in outs[name]))
        waiting[name] = Kind(name, _count(entry.get("foreach", ""), params), needs, writes)
    ordered: list[list[Kind]] = []
    while waiting:
        ready = [kind for kind in waiting.values() if not set(kind.needs) & set(waiting)]
        if not ready:
            raise ValueError(f"the stages {', '.join(waiting)} need one another")
        ordered.append(ready)
        waiting = {name: kind for name, kind in waiting.items() if kind not in ready}
    return ordered


def _count(each: str | list[Any] | dict[str, Any], params: Params) -> str:
    if not isinstance(each, str):
        return f"{len(each)} stages"
    return f"{len(getattr(params, each.strip('${}')))} {UNITS[each]}" if each in UNITS else ""


def _paths(entry: dict[str, Any], *keys: str) -> list[str]:
    stage = entry.get("do", entry)
    listed = [item for key in keys for item in stage.get(key, [])]
    return [item if isinstance(item, str) else next(iter(item)) for item in listed]


def _overlap(dependency: str, out: str) -> bool:
    """Whether one path is, or is inside of, the other, for some data set or model."""
    pairs = zip(dependency.split("/"), out.split("/"), strict=False)
    return all(a == b or a.startswith("${") or b.startswith("${") for a, b in pairs)


def _star(path: str) -> str:
    """The path, or the folders of all data sets or models, without the files in them."""
    folder, each, _ = path.partition("${")
    return f"{folder}*" if each else path
