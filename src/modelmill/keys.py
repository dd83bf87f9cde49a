"""Every key of conf/ explained, from the types and docstrings that validate it."""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from modelmill.errors import ModelmillError
from modelmill.params import Params
from modelmill.parts import part, parts
from modelmill.schema import Section, about, choose
from modelmill.sweeps.settings import Sweep
from modelmill.training import settings

WIDTH = 80  # of a terminal
LENGTH = f"^{settings.DURATION.pattern}$"
TAGS = ("name", "kind")  # the key that says which of several blocks is meant
INTRODUCTION = """# Every key of conf/

Written by `modelmill keys --write` from what validates the keys; `modelmill keys
models.mnist_mlp.fit` says the same of one block, with the values that it has now. A *length* is
`13 epochs` or `1000 steps`. Any value may be an interpolation, `${seed}`, but for those of sweeps.
"""


class Key(NamedTuple):
    """A key of a block: what it may be, in words, and what it means."""

    name: str
    kind: str
    default: str | None  # None where it has to be given
    meaning: str


def keys(section: type[Section]) -> list[Key]:
    """The keys of a block."""
    schema = section.model_json_schema()
    blocks, required = schema.get("$defs", {}), schema.get("required", ())
    return [
        Key(
            name,
            _kind(found, blocks),
            None if name in required else _plain(_default(section, name)) or "{}",
            re.sub(r"(?<!\.)\.$", "", found.get("description", "")),
        )
        for name, found in schema["properties"].items()
    ]


def _default(section: type[Section], name: str) -> Any:
    return section.model_fields[name].get_default(call_default_factory=True)


def inner(annotation: Any) -> list[type[Section]]:
    """The blocks that a value of this type can be."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [block for argument in get_args(annotation) for block in inner(argument)]


def title(section: type[Section]) -> str:
    """What a block is called: by the key that says which of several it is, else by its class."""
    fields = section.model_fields
    tags = [(tag, get_args(fields[tag].annotation)) for tag in TAGS if tag in fields]
    return next((f"{tag}: {_either([*names])}" for tag, names in tags if names), section.__name__)


# --- one block, with its values ------------------------------------------------------------------


def explain(params: Params, path: str, origin: str = "keys") -> str:
    """The keys at a dotted path of params.yaml, as text; of a single one only this.

    Args:
        origin: what named the path, for errors.

    Raises:
        ModelmillError: there is no such key.
    """
    value: Any = params
    holder: type[Section] = Params
    blocks, seen, field, label, given, depth = [holder], "", "", "", True, 0
    names = path.split(".") if path else []
    while names:
        name, where = names.pop(0), f"{origin}: {seen or 'params.yaml'}"
        if isinstance(value, dict | list):
            found = value.items() if isinstance(value, dict) else enumerate(value)
            entries = {str(key): entry for key, entry in found}
            while names and any(key.startswith(f"{name}.") for key in entries):
                name += f".{names.pop(0)}"  # a file's, say
            value = choose(entries, name, where)
            label, depth = f"{label}.{name}", depth + 1
        elif blocks:
            holders = [type(value)] if isinstance(value, Section) else blocks
            fields = {key: one for one in holders for key in one.model_fields}
            holder, field, given = choose(fields, name, where), name, hasattr(value, name)
            label, depth = name, 0
            value, blocks = getattr(value, name, None), inner(holder.model_fields[name].annotation)
        else:
            raise ModelmillError(f"{where} is a value: there is nothing below it")
        seen = f"{seen}.{name}".lstrip(".")
        if isinstance(value, Section) and type(value) not in blocks:
            blocks = [type(value)]  # what the architecture, the task or the reader makes of it
    if isinstance(value, dict) and value and blocks:
        return "\n".join(f"{path}.{name}" for name in value)
    if not blocks:
        (key,) = (key for key in keys(holder) if key.name == field)
        if depth:
            kind = re.sub(rf"^((list of|names, each with) ){{{depth}}}", "", key.kind)
            key = key._replace(kind=kind, default=None)
        return _shown(key._replace(name=label), *[value] * given)
    blocks.sort(key=lambda block: block is not type(value))
    return "\n\n".join(_block(path, block, value) for block in blocks)


def _block(path: str, section: type[Section], value: Any) -> str:
    now = dict(value) if isinstance(value, section) else {}
    which = "" if now else f", {title(section)}"
    lines = [textwrap.fill(f"{path or 'params.yaml'}{which}: {about(section)}", WIDTH)]
    lines += [_shown(key, *([now[key.name]] if now else [])) for key in keys(section)]
    return "\n".join(lines)


def _shown(key: Key, *values: Any) -> str:
    now = "".join(f" = {plain}" for value in values if (plain := _plain(value)))
    said = key.kind if key.default is None else f"{key.kind}, by default {key.default}"
    indent = " " * 6
    text = textwrap.fill(
        f"{said}: {key.meaning}", WIDTH, initial_indent=indent, subsequent_indent=indent
    )
    return f"  {key.name}{now}\n{text}"


# --- all blocks, as a document -------------------------------------------------------------------


def document() -> str:
    """docs/configuration.md."""
    written: set[type[Section]] = set()
    lines = [INTRODUCTION]

    def add(
        level: int, heading: str, section: type[Section], but: type[Section] | None = None
    ) -> None:
        """A block, without the keys of another, and then those that are inside it."""
        written.add(section)
        known = [key.name for key in keys(but)] if but else []
        rows = [key for key in keys(section) if key.name not in known]
        lines.append(f"{'#' * level} {heading}\n\n{about(section)}\n")
        if rows:
            lines.append("| key | what | default | meaning |\n| --- | --- | --- | --- |")
            lines.extend(f"| `{key.name}` | {' | '.join(_cells(key))} |" for key in rows)
            lines.append("")
        for key in rows:
            for block in inner(section.model_fields[key.name].annotation):
                if block not in written:
                    add(min(level + 1, 5), f"`{key.name}`, {title(block)}", block)

    def add_parts(
        kind: str, attribute: str, heading: str, but: type[Section] | None = None
    ) -> None:
        for name in parts(kind):
            if section := getattr(part(kind, name, ""), attribute, None):
                add(3, heading.format(name), section, but)

    add(2, "params.yaml", Params)
    add_parts("datasets", "Options", "options of the reader `{}`")
    add_parts("datasets", "Generate", "generate of the reader `{}`")
    add_parts("models", "Net", "net of the architecture `{}`")
    add(3, "fit of every task", settings.Fit)
    add_parts("tasks", "Fit", "fit of the task `{}`, beside those of every task", settings.Fit)
    add_parts("evaluation", "Eval", "eval of the task `{}`")
    add(2, "conf/sweep/NAME.yaml", Sweep)
    return "\n".join(lines)


def _cells(key: Key) -> list[str]:
    default = "required" if key.default is None else f"`{key.default}`"
    return [text.replace("|", "\\|") for text in (key.kind, default, key.meaning)]


# --- types in words ------------------------------------------------------------------------------


def _kind(schema: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    """What a value may be, from its JSON Schema."""
    if reference := schema.get("$ref"):
        block = blocks[reference.rpartition("/")[2]]
        tags = [block["properties"][tag] for tag in TAGS if tag in block["properties"]]
        return _kind(tags[0], blocks).replace(" or ", "/") if tags else block["title"]
    if alternatives := schema.get("oneOf") or schema.get("anyOf"):
        return _either([_kind(each, blocks) for each in alternatives])
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return _either([_plain(value) for value in values])
    match schema.get("type"):
        case "integer" | "number" as kind:
            return f"{kind}{_bounds(schema)}"
        case "boolean":
            return "true or false"
        case "string":
            return "length" if schema.get("pattern") == LENGTH else "text"
        case "array":
            return f"list of {_kind(schema['items'], blocks)}"
        case "object":
            return f"names, each with {_kind(schema['additionalProperties'], blocks)}"
        case "null":
            return "null"
    return "a block of its own"


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {json.dumps(schema[key])}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(found)}" if found else ""


def _either(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _plain(value: Any) -> str:
    """A value as conf/ has it; of a block, the key that says which of several it is, or nothing."""
    if isinstance(value, Section):
        tags = [tag for tag in TAGS if tag in type(value).model_fields]
        return "".join(f"{{{tag}: {getattr(value, tag)}}}" for tag in tags)
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, settings.Duration):
        return str(value)
    if isinstance(value, dict) and all(parts := [_plain(each) for each in value.values()]):
        return f"{{{', '.join(map(': '.join, zip(value, parts, strict=True)))}}}"
    if isinstance(value, list) and all(parts := [_listed(each) for each in value]):
        return f"[{', '.join(parts)}]"
    return "" if isinstance(value, dict | list) else json.dumps(value)


def _listed(value: Any) -> str:
    """A value among others."""
    return json.dumps(value) if isinstance(value, str) and "," in value else _plain(value)
