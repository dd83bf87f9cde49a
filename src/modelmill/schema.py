"""How a block of params.yaml is declared and validated; knows nothing of what is in it."""

import difflib
import inspect
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)

from modelmill.errors import ModelmillError

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring = 2, 60


def shown(value: object) -> str:
    """A value as messages show it: the beginning of it where it is long, deep or has many parts."""
    return _SHORT.repr(value)


class Section(BaseModel):
    """A block of params.yaml: unknown keys and wrong types are refused, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                near = _nearest(key, cls.model_fields)
                raise ValueError(f"there is no key {shown(str(key))} here{near}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> Any:
        """The docstring's words beside what pydantic knows."""
        schema = handler(core)
        block = handler.resolve_ref_schema(schema)
        block["description"] = about(cls)
        known = meanings(cls)
        for key, found in block.get("properties", {}).items():
            found["description"] = known.get(key, "which block this is" if "const" in found else "")
            if isinstance(default := cls.model_fields[key].default, tuple):
                found["default"] = str(default)  # as conf/ has it
        return schema


def about(section: type[Section]) -> str:
    """What a block's docstring says before its keys."""
    return " ".join(inspect.cleandoc(section.__doc__ or "").partition("Attributes:")[0].split())


def meanings(section: type[Section]) -> dict[str, str]:
    """What the docstrings of a block, and of those it is made from, say of each key."""
    found = {}
    for each in reversed(section.__mro__):
        listed = inspect.cleandoc(each.__doc__ or "").partition("Attributes:")[2]
        for key, text in re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, re.MULTILINE):
            if key in section.model_fields:
                found[key] = " ".join(text.split())
    return found


class Open(BaseModel):
    """A block to which anything may be added; what is declared is as strict as in a `Section`."""

    model_config = Section.model_config | {"extra": "allow"}


def validate(schema: type[S], value: object, where: str, origin: str = "params.yaml") -> S:
    """`value` as a `schema`; an error names its origin and the key at fault below `where`."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([where] * bool(where) + _path(first["loc"], value, first["type"]))
        message = " ".join(first["msg"].removeprefix("Value error, ").split())[:400]
        if not key and first["type"] != "value_error":  # whose own words name the keys
            key = "the file"
        if first["type"] == "model_attributes_type":  # one of several blocks, each with a name
            name = first["input"] if isinstance(first["input"], str) else "..."
            message = f"a block is expected here, such as {{name: {name:.60}}}"
        if first["type"] == "union_tag_invalid":
            tags = first["ctx"]["expected_tags"].replace("'", "").split(", ")
            key = ".".join([*filter(None, [key]), first["ctx"]["discriminator"].strip("'")])
            raise ModelmillError(f"{origin}: {unknown(key, first['ctx']['tag'], tags)}") from None
        found = (
            "" if isinstance(first["input"], dict | list) else f", found {shown(first['input'])}"
        )
        place = f"{origin}: {key}" if key else origin
        raise ModelmillError(f"{place}: {message}{found}") from None


def _path(loc: tuple[int | str, ...], value: Any, kind: str) -> list[str]:
    """The keys in `loc` without the tags that pydantic adds for the branch of a union."""
    keys = []
    for key in loc:
        of_list = isinstance(value, list) and isinstance(key, int)
        if of_list or (isinstance(value, dict) and key in value):
            keys.append(str(key)[:60])
            value = value[key]
    return [*keys, str(loc[-1])] if kind == "missing" else keys


def choose(entries: Mapping[str, T], name: str, what: str) -> T:
    """The entry called `name`; an unknown name is answered with the nearest one."""
    check_choice(what, name, entries)
    return entries[name]


def check_choice(what: str, name: str, valid: Iterable[str]) -> None:
    """Raises ModelmillError, naming the nearest valid name, if `name` is none of them."""
    if name not in valid:
        raise ModelmillError(unknown(what, name, valid))


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """What is said of a name that is none of the valid ones."""
    return f"{what}: there is no {shown(name)}{_nearest(name, valid)}"


def _nearest(name: object, valid: Iterable[str]) -> str:
    choices = sorted(valid)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; choose from {', '.join(choices[:100])}"
