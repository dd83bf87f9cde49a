"""Every model's figure beside its goal and the published one: collected, tabulated, published."""

import math
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmill.datasets import prepared
from modelmill.errors import ModelmillError
from modelmill.params import Model, Params
from modelmill.parts import metrics
from modelmill.reference import duration, number, shown_goal, shown_published
from modelmill.report import seeds
from modelmill.report.seeds import Seeds
from modelmill.runtime import available_cores
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.history import read_history

if TYPE_CHECKING:
    import pandas as pd

SEEDS = "mean over seeds"
COLUMNS = [
    "model",
    "parameters",
    "epochs",
    "trained by",
    "time",
    "metric",
    "ours",
    SEEDS,
    "goal",
    "",
    "published",
]
OTHERS = "of other settings"
BAR = r"\|"  # within a cell
REACHED, ON_PAR, SHORT, ONE_RUN = "reached", "on par", "short", "one run"

Result = dict[str, Any]


def collect(
    params: Params, root: Path, seconds: Callable[[Card], float | None]
) -> dict[str, Result]:
    """The results in `root` by model; None as value where there are none that params.yaml asks for.

    Where a model's files are damaged, `problem` says which, and what to do about it.

    Args:
        root: the folder that has data/ and docs/.
        seconds: how long the training took that a card describes, None if that is not known.
    """
    known = seeds.read(root)
    return {
        name: _result(params, name, root / "data", seconds, known.get(name))
        for name in params.models
    }


def _result(
    params: Params,
    name: str,
    data: Path,
    seconds: Callable[[Card], float | None],
    known: Seeds | None,
) -> Result:
    model = params.models[name]
    reference = model.reference
    result: Result = {
        "metric": reference.metric,
        "split": model.eval.split,
        "value": None,
        "better": metrics(model.task)[reference.metric],
        "goal": reference.goal,
        "published": reference.published,
        "source": reference.source,
    }
    if not (data / "models" / name / artifacts.CARD).exists():
        return result
    try:
        return result | _measured(params, name, data, seconds, known)
    except ModelmillError as error:
        return result | {"problem": str(error)}


def _measured(
    params: Params,
    name: str,
    data: Path,
    seconds: Callable[[Card], float | None],
    known: Seeds | None,
) -> Result:
    """What there is to tell of a training and its evaluation; `others` if they are other ones."""
    model = params.models[name]
    card = artifacts.read_card(data / "models" / name)
    of_these = prepared.find(model.dataset, params.datasets[model.dataset], data.parent)
    evaluation = artifacts.read_evaluation(data, card)
    if card.settings != params.training(name) or not of_these or card.data != of_these.digest:
        return {"others": True}
    if evaluation is None:
        return {}
    if evaluation["eval"] != model.eval.model_dump():
        return {"others": True}
    history = read_history(data / "models" / name)
    metric, measured = model.reference.metric, evaluation["metrics"]
    result: Result = {
        "value": model.reference.of(measured, name),
        "parameters": card.parameters,
        "epochs": float(history.epoch.iloc[-1]),
        "trained_by": _trained_by(card.settings["fit"]),
        "share": _share(model, history),
        "seconds": seconds(card),
    }
    goal = model.reference.goal
    if metric == "accuracy" and goal is not None and "examples" in measured:  # as if it were met
        result["standard_error"] = math.sqrt(goal * (1 - goal) / measured["examples"])
    if known:
        same = known.are_of(params, name, card.data, result["value"])
        of_them = {"count": len(known.values), "mean": known.mean, "interval": known.interval}
        result["seeds"] = of_them if same else None  # None is of others
    return result


def _trained_by(fit: Mapping[str, Any]) -> str:
    before = "pre-training, " if fit.get("pretrain") else ""
    labels = f", {fit['examples']:,} labels" if fit.get("examples") else ""
    rate, name = fit["learning_rate"], fit["optimizer"]["name"]
    return f"{before}{name} {rate:g}, batches of {fit['batch_size']:,}{labels}"


def _share(model: Model, history: "pd.DataFrame") -> float:
    """The part that was run of the schedule that goals are set for; all of it if `stop` ended it.

    Args:
        history: a row per lap, as in history.csv.
    """
    step, epoch = history[["step", "epoch"]].iloc[-1]
    steps_per_epoch = round(step / epoch)
    if model.fit.stop and step < model.fit.length.steps(steps_per_epoch):
        return 1.0
    return min(1.0, float(step) / model.train_for["full"].steps(steps_per_epoch))


def verdict(result: Result) -> str:
    """What a figure says of its goal, empty without one; of less than the schedule, how much ran.

    Over seeds it is the mean that reaches a goal, or is on par with one within its interval. One
    run is judged where it differs from the goal by a standard error at least.
    """
    if _part(result) < 1:
        return f"{100 * _part(result):.3g} % of full"
    value, goal = result["value"], result["goal"]
    if value is None or goal is None:
        return ""
    if over_seeds := result.get("seeds"):
        value, (low, high) = over_seeds["mean"], over_seeds["interval"]
    elif abs(value - goal) < result.get("standard_error", math.inf):
        return ONE_RUN
    else:
        low = high = value
    if value >= goal if result["better"] == "higher" else value <= goal:
        return REACHED
    return ON_PAR if low <= goal <= high else SHORT


def _part(result: Result) -> float:
    """Its share of the full schedule; what was published before there was one is of all of it."""
    return result.get("share", 1.0)


def rows(results: Mapping[str, Result]) -> list[dict[str, str]]:
    """The table's cells, all text, by column, a row a model."""
    table = []
    for name, result in results.items():
        cells = (
            name,
            f"{result['parameters']:,}" if "parameters" in result else "",
            f"{result['epochs']:.3g}" if "epochs" in result else "",
            result.get("trained_by", ""),
            "" if (seconds := result.get("seconds")) is None else duration(seconds),
            f"{result['split']} {result['metric'].replace('_', ' ')}",
            shown_value(result),
            _shown_seeds(result),
            shown_goal(result["better"], result["goal"]),
            verdict(result),
            shown_published(result["published"], result["source"]),
        )
        table.append(dict(zip(COLUMNS, cells, strict=True)))
    return table


def shown_value(result: Result) -> str:
    if result["value"] is not None:
        return number(result["value"])
    if "problem" in result:
        return "damaged"
    return OTHERS if "others" in result else "not run"


def _shown_seeds(result: Result) -> str:
    """The mean and its interval; what was trained with other settings is none, and says so."""
    if "seeds" not in result:
        return ""
    if (over_seeds := result["seeds"]) is None:
        return OTHERS
    low, high = map(number, over_seeds["interval"])
    return f"{number(over_seeds['mean'])}, {low} to {high} ({over_seeds['count']})"


def plain(results: Mapping[str, Result]) -> str:
    """The table for a terminal, without what is long in it; below it what is damaged."""
    import pandas as pd

    frame = pd.DataFrame(rows(results), columns=COLUMNS).drop(
        columns=["trained by", "time", "published"]
    )
    problems = [result["problem"] for result in results.values() if "problem" in result]
    return "\n".join([frame.to_string(index=False), *problems])


def markdown(report: Mapping[str, Any]) -> str:
    """The table of a published report, for docs/results.md."""
    cells = [row.values() for row in rows(report["models"])]
    lines = [line(COLUMNS), line(["---"] * len(COLUMNS)), *map(line, cells)]
    title = (
        f"Profile `full` at commit {report['commit'][:10]}, each over its whole split. Times are "
        f"of training, on {report['machine']}. A mean has its 95 % interval and how many seeds:"
    )
    return "\n".join([title, "", *lines])


def line(cells: Iterable[str]) -> str:
    """A line of a table in Markdown, whatever is in its cells."""
    return f"| {' | '.join(' '.join(cell.replace('|', BAR).split()) for cell in cells)} |"


def report(results: Mapping[str, Result], commit: str) -> dict[str, Any]:
    """What docs/results/full.json holds.

    Args:
        commit: the code that gives these results.

    Raises:
        ModelmillError: a model has no result.
    """
    if missing := [name for name, result in results.items() if result["value"] is None]:
        raise ModelmillError(
            f"no results of what params.yaml asks for: {', '.join(missing)}; run `dvc repro`"
        )
    return {"machine": machine(), "commit": commit, "models": dict(results)}


def machine() -> str:
    """The processor and the number of its cores that may be used."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*: (.*)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        name = found[1] if found else name
    return f"{available_cores()} cores of {name}"


def insert(document: str, name: str, block: str) -> str:
    """`document` with what is between its marks ``name: begin`` and ``name: end`` replaced.

    Raises:
        ModelmillError: the document does not have both marks, once each, in this order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed) or begin in rest or end in before + after:
        raise ModelmillError(f"there must be one line {begin} and one line {end} after it")
    return f"{before}{begin}\n{block}\n{end}{after}"
