"""Runs the trials of a sweep by Ray Tune: on this machine, or on the cluster of RAY_ADDRESS."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before Ray is imported: no files and tables of its own, Ctrl-C at once.
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one has much to say even when told to be silent
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"

import optuna
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from tqdm import tqdm

from modelmill.datasets.processed import Processed
from modelmill.params import Params
from modelmill.sweeps import table
from modelmill.sweeps.cluster import RETRIES, told, workers
from modelmill.sweeps.recorder import Recorder
from modelmill.sweeps.settings import Asha, Sweep, shown
from modelmill.sweeps.study import (
    RECORDED,
    Search,
    best,
    judged,
    storage,
    succeeded,
    take_up,
)
from modelmill.sweeps.trial import LAP, REASON, STATUS, train, visible

WITHOUT_END = 10**9  # laps


def run(
    name: str,
    sweep: Sweep,
    base: Mapping[str, Any],
    params: Params,
    data: Processed,
    study: optuna.Study,
    folder: Path,
    missing: int,
) -> int:
    """Runs the trials that are missing; returns how many `sweep.minutes` did not allow.

    Args:
        base, params: what the trials have in common, as the data of params.yaml and typed.
        folder: holds the study, and gets the results.
    """
    study.set_user_attr(RECORDED, "")
    take_up(study, sweep)
    done = len(judged(study))
    search = Search(study, storage(folder), sweep, missing)
    recorder = Recorder(name, sweep, params, study, search)
    resources = sweep.resources
    limits: dict[str, float] = {"cpu": resources.cpus, "gpu": resources.gpus}
    if resources.memory_gb:
        limits["memory"] = resources.memory_gb * 2**30
    try:
        with (
            workers(),
            TemporaryDirectory() as temporary,
            Bar(name, sweep, study, search, missing) as bar,
        ):
            trainable = tune.with_parameters(
                train, sweep=sweep, base=dict(base), data=visible(data)
            )
            tune.Tuner(
                tune.with_resources(trainable, limits),
                tune_config=tune.TuneConfig(
                    metric=sweep.metric,
                    mode=sweep.mode,
                    search_alg=search,
                    scheduler=_scheduler(sweep),
                    num_samples=-1,  # as many as the search has
                    time_budget_s=sweep.minutes and sweep.minutes * 60,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name=name,
                    storage_path=temporary,
                    failure_config=tune.FailureConfig(max_failures=RETRIES),
                    callbacks=[bar, recorder],
                    verbose=0,
                ),
            ).fit()
    finally:
        missing += done - len(judged(study))
        table.write(study, sweep, folder)
        recorder.close(not missing, folder)
    return missing


def record(name: str, sweep: Sweep, params: Params, study: optuna.Study, folder: Path) -> None:
    """Tells MLflow all of a sweep that has ended, as far as it does not know it."""
    search = Search(study, storage(folder), sweep, missing=0)
    Recorder(name, sweep, params, study, search).close(True, folder)


def _scheduler(sweep: Sweep) -> TrialScheduler:
    stopping = sweep.stopping
    if stopping is None:
        return FIFOScheduler()
    if isinstance(stopping, Asha):
        return ASHAScheduler(
            LAP,
            max_t=WITHOUT_END,
            grace_period=stopping.grace,
            reduction_factor=stopping.factor,
        )
    return Median(
        LAP,
        grace_period=stopping.grace,
        min_samples_required=stopping.trials,
        min_time_slice=sys.maxsize,  # a trial that is paused would begin again
    )


class Median(MedianStoppingRule):
    """Is not told of trials that failed: it looks for the lap of each."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if LAP in result:
            super().on_trial_complete(tune_controller, trial, result)


class Bar(tune.Callback):
    """One line of how far the sweep is; a line for each trial where there is no terminal.

    Also the one to tell the search of trials that could not be run to their end.
    """

    def __init__(
        self, name: str, sweep: Sweep, study: optuna.Study, search: Search, missing: int
    ) -> None:
        self._sweep, self._study, self._search = sweep, study, search
        done = len(judged(study))
        self._bar = tqdm(
            total=done + missing,
            initial=done,
            desc=name,
            disable=None,
            dynamic_ncols=True,
            bar_format="{desc} {n_fmt}/{total_fmt}|{bar}| {postfix}{remaining} left",
        )

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its callbacks to disk; a terminal is not for that

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        if trial.num_failures <= RETRIES:
            # A worker that died before it began the trial: Tune tells it twice, and gives up.
            self._search.repeat(trial.trial_id)
            return
        assert trial.pickled_error_file  # Ray knows no other errors of a worker
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        self._search.fail(trial.trial_id, told(error))
        self.on_trial_complete(iteration, trials, trial)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        metric, known = self._sweep.metric, best(self._study)
        ended = self._search.ended(trial.trial_id)
        top = f"best {metric} {known.value:.4g} (trial {known.number})" if known else ""
        self._bar.set_postfix_str(f"{top}, " if top else "", refresh=False)
        self._bar.update()
        status = ended.user_attrs[STATUS]
        result = f"{metric} {ended.value:.4g}" if succeeded(ended) else ended.user_attrs[REASON]
        line = f"trial {ended.number}, {shown(self._sweep.short(trial.config))}: {status}, {result}"
        if self._bar.disable:
            done = len(judged(self._study))
            print(f"{done}/{self._bar.total}: {line}; {top}", file=sys.stderr, flush=True)
        elif not succeeded(ended):
            self._bar.write(line, file=sys.stderr)
