"""Searches the hyperparameters that a file of conf/sweep/ says."""

import argparse
import shlex
from difflib import unified_diff
from pathlib import Path

from modelmill import repository
from modelmill.datasets import prepared
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.files import write_text
from modelmill.params import Params, load
from modelmill.plain_yaml import read_yaml, yaml_data
from modelmill.sweeps import settings
from pipelines.compose import PARAMS, compose, made_by
from pipelines.compose import write as write_params

CONF, BEST = Path("conf/sweep"), 10


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("name", help=f"a file of {CONF}, without .yaml")
    begin = known.add_mutually_exclusive_group()
    begin.add_argument("--resume", action="store_true", help="run the trials that are missing")
    begin.add_argument("--fresh", action="store_true", help="forget the trials there are")
    known.add_argument(
        "--promote", action="store_true", help="write the best as conf/experiment/NAME_best.yaml"
    )
    known.add_argument(
        "--write", action="store_true", help="write the best's values into conf/model/MODEL.yaml"
    )
    return known


def main() -> None:
    arguments = parser().parse_args()
    name = arguments.name
    sweep = settings.load(CONF, name)
    base = yaml_data(compose(sweep.overrides))
    params = settings.check(sweep, base, f"{CONF / name}.yaml")
    model = Path("conf/model", f"{sweep.model}.yaml")
    if arguments.write:
        _require_own(sweep, model)
    data = _data(sweep, params)

    from modelmill.sweeps import state, study, table
    from modelmill.tracking import recording

    folder = Path("data/sweeps", name)
    with state.alone(folder):
        state.prepare(folder, name, sweep, params, data, arguments.fresh)
        study.drop_unfinished_line(folder)
        trials = study.open_study(study.storage(folder), name, sweep)
        total = sweep.trials or len(sweep.grid())
        missing = total - len(study.judged(trials))
        if missing > 0:
            if study.judged(trials) and not arguments.resume:
                raise ModelmillError(
                    f"{folder} has {total - missing} of {total} trials: --resume runs the others, "
                    "--fresh begins again"
                )

            from modelmill.sweeps import engine

            try:
                missing = engine.run(name, sweep, base, params, data, trials, folder, missing)
            except KeyboardInterrupt:
                done = len(study.judged(study.open_study(study.storage(folder), name, sweep)))
                raise KeyboardInterrupt(
                    f"{done} of {total} trials are kept; --resume runs the others"
                ) from None
        elif trials.user_attrs.get(study.RECORDED) != recording.here():
            from modelmill.sweeps import engine

            engine.record(name, sweep, params, trials, folder)
        print(table.plain(trials, sweep, BEST))
        if (folder / table.PAGE).exists():
            print(f"plots: {folder / table.PAGE}")
        if missing > 0:
            print(f"{missing} of {total} trials are missing: --resume runs them")
        best = study.best(trials)
        if arguments.promote and best:
            comment = f"Trial {best.number} of the sweep {name}: {sweep.metric} {best.value!r}."
            _promote(name, sweep, base, table.values(best, sweep), comment)
        if arguments.write and best:
            _write(model, sweep, table.values(best, sweep))


def _data(sweep: settings.Sweep, params: Params) -> Processed:
    """The prepared data, which must be those that the sweep's own settings ask for."""
    name, now = params.models[sweep.model].dataset, load()
    if now.datasets.get(name) != params.datasets[name]:
        asked = [override for override in sweep.overrides if override.startswith("datasets.")]
        given = shlex.join(["modelmill", "compose", f"profile={params.profile}", *asked])
        raise ModelmillError(
            f"data/processed/{name} is prepared as params.yaml says, in the profile {now.profile}; "
            f"the sweep asks for other data, in the profile {params.profile}: run `{given}` and "
            f"`dvc repro preprocess@{name}`, or name other `overrides` in the sweep"
        )
    return prepared.load(name, params.datasets[name])


def _require_own(sweep: settings.Sweep, path: Path) -> None:
    """Raises ModelmillError unless the model's file can take all keys, is committed, and counts."""
    for key in sweep.space:
        if not key.startswith(f"models.{sweep.model}."):
            raise ModelmillError(f"{key} is no key of {path}: --promote writes an experiment")
    for override in made_by(read_yaml(PARAMS)):
        hidden = override.lstrip("+~").partition("=")[0]
        if hidden == "experiment" or any(f"{key}.".startswith(f"{hidden}.") for key in sweep.space):
            raise ModelmillError(
                f"{PARAMS} was composed with {override}, which may hide what --write writes: run "
                "`modelmill compose` without it"
            )
    if changed := repository.uncommitted(str(path)):
        raise ModelmillError(f"commit it first, so that git shows what --write changed: {changed}")
    from modelmill.sweeps import promote

    some = {key: dimension.extremes()[0] for key, dimension in sweep.space.items()}
    promote.in_model(path.read_text(encoding="utf-8"), some, sweep.model, str(path))


def _promote(
    name: str, sweep: settings.Sweep, base: settings.Values, values: settings.Values, comment: str
) -> None:
    from modelmill.sweeps import promote

    wanted = settings.with_values(base, values)
    path = Path("conf/experiment", f"{name}_best.yaml")
    write_text(path, promote.experiment(wanted, yaml_data(compose([])), sweep.model, comment))
    print(f"{path}: dvc exp run -S +experiment={path.stem} evaluate@{sweep.model}")


def _write(path: Path, sweep: settings.Sweep, values: settings.Values) -> None:
    """Changes the model's file, says what, and composes params.yaml anew as it was composed."""
    from modelmill.sweeps import promote

    overrides, before = made_by(read_yaml(PARAMS)), path.read_text(encoding="utf-8")
    after = promote.in_model(before, values, sweep.model, str(path))
    lines = before.splitlines(), after.splitlines()
    print("\n".join(unified_diff(*lines, str(path), str(path), n=1, lineterm="")))
    write_text(path, after)
    write_params(overrides)
    print(f"{PARAMS} is composed anew: dvc repro evaluate@{sweep.model}")
