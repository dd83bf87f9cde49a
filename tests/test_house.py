"""What holds the house up: which file depends on which, in dvc.yaml and among the modules."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

from modelmill import params
from modelmill.parts import PACKAGE
from modelmill.trained import artifacts

# From the ground up; a folder imports from its own line and from those above it.
LINES = [
    {"errors", "files", "web", "schema", "plain_yaml", "parts", "runtime", "repository"}
    | {"reference"},
    {"datasets"},
    {"layers", "models"},
    {"training"},
    {"tasks"},
    {"params"},
    {"figures", "fundamentals"},
    {"trained"},
    {"evaluation"},
    {"tracking"},
    {"report"},
    {"sweeps"},
    {"keys", "editors", "command"},
]
SLOW = ("tensorflow", "keras", "mlflow", "ray", "optuna", "sklearn", "matplotlib")
STAGES = params.read_yaml(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


def test_a_training_is_known_by_the_code_that_dvc_runs_it_again_for(everything):
    """All but pipelines/train.py, which calls the training and has no part in its numbers."""
    for name, model in everything.models.items():
        deps = [
            ROOT / dep.replace("${item.arch}", model.arch).replace("${item.task}", model.task)
            for dep in STAGES["train"]["do"]["deps"]
            if dep.startswith("src/")
        ]
        files = [file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep])]
        assert sorted(artifacts.code(everything.training(name))) == sorted(files)


def imported(tree):
    """What code imports, at the top or inside functions, but for the types' sake."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        tree = ast.Module(tree.orelse, [])
    if isinstance(tree, ast.ImportFrom):
        yield from (f"{'.' * tree.level}{tree.module or ''}.{name.name}" for name in tree.names)
    elif isinstance(tree, ast.Import):
        yield from (name.name for name in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from imported(child)


def test_imports_are_found_wherever_they_stand():
    code = """
from modelmill import params, runtime
if TYPE_CHECKING:
    import a
else:
    import b
def f():
    from modelmill.trained.artifacts import Card
    from .c import d
"""
    own = ["modelmill.params", "modelmill.runtime", "modelmill.trained.artifacts.Card"]
    assert list(imported(ast.parse(code))) == [*own[:2], "b", own[2], ".c.d"]


# Where a model's numbers and figures come from; what else a part imports is told by its name.
NUMBERS = {"layers", "models", "tasks", "figures", "evaluation", "trained"}


def reached(path, folders):
    """The files of `folders` that one imports, and those that these import."""
    found, waiting = set(), [path]
    while waiting:
        for module in imported(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            place = PACKAGE.joinpath(*module.split(".")[1:])
            # A module, or a name in a module or in a package.
            files = [place.with_suffix(".py"), place.parent.with_suffix(".py")]
            file = next(filter(Path.is_file, [*files, place.parent / "__init__.py"]), None)
            if file and file.relative_to(PACKAGE).parts[0] in folders and file not in found:
                found.add(file)
                waiting.append(file)
    return found


SETTINGS = PACKAGE / "datasets/settings.py"  # refuses; what it lets through is in params.yaml


@pytest.mark.parametrize(
    ("stage", "parts", "folders"),
    [
        ("train", ["models/{0.arch}.py", "tasks/{0.task}.py"], NUMBERS | {"training"}),
        # What trains gives other weights.
        ("evaluate", ["evaluation/{0.task}.py"], NUMBERS | {"datasets"}),
    ],
)
def test_dvc_knows_what_the_parts_of_a_model_import(everything, stage, parts, folders):
    for name, model in everything.models.items():
        deps = [
            ROOT / dep.replace("${item.arch}", model.arch).replace("${item.task}", model.task)
            for dep in STAGES[stage]["do"]["deps"]
        ]
        for part in parts:
            for file in reached(PACKAGE / part.format(model), folders) - {SETTINGS}:
                known = any(file.is_relative_to(dep) for dep in deps)
                assert known, f"{stage}@{name} depends on {file} and dvc.yaml does not say so"


def test_dvc_knows_what_the_page_is_written_by():
    folders = {"datasets", "reference.py", "tracking", "trained"}
    for part in {*(PACKAGE / "report").glob("*.py")} - {PACKAGE / "report/moment.py"}:
        for file in reached(part, folders) - {SETTINGS}:
            known = any(file.is_relative_to(ROOT / dep) for dep in STAGES["report"]["deps"])
            assert known, f"report depends on {file} and dvc.yaml does not say so"


def test_imports_point_one_way():
    level = {folder: number for number, line in enumerate(LINES) for folder in line}
    wrong = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE)
        if str(name) == "__init__.py":
            continue
        for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            assert not module.startswith("."), f"{name}: {module} is not imported by its full name"
            top, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            if top == "modelmill" and level[other] > level[name.parts[0].removesuffix(".py")]:
                wrong.add((name.as_posix(), other))
    assert not wrong


def test_no_imports_go_in_a_circle_even_for_the_types_sake():
    files = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {}
    for module, path in files.items():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [
            (node.module, f"{node.module}.{name.name}")
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        ]
        graph[module] = {inner if inner in files else outer for outer, inner in names} & {*files}
    TopologicalSorter(graph).prepare()


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def test_params_and_every_command_start_without_what_takes_seconds():
    commands = [f"pipelines.{path.stem}" for path in (ROOT / "pipelines").glob("[a-z]*.py")]
    script = (
        "import importlib, sys\n"
        f"for name in {['modelmill.params', *commands]}:\n"
        "    importlib.import_module(name)\n"
        f"    for slow in set({SLOW}) & set(sys.modules): sys.exit(f'{{name}} imports {{slow}}')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
