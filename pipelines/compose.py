"""Composes conf/ into params.yaml, as `dvc exp run` does."""

import argparse
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelmill import repository
from modelmill.errors import ModelmillError
from modelmill.files import sha256, write_json, write_text
from modelmill.params import Params, parse
from modelmill.plain_yaml import read_yaml, yaml_data
from modelmill.schema import check_choice, shown

PARAMS = Path("params.yaml")
MEMORY = Path(".dvc/tmp/composed.json")  # the overrides that made params.yaml
PLACES = {"model": "models", "dataset": "datasets"}  # keys of params.yaml, by folder of conf/
LONGEST_LINE = 200
MANY = 20  # keys that are stale: more are counted


def compose(overrides: list[str], conf: Path = Path("conf")) -> str:
    """The text of params.yaml for these Hydra overrides (``profile=full``, ``seed=2``, ...)."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import ConfigCompositionException, MissingConfigException
    from omegaconf import OmegaConf

    for override in overrides:
        if not re.match(r"[~+]|[^=]+=", override):
            said = f"override {shown(override)}: expected KEY=VALUE, such as profile=full"
            raise ModelmillError(said)
    for path in sorted(conf.rglob("*.yaml")):
        read_yaml(path)  # Hydra's own reader knows no bounds
    for group, key in PLACES.items():
        for path in sorted((conf / group).glob("*.yaml")):
            _require_first_line(path, f"# @package {key}.{path.stem}")
    try:
        with initialize_config_dir(str(conf.absolute()), version_base=None):
            config = hydra_compose("config", overrides)
            # As OmegaConf.resolve, whose errors do not say where they are.
            return OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(config, resolve=True)))
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        if there := [path.stem for path in (conf / group).glob("*.yaml")]:
            check_choice(f"conf/{group}", name, there)
        raise ModelmillError(f"conf: {' '.join(str(error).split()):.500}") from None
    except ConfigCompositionException as error:
        if unknown := re.match("Could not override '(.+?)'", str(error)):
            _explain(unknown[1], overrides, conf)
        raise ModelmillError(f"conf: {' '.join(str(error).split()):.500}") from None
    except Exception as error:  # broken files make Hydra, OmegaConf and PyYAML raise anything
        where = ": ".join(["conf", *filter(None, [getattr(error, "full_key", None)])])
        said = " ".join(str(error).partition("full_key:")[0].split())  # which is in `where`
        raise ModelmillError(f"{where}: {said:.500}") from None


def _require_first_line(path: Path, line: str) -> None:
    """Raises ModelmillError for a file that Hydra would put in another's place, or nowhere."""
    with path.open(encoding="utf-8") as file:
        if file.readline(LONGEST_LINE).rstrip() != line:
            raise ModelmillError(f"{path}: its first line must be: {line}")


def _explain(key: str, overrides: list[str], conf: Path) -> None:
    """Raises ModelmillError for an override of a key that the files of conf/ do not have."""
    if (conf / key).is_dir():
        raise ModelmillError(f"{key} is not among the defaults of conf/config.yaml: +{key}=NAME")
    from modelmill import keys

    others = [override for override in overrides if override.partition("=")[0] != key]
    keys.explain(parse(yaml_data(compose(others, conf)), "conf"), key, "override")
    raise ModelmillError(f"conf/ leaves {key} as it is by default: to set it, write +{key}=VALUE")


def differences(expected: Any, actual: Any, key: str = "") -> Iterator[str]:
    """One line for each key whose value differs, `expected` being what conf/ says."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in {**expected, **actual}:
            inner = f"{key}.{name!s:.60}" if key else f"{name!s:.60}"
            if name not in actual:
                yield f"{inner}: only in conf/"
            elif name not in expected:
                yield f"{inner}: only in params.yaml"
            else:
                yield from differences(expected[name], actual[name], inner)
    elif expected != actual:
        yield f"{key}: conf/ says {shown(expected)}, params.yaml says {shown(actual)}"


def remembered() -> list[str] | None:
    """The overrides that params.yaml was composed with, None if `main` did not write it."""
    try:
        memory = json.loads((repository.root() / MEMORY).read_text(encoding="utf-8"))
        return memory["overrides"] if memory["params"] == sha256(PARAMS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def made_by(actual: Mapping[str, Any]) -> list[str]:
    """The overrides that params.yaml was composed with, as far as can be told: else its profile.

    Args:
        actual: the data of params.yaml.
    """
    overrides = remembered()
    if overrides is not None or "profile" not in actual:
        return overrides or []
    profiles = [path.stem for path in Path("conf/profile").glob("*.yaml")]
    check_choice(f"{PARAMS}: profile", actual["profile"], profiles)
    return [f"profile={actual['profile']}"]


def check() -> None:
    """Raises ModelmillError, naming every key that differs, if params.yaml is stale.

    params.yaml is held against conf/ under the overrides it was composed with, or, where it came
    with the repository, under its own profile. One that DVC composed for an experiment is trusted.
    """
    actual = read_yaml(PARAMS)
    if not isinstance(actual, dict):
        raise ModelmillError(f"{PARAMS} is empty: run `modelmill compose`")
    if remembered() is None and "DVC_EXP_NAME" in os.environ:
        return
    overrides = made_by(actual)
    try:
        expected = yaml_data(compose(overrides))
    except ModelmillError as error:
        if not overrides:
            raise
        raise ModelmillError(
            f"{error}; {PARAMS} was composed with {shlex.join(overrides)}: run `modelmill compose` "
            "with those that still apply"
        ) from None
    stale = list(differences(expected, actual))
    if stale:
        more = [f"and {len(stale) - MANY} more"] * (len(stale) > MANY)
        raise ModelmillError(
            "params.yaml is stale, it is not what conf/ composes to:\n  "
            + "\n  ".join([*stale[:MANY], *more])
            + f"\nRun: modelmill compose {shlex.join(overrides)}"
        )


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("--check", action="store_true", help="write nothing; say what differs")
    known.add_argument("--stamp", type=Path, help="with --check: a file to write when all is well")
    known.add_argument("overrides", nargs="*", help="Hydra overrides, such as profile=full seed=2")
    return known


def main() -> None:
    arguments = parser().parse_args()
    if arguments.check:
        if arguments.overrides:
            parser().error("--check takes no overrides: it uses those of params.yaml")
        check()
        if arguments.stamp:
            write_text(arguments.stamp, "params.yaml is what conf/ composes to\n")
        return
    if arguments.stamp:
        parser().error("--stamp goes with --check")
    print(_summary(write(arguments.overrides)))


def _summary(params: Params) -> str:
    """How many of conf/'s models params.yaml has now, and which it has not."""
    there = sorted(path.stem for path in Path("conf/model").glob("*.yaml"))
    others = [name for name in there if name not in params.models]
    more = f" and {len(others) - MANY} more" * (len(others) > MANY)
    without = f"; without {', '.join(others[:MANY])}{more}" if others else ""
    return (
        f"{PARAMS}: {len(params.models)} of {len(there)} models, profile {params.profile}{without}"
    )


def write(overrides: list[str]) -> Params:
    """Composes params.yaml, and remembers how."""
    text = compose(overrides)
    params = parse(yaml_data(text, "what conf/ composes to"), "conf")
    write_text(PARAMS, text)
    write_json(MEMORY, {"params": sha256(PARAMS), "overrides": overrides})
    return params
