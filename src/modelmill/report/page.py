"""The results as one self-contained page: table, curves, figures, sample texts, the pipeline.

`write` is all there is to call. The page needs no network: styles, scripts, data and pictures are
inside, and its content security policy forbids the rest.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from modelmill.files import write_text
from modelmill.params import Params
from modelmill.parts import PACKAGE
from modelmill.report import charts, compare, content, stages
from modelmill.report.moment import Moment

FOLDER = PACKAGE / "report"
# Of the table, with how they are sorted; all but the first and what a phone has room for.
COLUMNS = {
    "model": "text",
    "metric": "text wide-only",
    "ours": "number",
    "published": "number wide-only",
    "ratio": "number wide-only",
    "goal": "number",
    "time": "number wide-only",
    "epochs": "number wide-only",
    "parameters": "number wide-only",
}
MEASURED = ("metric", "ours", "parameters", "epochs", "time")


def write(path: Path, params: Params, root: Path, moment: Moment | None = None) -> None:
    """Writes the page of what is in `root`, the same bytes for the same files.

    Args:
        root: the repository, or a folder that has its data/, docs/, dvc.yaml and
            requirements.lock.
        moment: what depends on when and where the page is written; a stage's output has none,
            for DVC takes it to be a function of the stage's dependencies.
    """
    models = content.models(params, root, moment.seconds if moment else lambda card: None)
    page: dict[str, Any] = {
        "params": params,
        "models": models,
        "groups": compare.groups(params, models),
        "verdicts": Counter(model.verdict for model in models),
        "columns": COLUMNS,
        "all_settings": {
            model.name: {cell: model.cells[cell].text for cell in MEASURED} | model.settings
            for model in models
        },
        "fundamentals": content.figures(
            root / "data/figures/fundamentals", "dvc repro fundamentals"
        ),
        "levels": stages.levels(root / "dvc.yaml", params),
        "environment": moment.environment if moment else content.locked(root),
        "moment": moment,
    }
    write_text(path, render(page))


def render(page: dict[str, Any]) -> str:
    """The page's HTML; every text is escaped, wherever it came from."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    # These three are the project's own and the library's code, which the template takes as it is.
    code = {
        "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
        "script": (FOLDER / "page.js").read_text(encoding="utf-8"),
        "vega": charts.library(),
    }
    return environment.get_template("page.html.j2").render(**page, **code)
