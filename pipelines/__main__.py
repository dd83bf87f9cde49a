"""Lists the commands, which are the other modules of this folder, or runs one."""

import ast
import importlib
import sys
from pathlib import Path

import pipelines
from pipelines import run

STAGE = "Stage "  # begins the docstring of what dvc.yaml runs


def commands() -> dict[str, str]:
    """By name the first sentence of each docstring; no command is imported."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = about.partition("\n")[0]
    return found


def listing() -> str:
    known = commands()
    stages = {name: about for name, about in known.items() if about.startswith(STAGE)}
    others = {name: known[name] for name in known if name not in stages}
    return "\n".join(
        [
            "usage: modelmill COMMAND [...]      modelmill COMMAND --help says more\n",
            *(f"  {name:<13} {about}" for name, about in others.items()),
            "\nstages, which `dvc repro` runs where something has changed:\n",
            *(f"  {name:<13} {about.partition(': ')[2]}" for name, about in stages.items()),
        ]
    )


def main(called_from: Path = Path()) -> None:
    """Runs the command line of this process.

    Args:
        called_from: the user's folder, below the repository's root, which is the current one.
    """
    pipelines.called_from = called_from
    run(_run)


def _run() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(listing())
        return
    if name not in (known := commands()):
        from modelmill.schema import check_choice

        check_choice("modelmill", name, known)
    sys.argv = [f"modelmill {name}", *arguments]
    importlib.import_module(f"pipelines.{name}").main()


if __name__ == "__main__":
    main()
