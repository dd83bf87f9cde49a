"""Prints what teaches bash or zsh to complete `modelmill`.

For this session: eval "$(modelmill completion bash)"; in ~/.bashrc or ~/.zshrc, for all to come.
"""

import argparse
import importlib
from pathlib import Path

from pipelines import given
from pipelines.__main__ import commands

# Names are looked up when the key is pressed, in conf/ of the current folder.
FOLDERS = {"dataset": "dataset", "model": "model", "models": "model", "name": "sweep"}
FUNCTIONS = {
    # Words that compgen is given are expanded: names with other signs are none of ours.
    "bash": r"""_modelmill_%s() {
  local names=$(ls conf/%s 2>/dev/null | sed -n 's/^\([A-Za-z0-9_-]*\)[.]yaml$/\1/p')
  compgen -W "$names" -- "$1"
}""",
    "zsh": "_modelmill_%s() { compadd -- conf/%s/*.yaml(N:t:r) }",
}


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("shell", choices=list(FUNCTIONS))
    return known


def everything() -> argparse.ArgumentParser:
    """The command line of all commands; each argument knows what completes it."""
    import shtab

    known = argparse.ArgumentParser("modelmill")
    below = known.add_subparsers()
    for name, about in commands().items():
        own = importlib.import_module(f"pipelines.{name}").parser()
        for action in own._actions:
            if action.dest in FOLDERS:
                function = f"_modelmill_{FOLDERS[action.dest]}"
                action.complete = dict.fromkeys(FUNCTIONS, function)
            elif action.type in (Path, given):
                action.complete = shtab.FILE
        below.add_parser(name, help=about, parents=[own], add_help=False)
    return known


def main() -> None:
    shell = parser().parse_args().shell
    import shtab

    functions = [FUNCTIONS[shell] % (kind, kind) for kind in sorted({*FOLDERS.values()})]
    print(shtab.complete(everything(), shell, preamble="\n".join(functions)))
