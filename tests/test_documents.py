"""What README.md and docs/ say to type is there to be typed: every command, snippet and link."""

import importlib
import re
import shlex

import pytest
from conftest import ROOT
from dvc.cli.parser import get_main_parser

from modelmill import params
from modelmill.datasets import ptb, text
from modelmill.files import read_json
from modelmill.plain_yaml import yaml_data
from modelmill.schema import validate
from modelmill.sweeps import settings
from pipelines import results
from pipelines.__main__ import commands
from pipelines.compose import compose

DOCUMENTS = [ROOT / "README.md", *ROOT.glob("[CS]*.md"), *(ROOT / "docs").glob("*.md")]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
# What others made, which is not run here.
FOREIGN = {".", "curl", "eval", "export", "git", "pip", "psql", "python3", "ray"}
# Documented, and quick enough to be run.
RUN = [
    "modelmill",
    "modelmill train --help",
    "modelmill keys models.mnist_softmax.fit",
    "modelmill results",
    "modelmill compose profile=full seed=2",
    "dvc metrics show data/metrics/mnist_cnn.json data/metrics/mnist_mlp.json",
]


def blocks(language, path):
    """The fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)


def documented():
    """Every command of a shell that is shown, in one line each, by document."""
    for path in DOCUMENTS:
        for block in blocks("sh", path):
            for line in re.sub(r" *\\\n *", " ", block).splitlines():
                yield pytest.param(line, id=f"{path.name}: {line[:50]}")


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def models(everything):
    """Those that there are, and the one that the README adds."""
    return {*everything.models, *re.findall(r"@package models\.(\w+)", DOCUMENTS[0].read_text())}


@pytest.mark.parametrize("line", [*documented()])
def test_a_command_can_be_pasted(line, models, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert not re.search(r"^[$>] |<\w", line)
    for part in line.split(" && "):
        words = [word for word in shlex.split(part) if not re.match(r"[A-Z_]+=", word)]
        given = re.findall(r" ([A-Z]+)=", part)
        match words:
            case ["modelmill"]:
                pass
            case ["modelmill", name, *arguments] if "--help" not in arguments:
                known(importlib.import_module(f"pipelines.{name}"), arguments, models)
            case ["modelmill", name, *_]:
                assert name in commands()
            case ["make", *targets]:
                assert set(targets) <= set(TARGETS)
                makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
                assert all(f"$({name})" in makefile for name in given)
            case ["dvc", *arguments]:
                known_to_dvc(arguments, models)
            case ["python", "-m", module, *_] if module.startswith("benchmarks."):
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
            case _:
                assert not words or words[0] in FOREIGN or words[0].startswith("server/bin/")


def known(command, arguments, models):
    """The command takes these arguments, and what they name is there."""
    given = vars(command.parser().parse_args(arguments))
    if "model" in given:
        assert given["model"] in models
    if "overrides" in given:
        params.parse(yaml_data(compose(given["overrides"])))
    if command.__name__ == "pipelines.sweep":
        settings.load(ROOT / "conf/sweep", given["name"])


def known_to_dvc(arguments, models):
    given = get_main_parser().parse_args(arguments)
    for target in getattr(given, "targets", None) or []:
        kind, name = target.split("@") if "@" in target else target.rsplit("/", 1)
        assert kind in ("train", "evaluate", "data/curves", "data/figures", "data/metrics")
        assert name.removesuffix(".json") in models
    if not (overrides := getattr(given, "set_param", None)):
        return
    written = [f"+experiment={path.stem}_best" for path in (ROOT / "conf/sweep").glob("*.yaml")]
    compose(
        [re.sub(r"choice\((.*?),.*\)", r"\1", each) for each in overrides if each not in written]
    )


def test_what_is_quick_really_runs(seed, tmp_path):
    shown = {line.values[0] for line in documented()}
    clone = seed.copied(tmp_path)
    for line in RUN:
        assert line in shown
        clone.run("bash", "-c", line)


def test_commands_are_called_by_their_names():
    """Also where they are only mentioned."""
    for path in DOCUMENTS:
        document = path.read_text(encoding="utf-8")
        assert {*re.findall(r"`modelmill (\w+)", document)} <= commands().keys() | {"COMMAND"}
        assert {*re.findall(r"`make (\w+)", document)} <= set(TARGETS)
        assert "python -m pipelines" not in document or path.name == "CHANGELOG.md"


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            found = path.parent / name if name else path
            assert found.exists(), f"{path.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), re.M)
                assert anchor in [
                    re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
                ]


def test_the_readme_is_short_and_shows_what_was_published(everything):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = read_json(ROOT / results.REPORT)
    assert len(readme.splitlines()) < 200
    assert results.chosen(report, everything) in readme


def test_the_container_runs_what_the_readme_begins_with():
    container = read_json(ROOT / ".devcontainer/devcontainer.json")
    begin = blocks("sh", ROOT / "README.md")[0].splitlines()
    assert [container["postCreateCommand"], container["postAttachCommand"]] == begin


def test_the_locks_pin_the_same_versions():
    """What is tested is what runs."""
    running, testing = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text("utf-8"), re.M))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    shared = running.keys() & testing
    assert shared
    assert {name: running[name] for name in shared} == {name: testing[name] for name in shared}


def test_the_library_works_as_shown(seed, tmp_path, monkeypatch, tensorflow):
    seed.copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, reader in {"books": text, "data/raw/ptb": ptb}.items():
        (tmp_path / name).mkdir(parents=True)
        reader.generate(tmp_path / name, reader.Generate(seed=1))
    for code in blocks("python", ROOT / "docs/library.md"):
        exec(code, {})


def test_the_sweep_is_declared_as_shown():
    (block,) = blocks("yaml", ROOT / "docs/sweeps.md")
    sweep = validate(settings.Sweep, yaml_data(block), "", "docs/sweeps.md")
    assert settings.check(
        sweep, yaml_data(compose(sweep.overrides, ROOT / "conf")), "docs/sweeps.md"
    )
