"""What can be named in params.yaml: readers, architectures, tasks and their evaluations.

A part is a module of a folder of this package that has what its kind demands, so a helper beside
it is not mistaken for one. A new part is a new file; nothing lists them.
"""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from modelmill.errors import ModelmillError, in_one_line
from modelmill.reference import Better
from modelmill.schema import check_choice

PACKAGE = Path(__file__).parent
DEMANDED = {  # the first tells a part from a helper
    "datasets": ("Options", "SPLITS", "ARRAYS", "prepare"),
    "evaluation": ("Eval", "METRICS", "evaluate"),
    "models": ("Net", "INPUTS", "build"),
    "tasks": (
        *("METRICS", "Fit", "ARRAYS", "INPUTS", "STATE"),
        *("spec", "begin", "batches", "initial", "learn", "measure", "metrics"),
    ),
}


def part(kind: str, name: str, where: str) -> ModuleType:
    """The module ``modelmill.KIND.NAME``; `where` is the key that asked for it.

    Raises:
        ModelmillError: there is no such part, or its file cannot be imported.
    """
    if name not in _modules(PACKAGE / kind):
        check_choice(where, name, parts(kind))
    found = _module(kind, name)
    for demanded in DEMANDED[kind]:
        if not hasattr(found, demanded):
            raise ModelmillError(f"{where}: {_file(kind, name)} has no {demanded}")
    return found


def parts(kind: str) -> list[str]:
    """The names of all parts of a kind."""
    mark, *_ = DEMANDED[kind]
    return [name for name in _modules(PACKAGE / kind) if hasattr(_module(kind, name), mark)]


def metrics(task: str) -> dict[str, Better]:
    """All that is measured of a task, in training and in evaluation, and which way is better."""
    return {**part("tasks", task, "task").METRICS, **part("evaluation", task, "task").METRICS}


@cache
def _modules(folder: Path) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]))


def _file(kind: str, name: str) -> str:
    return f"src/modelmill/{kind}/{name}.py"


def _module(kind: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(f"modelmill.{kind}.{name}")
    except SyntaxError as error:
        raise ModelmillError(f"{error.filename}: line {error.lineno}: {error.msg}") from None
    except ModuleNotFoundError as error:
        raise ModelmillError(
            f"{_file(kind, name)}: {error}: if it is not misspelt, install it, or run `make setup`"
        ) from None
    except (ImportError, NameError, AttributeError, TypeError) as error:
        raise ModelmillError(f"{_file(kind, name)}: {in_one_line(error)}") from None
