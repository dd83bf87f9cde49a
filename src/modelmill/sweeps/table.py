"""What a sweep found: a table of the trials, what mattered, and plots of both."""

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial

from modelmill.files import replacing, write_text
from modelmill.reference import number
from modelmill.sweeps.settings import Sweep, Values
from modelmill.sweeps.study import EPOCH, SECONDS, judged, succeeded
from modelmill.sweeps.trial import REASON, STATUS

if TYPE_CHECKING:
    import pandas as pd
    from optuna.importance import BaseImportanceEvaluator

PAGE, TABLE = "plots.html", "trials.csv"
KINDS = ("parallel_coordinate", "slice", "param_importances")


def values(trial: FrozenTrial, sweep: Sweep) -> Values:
    """The values of a trial by key of params.yaml."""
    return sweep.suggest(FixedTrial(trial.params))  # type: ignore[arg-type]  # it is one to ask


def table(study: optuna.Study, sweep: Sweep) -> "pd.DataFrame":
    """A row for each trial that is over, the best first."""
    import pandas as pd

    rows = [
        {
            "trial": trial.number,
            "status": trial.user_attrs[STATUS],
            sweep.metric: trial.value,
            **sweep.short(values(trial, sweep)),
            "epochs": trial.user_attrs.get(EPOCH),
            "seconds": trial.user_attrs.get(SECONDS),
            "reason": trial.user_attrs.get(REASON, ""),
        }
        for trial in judged(study)
    ]
    return pd.DataFrame(rows).sort_values(
        [sweep.metric, "trial"], ascending=[sweep.mode == "min", True]
    )


def importance(study: optuna.Study) -> dict[str, float]:
    """The share of each key in the variance of the metric (Hutter et al. 2014, fANOVA).

    Of the keys that every trial has; those that are conditional on others have no share. Nothing
    has one where all trials gave the same.
    """
    if len({trial.value for trial in study.trials}) < 2:
        return {}
    try:
        return optuna.importance.get_param_importances(study, evaluator=_evaluator())
    except RuntimeError:  # its trees see no difference, only that of a conditional key
        return {}


def plain(study: optuna.Study, sweep: Sweep, best: int) -> str:
    """The best trials, those that failed, and what mattered, for a terminal."""
    if not judged(study):
        return "no trial has ended yet"
    rows = table(study, sweep)
    failed = rows[rows.reason != ""]
    shown = rows[rows.reason == ""].head(best).drop(columns="reason")
    formats: Any = {sweep.metric: number, "epochs": "{:.3g}".format, "seconds": "{:.1f}".format}
    parts = []
    if len(shown):
        parts = [shown.to_string(index=False, formatters=formats, na_rep="", float_format="%.4g")]
    parts += [f"trial {row.trial} failed: {row.reason}" for row in failed.itertuples()]
    view = _view(study, sweep)
    if len(view.trials) > 1 and (found := importance(view)):
        shares = [f"{key} {share:.0%}" for key, share in found.items()]
        parts.append(f"importance: {', '.join(shares)}")
    return "\n".join(parts)


def write(study: optuna.Study, sweep: Sweep, folder: Path) -> None:
    """Writes trials.csv, and the plots as PNG and as one interactive page, to `folder`."""
    if not judged(study):
        return
    with replacing(folder / TABLE) as temporary:
        table(study, sweep).to_csv(temporary, index=False)
    view = _view(study, sweep)
    if len(view.trials) > 1:  # there is nothing to compare in one
        _pictures(view, sweep, folder)
        _page(view, sweep, folder)


def _view(study: optuna.Study, sweep: Sweep) -> optuna.Study:
    """The trials that did not fail, with the short names of their keys."""
    view = optuna.create_study(direction=study.direction)
    view.add_trials(
        optuna.trial.create_trial(
            params=sweep.short(trial.params),
            distributions=sweep.short(trial.distributions),
            value=trial.value,
        )
        for trial in judged(study)
        if succeeded(trial)
    )
    return view


def _figures(library: Any, view: optuna.Study, sweep: Sweep) -> list[Any]:
    """The plots of `KINDS`, the last where there is something to share.

    Args:
        library: Optuna's functions for Plotly, or those for Matplotlib.
    """
    figures = [
        library.plot_parallel_coordinate(view, target_name=sweep.metric),
        library.plot_slice(view, target_name=sweep.metric),
    ]
    if importance(view):
        options = {"evaluator": _evaluator(), "target_name": sweep.metric}
        figures.append(library.plot_param_importances(view, **options))
    return figures


def _evaluator() -> "BaseImportanceEvaluator":
    from optuna.importance import FanovaImportanceEvaluator  # takes seconds: scikit-learn

    return FanovaImportanceEvaluator(seed=1)


def _pictures(view: optuna.Study, sweep: Sweep, folder: Path) -> None:
    import warnings

    import matplotlib as mpl
    import numpy as np

    mpl.use("agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as library

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    with mpl.rc_context():
        for kind, axes in zip(KINDS, _figures(library, view, sweep), strict=False):
            figure = np.ravel(axes)[0].figure
            figure.set_size_inches(max(8, 3 * np.size(axes)), 4.5)
            with replacing(folder / f"{kind}.png") as temporary:
                figure.savefig(temporary, dpi=120, bbox_inches="tight")
        pyplot.close("all")


def _page(view: optuna.Study, sweep: Sweep, folder: Path) -> None:
    from optuna import visualization

    plots = [
        figure.to_html(full_html=False, include_plotlyjs=not place)
        for place, figure in enumerate(_figures(visualization, view, sweep))
    ]
    title = html.escape(sweep.about)
    write_text(
        folder / PAGE,
        f"<!doctype html>\n<meta charset=utf-8><title>{title}</title>\n"
        f"<h1 style='font-family: sans-serif'>{title}</h1>\n" + "\n".join(plots),
    )
