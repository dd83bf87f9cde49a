"""YAML as plain data, of a bounded size: nothing a file says is made to run, and none is a bomb.

Ten lines of aliases or merge keys can stand for a billion values, so a text is measured as it
would be written out, before anything is made of it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import ScalarNode

from modelmill.errors import ModelmillError

LARGEST = 300_000  # characters and values; what conf/ composes to has about twenty thousand
DEEPEST = 50  # lists and mappings within one another
INTEGER = "tag:yaml.org,2002:int"


def read_yaml(path: Path, largest: int = LARGEST) -> Any:
    """The data of a YAML file.

    Args:
        largest: how many characters and values it may stand for.

    Raises:
        ModelmillError: the file is missing, not YAML, or too large.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return yaml_data(file.read(largest + 1), str(path), largest)
    except FileNotFoundError:
        raise ModelmillError(
            f"{path} is missing: run `modelmill compose` in the repository's root"
        ) from None
    except UnicodeDecodeError as error:
        raise ModelmillError(f"{path} is not UTF-8: {error}") from None


def yaml_data(text: str, name: str = "YAML", largest: int = LARGEST) -> Any:
    """Plain data from YAML 1.2, read as DVC and OmegaConf read it (1e-3 is a number).

    Raises:
        ModelmillError: it is not YAML, or stands for more than `largest` characters and values.
    """
    reader = YAML(typ="safe")
    reader.Constructor = _Constructor
    try:
        if len(text) > largest:
            raise _TooMuch
        _require_bounded(YAML(typ="safe").parse(text), largest)
        return reader.load(text)
    except _TooMuch:
        raise ModelmillError(
            f"{name} is too large: more than {largest:,} characters and values, "
            f"or {DEEPEST} levels, its aliases written out"
        ) from None
    except Exception as error:  # of impossible dates and the like it raises anything
        raise ModelmillError(
            f"{name} is not valid YAML: {' '.join(str(error).split()):.300}"
        ) from None


class _TooMuch(Exception):
    """A text stands for more than is read."""


def _require_bounded(events: Iterable[Any], largest: int) -> None:
    """Raises _TooMuch, before it has come to the end, if the parts of a text are too many."""
    anchored: dict[str, tuple[int, int]] = {}  # the size and the depth of what has a name
    unfinished: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # so of what is not closed yet
    for event in events:
        anchor, size, depth = getattr(event, "anchor", None), 1, 0
        if isinstance(event, CollectionStartEvent):
            unfinished.append((anchor, 0, 0))
            anchor = None
        elif isinstance(event, CollectionEndEvent):
            anchor, size, depth = unfinished.pop()
        elif isinstance(event, ScalarEvent):
            size += len(event.value)
        elif isinstance(event, AliasEvent):
            if anchor not in anchored:
                raise ValueError(f"the alias {anchor!r} is of nothing that ended before it")
            size, depth = anchored[anchor]
        if anchor:
            anchored[anchor] = size, depth
        name, before, deepest = unfinished[-1]
        unfinished[-1] = name, before + size, max(deepest, depth + 1)
        if before + size > largest or len(unfinished) + depth > DEEPEST:
            raise _TooMuch


class _Constructor(SafeConstructor):
    """Refuses integers that nothing could count: Python would not even write them down."""

    def construct_yaml_int(self, node: ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"an integer of more than 64 bits in line {node.start_mark.line + 1}")
        return value


_Constructor.add_constructor(INTEGER, _Constructor.construct_yaml_int)
