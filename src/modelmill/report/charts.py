"""Learning curves as Vega-Lite charts to hover over and to zoom into."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

POINTS = 1000  # more than the pixels of a chart show nothing new
HEIGHT = 220
Chart = dict[str, Any]
Bands = Mapping[str, Mapping[str, Sequence[float]]]


def curves(
    history: "pd.DataFrame", metric: str, bands: Bands = MappingProxyType({})
) -> list[Chart]:
    """The charts of a model: its loss, and `metric` where it was followed during training.

    Args:
        history: a row per lap, as in history.csv.
        bands: by column of the history, `low` and `high` over some of its `epoch`s: of seeds.

    Returns:
        Of each chart its metric, a sentence on what it shows, and its Vega-Lite specification.
    """
    names = [name for name in dict.fromkeys(("loss", metric)) if name in history]
    laps = thinned(history, POINTS)
    return [
        {
            "metric": name.replace("_", " "),
            "summary": _summary(history, name),
            "spec": _specification(laps, name, bands.get(column(history, name), {})),
        }
        for name in names
    ]


def thinned(history: "pd.DataFrame", points: int) -> "pd.DataFrame":
    """At most so many rows of a history, the last one among them."""
    step = -(-len(history) // points)
    return history.iloc[::-step].iloc[::-1]


def column(history: "pd.DataFrame", metric: str) -> str:
    """The column of a metric: of the validation data, else of training, empty if there is none."""
    return next((name for name in (f"validation_{metric}", metric) if name in history), "")


@cache  # it takes seconds to bundle
def library() -> str:
    """The JavaScript that draws the charts: Vega, Vega-Lite and Vega-Embed, minified."""
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    # In a page, the end tag would end the script wherever it stands, in a string as well.
    code = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]  # its stub
    return code.replace("</script", r"<\/script")


def _series(history: "pd.DataFrame", name: str) -> dict[str, str]:
    """The columns of a metric by the name of their curve."""
    columns = {"training": name, "validation": f"validation_{name}"}
    return {label: column for label, column in columns.items() if column in history}


def _summary(history: "pd.DataFrame", name: str) -> str:
    parts = [
        f"{label} from {history[column].iloc[0]:.4g} to {history[column].iloc[-1]:.4g}"
        for label, column in _series(history, name).items()
    ]
    last = history.epoch.iloc[-1]
    return f"{name.replace('_', ' ')} over {last:.3g} epochs: {', '.join(parts)}"


def _specification(
    history: "pd.DataFrame", name: str, band: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Curves by epoch; a rule and the values at the pointer; a logarithmic axis over decades.

    Behind them, where there are seeds, the band from the lowest to the highest of them.
    """
    import altair as alt

    series = _series(history, name)
    shown = history[["epoch", *series.values()]].set_axis(["epoch", *series], axis=1)
    values = shown[list(series)].to_numpy()
    lowest = min([values.min(), *band.get("low", [])])
    wide = 0 < lowest < values.max() / 30
    scale = alt.Scale(type="log") if wide else alt.Scale(zero=False)

    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointermove", clear="pointerout", fields=["epoch"]
    )
    lines = (
        alt.Chart()
        .transform_fold(list(series), ["curve", "value"])
        .mark_line(clip=True, strokeWidth=2, interpolate="linear")
        .encode(
            alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, zero=False)),
            alt.Y("value:Q", title=name.replace("_", " "), scale=scale),
            alt.Color("curve:N", sort=list(series), title=None, legend=alt.Legend(orient="top")),
            alt.StrokeDash("curve:N", sort=list(series), legend=None),
        )
        .add_params(zooming())
    )
    rule = (
        alt.Chart()
        .mark_rule(clip=True)
        .encode(
            alt.X("epoch:Q"),
            opacity=alt.condition(nearest, alt.value(0.6), alt.value(0), empty=False),
            tooltip=[alt.Tooltip(f"{field}:Q", format=".5~g") for field in ("epoch", *series)],
        )
        .add_params(nearest)
    )
    layers = [lines, rule]
    rows = {"laps": [rounded(row) for row in shown.to_dict("records")]}
    if band:
        layers.insert(0, _area())
        rows["seeds"] = [
            dict(zip(band, point, strict=True)) for point in zip(*band.values(), strict=True)
        ]
    named = alt.NamedData("laps")
    chart = alt.layer(*layers, data=named, width="container", height=HEIGHT)
    return chart.to_dict() | {"datasets": rows}  # Altair would validate every row


def _area() -> Any:
    """Between the lowest and the highest of the seeds."""
    import altair as alt

    area = alt.Chart(alt.NamedData("seeds")).mark_area(clip=True, opacity=0.2, color="#d55e00")
    return area.encode(alt.X("epoch:Q"), alt.Y("low:Q"), alt.Y2("high:Q"))


def zooming() -> Any:
    """Zoomed with Ctrl, or two fingers on a touchpad: the wheel alone still scrolls the page."""
    import altair as alt

    return alt.selection_interval(
        name="zoom", bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]"
    )


def rounded(row: dict[str, float]) -> dict[str, float | None]:
    """Five digits are more than a chart shows; null where there is no number."""
    return {key: float(f"{value:.5g}") if value == value else None for key, value in row.items()}
