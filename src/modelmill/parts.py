"""What can be named in params.yaml: readers, architectures, tasks and their evaluations.

A part is a module of a folder of this package that has what its kind demands, so a helper beside
it is not mistaken for one. A new part is a new file; nothing lists them.
"""

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

from modelmill.reference import Better
from modelmill.schema import check_choice

PACKAGE = Path(__file__).parent
DEMANDED = {
    "datasets": "class Options",
    "evaluation": "class Eval",
    "models": "class Net",
    "tasks": "METRICS",
}


def part(kind: str, name: str, where: str) -> ModuleType:
    """The module ``modelmill.KIND.NAME``; `where` is the key that asked for it.

    Raises:
        ModelmillError: there is no such part.
    """
    check_choice(where, name, parts(kind))
    return importlib.import_module(f"modelmill.{kind}.{name}")


@cache
def parts(kind: str) -> list[str]:
    """The names of all parts of a kind; none is imported."""
    demanded = re.compile(rf"^{DEMANDED[kind]}\b", re.MULTILINE)
    files = sorted((PACKAGE / kind).glob("*.py"))
    return [file.stem for file in files if demanded.search(file.read_text(encoding="utf-8"))]


def metrics(task: str) -> dict[str, Better]:
    """All that is measured of a task, in training and in evaluation, and which way is better."""
    return {**part("tasks", task, "task").METRICS, **part("evaluation", task, "task").METRICS}
