"""What the page shows of each model, read from data/ as table.py reads it."""

import base64
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelmill.errors import ModelmillError
from modelmill.files import read_json, undamaged
from modelmill.params import Params
from modelmill.reference import number
from modelmill.report import charts, seeds, table
from modelmill.report.charts import Chart
from modelmill.schema import Open, validate
from modelmill.tracking.summary import flatten
from modelmill.trained.artifacts import Card
from modelmill.trained.history import read_history

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = Path("docs/results/full.json")
LOCK = Path("requirements.lock")
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "dvc", "hydra-core", "mlflow")
DRAWN_ANEW = {"curves.png", "perplexity.png"}  # the page's own curves show the same
SAMPLE, CONFUSION = "sample.txt", "confusion.csv"
SETTINGS = {"dataset", "task", "arch", "net", "fit", "eval"}
NONE = "–"
WIDTH, QUALITY = 960, 50  # of pictures; a phone or half a desktop's window shows no more


class Known(Open):
    """What docs/results/full.json says of a model, as far as the page needs it."""

    value: float
    seconds: float | None


class Published(Open):
    """What docs/results/full.json says."""

    models: dict[str, Known]


@dataclass(frozen=True)
class Cell:
    """A cell of the table: its text, what it is sorted by, and what stands small below it."""

    text: str
    key: float | str | None
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture as a data URI, with its size in pixels and words for who cannot see it."""

    title: str
    uri: str
    width: int
    height: int


class ClassRow(NamedTuple):
    """How well a class is known: of those taken for it, and of those that are it, the share."""

    name: str
    examples: int
    precision: float
    recall: float


@dataclass(frozen=True)
class Shown:
    """A model's part of the page; without charts, figures and text where it was not run.

    Attributes:
        settings: all that params.yaml says of it, by dotted key.
        history: a row per lap; None where it was not run.
        classes: of each class its name, its examples, precision and recall; empty if it has none.
        problem: which of its files is damaged, and what to do about it; empty if none is.
    """

    name: str
    cells: dict[str, Cell]
    result: table.Result
    settings: dict[str, str]
    charts: list[Chart] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    sample: str = ""
    history: "pd.DataFrame | None" = None
    classes: list[ClassRow] = field(default_factory=list)
    verdict: str = ""
    problem: str = ""

    @property
    def ran(self) -> bool:
        return self.history is not None


def models(params: Params, root: Path, seconds: Callable[[Card], float | None]) -> list[Shown]:
    """Every model of params.yaml, with what there is to see of it.

    Times are those of `seconds`, else those of docs/results/full.json where the same figure came
    out: the one file in git that has times, and part of what a page is made from.
    """
    data = root / "data"
    found = table.collect(params, root, seconds)
    with undamaged(root / PUBLISHED, f"git checkout {PUBLISHED}"):
        path = root / PUBLISHED
        published = validate(Published, read_json(path), "", str(path)).models
    for name, result in found.items():
        same = published.get(name)
        if same and result.get("seconds", 0) is None and same.value == result["value"]:
            result["seconds"] = same.seconds
    rows, known = table.rows(found), seeds.read(root)
    return [
        _shown(
            Shown(
                name,
                _cells(params.models[name].about, found[name], row),
                found[name],
                flatten(params.models[name].model_dump(include=SETTINGS)),
            ),
            data,
            known[name].bands if found[name].get("seeds") else {},
        )
        for name, row in zip(found, rows, strict=True)
    ]


def _cells(about: str, result: table.Result, row: dict[str, str]) -> dict[str, Cell]:
    """The cells of the table's row, by column."""
    value, published = result["value"], result["published"]
    ratio = value / published if value is not None and published else None
    over_seeds = "mean " + row[table.SEEDS].replace(", ", ",\n") if result.get("seeds") else ""
    return {
        "model": Cell(row["model"], row["model"], about),
        "metric": Cell(row["metric"], row["metric"], f"{result['better']} is better"),
        "ours": Cell(row["ours"], value, over_seeds),
        "published": Cell(NONE if published is None else number(published), published),
        "ratio": Cell(NONE if ratio is None else f"{ratio:.3f}", ratio),
        "goal": Cell(row["goal"] or NONE, result["goal"], row[""]),
        "time": Cell(row["time"] or NONE, result.get("seconds")),
        "epochs": Cell(row["epochs"] or NONE, result.get("epochs")),
        "parameters": Cell(row["parameters"] or NONE, result.get("parameters")),
    }


def _shown(model: Shown, data: Path, bands: charts.Bands) -> Shown:
    """The model with what its files show, if it was run, and the bands of its seeds."""
    if model.result["value"] is None:
        return replace(model, problem=model.result.get("problem", ""))
    folder, remedy = data / "figures" / model.name, f"dvc repro evaluate@{model.name}"
    try:
        history = read_history(data / "models" / model.name, "examples")
        return replace(
            model,
            charts=charts.curves(history, model.result["metric"], bands),
            figures=figures(folder, remedy),
            sample=_sample(data / "evaluations" / model.name / SAMPLE, remedy),
            history=history,
            classes=classes(folder / CONFUSION, remedy),
            verdict=table.verdict(model.result),
        )
    except ModelmillError as error:
        return replace(model, problem=str(error))


def classes(path: Path, remedy: str) -> list[ClassRow]:
    """What confusion.csv says of each class, nothing if there is none; 0 of nothing is 0."""
    if not path.exists():
        return []
    with undamaged(path, remedy), path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
        names = list(dict.fromkeys(row[0] for row in rows))
        pairs = [["actual", "predicted"], *map(list, product(names, names))]
        if [row[:2] for row in [header, *rows]] != pairs:
            raise ValueError("it is not of each class by each class")
        counts = np.array([int(row[2]) for row in rows]).reshape(len(names), len(names))
        columns = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        return [
            ClassRow(name, int(of), right / max(taken, 1), right / max(of, 1))
            for name, right, of, taken in zip(names, *columns, strict=True)
        ]


def _sample(path: Path, remedy: str) -> str:
    """A text that a model wrote, an empty one if there is none."""
    if not path.exists():
        return ""
    with undamaged(path, remedy):
        return path.read_text(encoding="utf-8")


def figures(folder: Path, remedy: str) -> list[Figure]:
    """The pictures in a folder, but for learning curves; none if there is no folder.

    Args:
        remedy: the command that draws them anew.

    Raises:
        ModelmillError: one is damaged.
    """
    found = []
    for path in sorted(path for path in folder.glob("*.png") if path.name not in DRAWN_ANEW):
        with undamaged(path, remedy):
            found.append(_figure(path))
    return found


def _figure(path: Path) -> Figure:
    from PIL import Image

    # In memory, since of a file Pillow asks for as much room as a damaged part claims to need.
    with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=6)  # a fifth of the PNG's bytes
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Figure(path.stem.replace("_", " "), uri, picture.width, picture.height)


def locked(root: Path) -> dict[str, str]:
    """The versions that requirements.lock pins of the packages that do the work."""
    with undamaged(root / LOCK, f"git checkout {LOCK}"):
        text = (root / LOCK).read_text(encoding="utf-8")
    pins: dict[str, Any] = dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))
    return {name: pins[name] for name in PACKAGES if name in pins}
