"""Models of one data set in one chart: their curves, and what they reached with what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelmill.params import Params
from modelmill.report.charts import Chart, column, rounded, thinned, zooming
from modelmill.report.content import Shown
from modelmill.report.table import Result

if TYPE_CHECKING:
    import pandas as pd

POINTS = 150  # of each of many curves
HEIGHT = 340
FEWEST = 3  # models make a cloud
# Okabe and Ito's colours but black and yellow, then again with dashes.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1"]
AXIS = {  # of a logarithm: nine lines a decade would be too many
    "grid": False,
    "labelExpr": "format(datum.value, datum.value < 1000 ? '~g' : '~s')",
}
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]


@dataclass(frozen=True)
class Group:
    """A data set's models, and charts of those that were run where there are several."""

    dataset: str
    about: str
    models: list[Shown]
    charts: list[Chart]


def groups(params: Params, models: Sequence[Shown]) -> list[Group]:
    """The models by data set, in the order of params.yaml."""
    return [
        _group(name, dataset.about, [m for m in models if params.models[m.name].dataset == name])
        for name, dataset in params.datasets.items()
    ]


def _group(dataset: str, about: str, models: list[Shown]) -> Group:
    histories = {model.name: model.history for model in models if model.history is not None}
    results = {model.name: model.result for model in models if model.ran}
    charts = []
    if len(histories) > 1:
        charts.append(_curves(dataset, results, histories))
        metric = main_metric(results)
        same = {name: found for name, found in results.items() if found["metric"] == metric}
        if len(same) >= FEWEST:
            charts.append(_cost(dataset, metric, same))
    return Group(dataset, about, models, charts)


def main_metric(results: Mapping[str, Result]) -> str:
    """The metric by which most of the models are judged."""
    return Counter(found["metric"] for found in results.values()).most_common(1)[0][0]


def _curves(
    dataset: str, results: Mapping[str, Result], histories: Mapping[str, "pd.DataFrame"]
) -> Chart:
    """A metric over epochs, examples or seconds: readers choose which.

    It is that of the validation data, where there are any.
    """
    import altair as alt

    main = main_metric(results)
    validated = any("validation_loss" in history for history in histories.values())
    judged = {name: history for name, history in histories.items() if column(history, main)}
    metrics = dict.fromkeys([main if judged else "loss"])
    for history in histories.values():
        names = (name.removeprefix("validation_") for name in history if "validation_" in name)
        metrics |= dict.fromkeys(names)
    rows = []
    for name, history in histories.items():
        laps = thinned(history, POINTS)
        shown = laps[["epoch", "examples"]].copy()
        seconds = results[name].get("seconds")
        if seconds is not None and "phase" not in laps:  # else they are of earlier phases as well
            shown["seconds"] = laps.step / laps.step.iloc[-1] * seconds
        for metric in metrics:
            if found := column(history, metric):
                shown[metric] = laps[found]
        rows += [{"model": name, **rounded(row)} for row in shown.to_dict("records")]
    axes = [axis for axis in ("epoch", "examples", "seconds") if any(axis in row for row in rows)]
    over = alt.param("over", value="epoch", bind=_select(axes, "over"))
    shown_metric = alt.param("metric", value=next(iter(metrics)), bind=_select(metrics, "metric"))
    lines = (
        alt.Chart(alt.NamedData("laps"))
        .transform_calculate(x="datum[over]", y="datum[metric]")
        .transform_filter("isValid(datum.x) && isValid(datum.y)")
        .mark_line(clip=True, strokeWidth=2, interpolate="linear", point={"size": 18})
        .encode(
            alt.X("x:Q", title=None, axis=AXIS, scale=alt.Scale(type="log", nice=False)),
            alt.Y("y:Q", title=None, scale=alt.Scale(zero=False)),
            tooltip=["model:N", alt.Tooltip("epoch:Q", format=".4~g"), _digits("y", "value")],
            **_by_model(list(histories)),
        )
        .add_params(over, shown_metric, _chosen(), zooming())
    )
    spec = lines.properties(width="container", height=HEIGHT).to_dict()
    return {
        "metric": "curves",
        "summary": f"{dataset}: {'validation ' * validated}curves of {len(histories)} models",
        "spec": spec | {"datasets": {"laps": rows}},
    }


def _cost(dataset: str, metric: str, results: Mapping[str, Result]) -> Chart:
    """What each model reached over its parameters or its training time."""
    import altair as alt

    rows = [
        {
            "model": name,
            "reached": float(f"{found['value']:.5g}"),
            "parameters": found["parameters"],
            "seconds": found.get("seconds"),
        }
        for name, found in results.items()
    ]
    axes = ["parameters"] + ["seconds"] * any(row["seconds"] for row in rows)
    base = (
        alt.Chart(alt.NamedData("laps"))
        .transform_calculate(x="datum[over]")
        .transform_filter("isValid(datum.x) && datum.x > 0")
        .encode(
            alt.X("x:Q", title=None, axis=AXIS, scale=alt.Scale(type="log", padding=30)),
            alt.Y("reached:Q", title=None, scale=alt.Scale(zero=False, padding=14)),
        )
    )
    points = base.mark_point(filled=True, size=90, opacity=0.9).encode(
        tooltip=["model:N", _digits("reached", metric), "parameters:Q", _digits("seconds")],
        **_by_model(list(results), dashes=False, legend=False),
    )
    names = base.mark_text(dy=-11, fontSize=11).encode(text="model:N")
    chart = alt.layer(points, names).add_params(
        alt.param("over", value="parameters", bind=_select(axes, "over"))
    )
    spec = chart.properties(width="container", height=HEIGHT).to_dict()
    return {
        "metric": "cost",
        "summary": f"{dataset}: {metric.replace('_', ' ')} of {len(results)} models "
        f"over {' or '.join(axes)}",
        "spec": spec | {"datasets": {"laps": rows}},
    }


def _select(options: Sequence[str] | Mapping[str, Any], name: str) -> Any:
    import altair as alt

    labels = [option.replace("_", " ") for option in options]
    return alt.binding_select(options=list(options), labels=labels, name=f"{name} ")


def _digits(field: str, title: str | None = None) -> Any:
    import altair as alt

    return alt.Tooltip(f"{field}:Q", format=".5~g", title=(title or field).replace("_", " "))


def _chosen() -> Any:
    """A model picked in the legend, the others pale."""
    import altair as alt

    return alt.selection_point(name="chosen", fields=["model"], bind="legend")


def _by_model(names: list[str], dashes: bool = True, legend: bool = True) -> dict[str, Any]:
    """Each model its own colour and, beyond the colours there are, dashes."""
    import altair as alt

    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    dash = [DASHES[number // len(COLOURS) % len(DASHES)] for number in range(len(names))]
    shown = (
        alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=150)
        if legend
        else None
    )
    channels: dict[str, Any] = {
        "color": alt.Color("model:N", scale=alt.Scale(domain=names, range=colours), legend=shown)
    }
    if dashes:
        scale = alt.Scale(domain=names, range=dash)
        channels["strokeDash"] = alt.StrokeDash("model:N", scale=scale, legend=shown)
        channels["opacity"] = alt.condition("chosen", alt.value(1), alt.value(0.12))
    return channels
