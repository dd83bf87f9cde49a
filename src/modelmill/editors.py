"""JSON Schemas of conf/, with which editors complete, explain and check what is written there.

What a file leaves out may come from another one, by `defaults:`, so it is not missed here, but by
`modelmill compose`.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from modelmill.datasets.settings import Dataset
from modelmill.params import Model, Params
from modelmill.parts import part, parts
from modelmill.sweeps.settings import Sweep

Schema = dict[str, Any]

# Hydra's: any value may be one.
INTERPOLATION = {"interpolation": {"type": "string", "pattern": r"\$\{.+\}"}}
DEFAULTS = {"type": "array", "description": "the files that this one begins with"}


class Typed(NamedTuple):
    """A key whose block is declared by the part that another key of the same block names."""

    block: str
    key: str
    named_by: str
    folder: str
    declared: str


TYPED = [
    Typed("Dataset", "options", "reader", "datasets", "Options"),
    Typed("Dataset", "generate", "reader", "datasets", "Generate"),
    Typed("Model", "net", "arch", "models", "Net"),
    Typed("Model", "fit", "task", "tasks", "Fit"),
    Typed("Model", "eval", "task", "evaluation", "Eval"),
]


def schemas() -> dict[str, Schema]:
    """For files of conf/: by folder, and `config` for those that may say anything."""
    return {
        "config": _schema(Params, "Dataset", "Model"),
        "dataset": _schema(Dataset, "Dataset"),
        "model": _schema(Model, "Model"),
        "sweep": Sweep.model_json_schema(),
    }


def text(schema: Schema) -> str:
    """A schema as it is written: a line for each block, so that a change of one is seen as such."""
    entries = {key: json.dumps(value) for key, value in schema.items()}
    entries["$defs"] = _lines({key: json.dumps(value) for key, value in schema["$defs"].items()})
    return _lines(entries) + "\n"


def _lines(entries: Mapping[str, str]) -> str:
    """An object of JSON, of entries that are JSON already."""
    return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in entries.items()) + "\n}"


def _schema(root: type[BaseModel], *blocks: str) -> Schema:
    """Of a file with the keys of `root`; `blocks` are those in it that parts have a say in."""
    typed = [each for each in TYPED if each.block in blocks]
    declared = {
        (each, name): block
        for each in typed
        for name in parts(each.folder)
        if (block := getattr(part(each.folder, name, ""), each.declared, None))
    }
    wanted: list[type[BaseModel]] = [root, *dict.fromkeys(declared.values())]
    references, found = models_json_schema([(block, "validation") for block in wanted])
    definitions = {name: _lenient(block) for name, block in found["$defs"].items()}
    for each in typed:
        entry = definitions[each.block]["properties"][each.named_by]
        entry |= _value({"enum": parts(each.folder)})
    for (each, name), block in declared.items():
        entry = _value(references[block, "validation"], or_null=each.key == "generate")
        definitions[each.block].setdefault("allOf", []).append(
            {
                "if": {"properties": {each.named_by: {"const": name}}, "required": [each.named_by]},
                "then": {"properties": {each.key: entry}},
            }
        )
    top = definitions.pop(root.__name__)
    properties = {"defaults": DEFAULTS, **top["properties"]}
    return {**top, "properties": properties, "$defs": definitions | INTERPOLATION}


def _lenient(block: Schema) -> Schema:
    """A block of which nothing has to be given, and anything may be an interpolation."""
    properties = {key: _value(found) for key, found in block["properties"].items()}
    kept = {key: block[key] for key in ("type", "description", "additionalProperties")}
    return {**kept, "properties": properties}


def _value(schema: Schema, or_null: bool = False) -> Schema:
    """A value of this schema, or an interpolation."""
    said: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    kind = {key: schema[key] for key in schema if key not in (*said, "title", "discriminator")}
    if not kind or "const" in kind or kind == {"type": "string"}:
        return kind | said  # what a part types, what says which block this is, and any text
    for inner in ("items", "additionalProperties"):
        if isinstance(within := kind.get(inner), dict):
            kind[inner] = _value(within)
    alternatives = kind.get("anyOf") or kind.get("oneOf") or [kind]
    null = [{"type": "null"}] * or_null
    return {"anyOf": [*alternatives, *null, {"$ref": "#/$defs/interpolation"}], **said}
