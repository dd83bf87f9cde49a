"""Prepared data: arrays (.npy, memory-mapped) and named row ranges of them (meta.json).

All arrays of a data set share their first axis. A split is a range of that axis, so that a
corpus is stored once, however it is divided.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from modelmill.errors import ModelmillError
from modelmill.files import data_sha256, json_text, read_json, sha256, undamaged, write_json
from modelmill.schema import Open, PositiveFloat, PositiveInt, Section, validate

META = "meta.json"
VOCABULARY = "vocabulary.json"
ROWS = 10_000  # looked at together


class Array(Section):
    """What an array is, as its file's header says too."""

    shape: list[Annotated[int, Field(ge=0)]]
    dtype: str


class Meta(Open):
    """What meta.json says; a reader may add facts that are not declared here."""

    splits: dict[str, Annotated[list[int], Field(min_length=2, max_length=2)]]
    arrays: dict[str, Array]
    digest: str
    shared: dict[str, int] | None = None
    input_shape: list[PositiveInt] | None = None
    outputs: PositiveInt | None = None
    scale: PositiveFloat | None = None
    class_names: list[str] | None = None
    input_names: list[str] | None = None
    vocabulary_size: PositiveInt | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _facts_agree(self) -> "Meta":
        for key in type(self).model_fields:
            if key in self.model_fields_set and getattr(self, key) is None:
                raise ValueError(f"{key} has no value")
        if (names := self.class_names) is not None:
            if len(names) != self.outputs:
                raise ValueError(f"{len(names)} class_names for {self.outputs} outputs")
            if len({*names, "class"}) <= len(names):  # the name of the answer, where it is served
                raise ValueError("class_names: two are the same, or one is 'class'")
        if x := self.arrays.get("x"):
            if self.input_shape is not None and self.input_shape != x.shape[1:]:
                raise ValueError(f"input_shape {self.input_shape} of examples {x.shape[1:]}")
            if self.scale is None and x.dtype.removeprefix("u").startswith("int"):
                raise ValueError("there is no scale that takes x to the range that models see")
        return self


class Vocabulary(Open):
    """What vocabulary.json says; the rest of it is its reader's."""

    tokens: list[str]


class Facts(dict[str, Any]):
    """The values of meta.json; only `scale` may be asked for and not be there."""

    def __init__(self, values: Mapping[str, Any], folder: Path) -> None:
        super().__init__(values)
        self.folder = folder

    def __missing__(self, key: str) -> Any:
        if key == "scale":  # integers have one, `Meta` sees to that
            return 1.0
        raise ModelmillError(
            f"{self.folder / META} has no {key}: its reader gives none to `describe`, or it is "
            f"damaged: run `{_remedy(self.folder)}`"
        )


def _remedy(folder: Path) -> str:
    return f"dvc repro preprocess@{folder.name}"


@dataclass(frozen=True)
class Processed:
    """A prepared data set; `arrays` are read-only views of the files."""

    folder: Path
    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def split(self, name: str) -> dict[str, np.ndarray]:
        """The rows of split `name` of every array.

        Raises:
            ModelmillError: the data set has no such split.
        """
        if name not in self.meta["splits"]:
            raise ModelmillError(f"no split '{name}', only {', '.join(self.meta['splits'])}")
        start, stop = self.meta["splits"][name]
        return {key: array[start:stop] for key, array in self.arrays.items()}

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Examples as models see them, float32."""
        return x.astype(np.float32) * np.float32(self.meta["scale"])

    def vocabulary(self) -> list[str]:
        """The tokens of a text, each at the place of its id.

        Raises:
            ModelmillError: the file is missing or damaged.
        """
        path = self.folder / VOCABULARY
        with undamaged(path, _remedy(self.folder)):
            tokens = validate(Vocabulary, read_json(path), "", str(path)).tokens
            if len(set(tokens)) != len(tokens) or len(tokens) != self.meta["vocabulary_size"]:
                raise ValueError(f"{META} has {self.meta['vocabulary_size']} tokens, all different")
            return tokens

    @property
    def digest(self) -> str:
        """Identifies the content: a hash over all files' hashes, the splits, and the facts."""
        return self.meta["digest"]


def describe(out: Path, splits: Mapping[str, tuple[int, int]], **facts: Any) -> None:
    """Writes meta.json for the .npy files in `out`.

    Args:
        splits: the [start, stop) rows of each split.
        facts: what models and figures need to know. For examples x and y: `input_shape`,
            `outputs` (values, or classes), `scale` (takes integers to the range models see); for
            classes also `class_names` and, of tables, `input_names`. For tokens:
            `vocabulary_size` and `unit`, such as word. For ratings: `users`, `items` and `stars`.

    Splits never overlap. Nor should they have examples in common, but real data repeat themselves
    (two of Fisher's flowers measure the same), so how many they have is written down as `shared`.
    Of a text nothing is counted: its parts are of one piece, in which short sentences recur.

    Raises:
        ModelmillError: a split is empty, overlaps another, or goes beyond the arrays; a value is
            not a finite number; there is a scale for what are no integers; a class, token, user,
            item or rating is beyond what the facts say; facts do not fit the arrays.
    """
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(out.glob("*.npy"))}
    scaled = facts.get("scale", 1.0) != 1.0
    if problem := _problem(splits, arrays) or _not_finite(arrays) or _misfit(arrays, scaled):
        raise ModelmillError(problem)
    shared = {"shared": _shared(splits, arrays["x"])} if "x" in arrays else {}
    meta = {
        **facts,
        **shared,
        "splits": {name: list(bounds) for name, bounds in splits.items()},
        "arrays": {
            name: {"shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in arrays.items()
        },
    }
    validate(Meta, json.loads(json_text({**meta, "digest": ""})), "", META)
    for name, array in arrays.items():
        if bounds := _bounds(name, meta):
            _require_within(name, array, *bounds)
    write_json(out / META, {**meta, "digest": _digest(out, meta)})


def _digest(folder: Path, meta: Mapping[str, Any]) -> str:
    """Of what meta.json says beside it, and of all other files of a data set."""
    files = [path for path in sorted(folder.iterdir()) if path.name != META]
    return data_sha256([meta, {path.name: sha256(path) for path in files}])


def _problem(splits: Mapping[str, Sequence[int]], arrays: Mapping[str, np.ndarray]) -> str:
    """What is wrong with the splits of these arrays, an empty string if nothing is."""
    for name, (start, stop) in splits.items():
        if not 0 <= start < stop:
            return f"nothing is left for split '{name}'"
        if any(stop > len(array) for array in arrays.values()):
            return f"split '{name}' ends at {stop:,}, beyond the data"
    for (start, stop), (following, _) in pairwise(sorted(map(tuple, splits.values()))):
        if following < stop:
            return f"the splits from {start:,} and from {following:,} overlap"
    return ""


def _not_finite(arrays: Mapping[str, np.ndarray]) -> str:
    """Which value is not a finite number, an empty string if all are."""
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            for row in range(0, len(array), ROWS):
                wrong = np.argwhere(~np.isfinite(array[row : row + ROWS]))
                if len(wrong):
                    place = (row + wrong[0][0], *wrong[0][1:])
                    return f"array {name}, row {place[0]:,}: {array[place]} is not a finite number"
    return ""


def _misfit(arrays: Mapping[str, np.ndarray], scaled: bool) -> str:
    """Why a scale is of no use, an empty string if there is none or it is."""
    found = str(arrays["x"].dtype) if "x" in arrays else "missing"
    if scaled and "int" not in found:
        return f"a scale is for integers, and array x is {found}"
    return ""


def _bounds(name: str, meta: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """What the numbers of an array stand for, and the first and last; None where it is free."""
    if name == "y" and "class_names" in meta:
        return "class", 0, meta["outputs"] - 1
    if name == "rating" and "stars" in meta:
        return "rating", 1, meta["stars"]
    kinds = {"tokens": ("token", "vocabulary_size"), "user": ("user", "users")}
    kinds["item"] = ("item", "items")
    what, count = kinds.get(name, ("", ""))
    return (what, 0, meta[count] - 1) if count in meta else None


def _require_within(name: str, array: np.ndarray, what: str, first: int, last: int) -> None:
    """Raises ModelmillError unless an array has whole numbers from `first` to `last` alone."""
    if array.dtype.kind not in "iu":
        raise ModelmillError(f"array {name} is {array.dtype}: each {what} is a whole number")
    for start in range(0, len(array), ROWS):
        part = array[start : start + ROWS]
        wrong = np.flatnonzero((part < first) | (part > last))
        if len(wrong):
            raise ModelmillError(
                f"array {name}, row {start + wrong[0]:,}: {part[wrong[0]]} is no {what} from "
                f"{first} to {last}"
            )


def _shared(splits: Mapping[str, tuple[int, int]], x: np.ndarray) -> dict[str, int]:
    """For each two splits, how many examples of the first are, to the byte, in the second too."""
    digests = [hashlib.sha256(example.tobytes()).digest() for example in x]
    parts = {name: digests[start:stop] for name, (start, stop) in splits.items()}
    known = {name: set(part) for name, part in parts.items()}
    return {
        f"{one} in {other}": sum(digest in known[other] for digest in parts[one])
        for one, other in permutations(parts, 2)
    }


def read_meta(folder: Path) -> Facts:
    """Reads meta.json.

    Raises:
        ModelmillError: it is missing or damaged.
    """
    with undamaged(folder / META, _remedy(folder)):
        facts = read_json(folder / META)
        validate(Meta, facts, "", str(folder / META))
        return Facts(facts, folder)


def open_array(path: Path) -> np.ndarray:
    """Opens an array that the pipeline wrote, memory-mapped and never unpickled.

    Raises:
        OSError: it is missing or cannot be read.
        Exception: it is damaged; of what kind, NumPy decides.
    """
    with path.open("rb") as file:
        # A version of one flipped bit has NumPy set gigabytes aside for a header.
        if (version := np.lib.format.read_magic(file)) != (1, 0):
            raise ValueError(f"format {version[0]}.{version[1]} of arrays, where 1.0 was written")
    return np.lib.format.open_memmap(path, mode="r")


def load(folder: Path, verify: bool = False) -> Processed:
    """Opens what `describe` described; arrays are memory-mapped and never unpickled.

    Args:
        verify: whether every byte of it is read, to see that it is what was described.

    Raises:
        ModelmillError: a file is missing, damaged, or not what meta.json says.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        meta = read_meta(folder)
        for name, expected in meta["arrays"].items():
            array = open_array(folder / f"{name}.npy")
            found = {"shape": list(array.shape), "dtype": str(array.dtype)}
            if found != expected:
                raise ValueError(f"{name}.npy: {found} differs from {META}: {expected}")
            arrays[name] = array
        if problem := _problem(meta["splits"], arrays):
            raise ValueError(f"{META}: {problem}")
        if verify and meta["digest"] != _digest(
            folder, {key: value for key, value in meta.items() if key != "digest"}
        ):
            raise ValueError(f"its files are not those that {META} was written of")
    except Exception as error:  # damaged headers make numpy raise almost anything
        said = " ".join(str(error).split()).partition(": run `")[0]
        raise ModelmillError(
            f"{folder} is not a prepared data set: {said:.300}; run `{_remedy(folder)}`"
        ) from None
    return Processed(folder, meta, arrays)
