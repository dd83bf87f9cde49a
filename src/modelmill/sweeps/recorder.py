"""A sweep in MLflow: a run for the sweep, and in it one for each trial.

As everywhere, MLflow is a view that must never slow down or stop a training: all calls wait for
their turn in a thread, and the first that fails ends the recording with a warning.
"""

import html
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from modelmill.errors import in_one_line
from modelmill.params import Params
from modelmill.sweeps import table
from modelmill.sweeps.settings import Sweep
from modelmill.sweeps.study import HISTORY, RECORDED, Search, judged, succeeded
from modelmill.sweeps.trial import LAP, REASON, ROW, STATUS
from modelmill.tracking import experiments, recording, runs, store, summary
from modelmill.tracking.experiments import Experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUNS = "mlflow_runs"  # attribute of the study: by tracking server, the id of the sweep's run


class Recorder(Callback):
    """Records trials as they run.

    Args:
        params: what the trials have in common.
        study: knows the sweep's run, if it was interrupted.
        search: knows the numbers of the trials.
    """

    def __init__(
        self, name: str, sweep: Sweep, params: Params, study: optuna.Study, search: Search
    ) -> None:
        self._name, self._sweep, self._study, self._search = name, sweep, study, search
        self._profile, self._entry = params.profile, params.models[sweep.model]
        self._described = Experiment.of(params, self._entry.dataset)
        self._client: MlflowClient
        self._runs: dict[int, str] = {}  # by number of trial, those that go on
        self._laps: dict[int, int] = {}
        self._before = judged(study)
        self._thread, self._failed = ThreadPoolExecutor(1), False
        self._later(self._open)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its callbacks to disk; this one has a thread

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._later(self._start, self._search.number(trial.trial_id), trial.config)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **_: Any
    ) -> None:
        if LAP in result:
            number = self._search.number(trial.trial_id)
            self._later(self._row, number, result[LAP], dict(result[ROW]))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        ended = self._search.ended(trial.trial_id)
        if ended.state is TrialState.COMPLETE:  # else its worker was lost, and another repeats it
            self._later(self._start, ended.number, trial.config)  # a worker may never have begun it
            self._later(self._end, ended)

    on_trial_error = on_trial_complete

    def close(self, complete: bool, files: Path) -> None:
        """The sweep ended, or was broken off; its results go along."""
        self._later(self._close, complete, files)
        self._thread.shutdown()

    # --- in the thread ---------------------------------------------------------------------

    def _later(self, action: Callable[..., None], *arguments: Any) -> None:
        self._thread.submit(self._attempt, action, *arguments)

    def _attempt(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            action(*arguments)
        except Exception as error:  # whatever is wrong with tracking is no harm to the sweep
            self._failed = True
            print(
                f"warning: MLflow: {in_one_line(error)}; the sweep does without, and once it has "
                f"ended `modelmill sweep {self._name}` records it",
                file=sys.stderr,
            )

    def _open(self) -> None:
        self._client = store.connect()
        self._experiment = experiments.describe(self._client, self._described)
        about = html.escape(self._sweep.about, quote=False)
        self._parent = self._known() or self._create(
            self._name,
            summary.flatten(self._sweep.model_dump(exclude_defaults=True, exclude={"about"})),
            {store.NOTE: f"**{self._name}**: {about}", **runs.origin()},
        )
        known = self._study.user_attrs.get(RUNS, {})
        self._study.set_user_attr(RUNS, {**known, recording.here(): self._parent})
        self._client.update_run(self._parent, "RUNNING")
        self._make_good()

    def _known(self) -> str | None:
        """The run that the sweep was begun with, if this tracking server has it still."""
        known = self._study.user_attrs.get(RUNS, {}).get(recording.here(), "")
        found = self._client.search_runs([self._experiment], f"attributes.run_id = '{known}'")
        return known if found else None

    def _make_good(self) -> None:
        """Ends the runs of a sweep that was killed, and records what it did not come to."""
        children = f"tags.`{runs.PARENT}` = '{self._parent}'"
        recorded, ended = set(), {trial.number for trial in self._before}
        for run in runs.found(self._client, self._experiment, children):
            number = int(run.data.tags["trial"])
            recorded.add(number)
            if run.info.status == "RUNNING" or (run.info.status == "KILLED" and number in ended):
                self._runs[number] = run.info.run_id
        for trial in self._before:
            if trial.number not in recorded:
                self._start(trial.number, table.values(trial, self._sweep))
            if trial.number in self._runs:
                run_id = self._runs[trial.number]
                known = runs.points(self._client, self._client.get_run(run_id))
                runs.log_history(self._client, run_id, trial.user_attrs.get(HISTORY, []), known)
                self._end(trial)
        self._kill()

    def _kill(self) -> None:
        while self._runs:
            self._client.set_terminated(self._runs.popitem()[1], "KILLED")

    def _create(self, name: str, values: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        from mlflow.entities import Param

        tags = {
            "sweep": self._name,
            "model": self._sweep.model,
            "profile": self._profile,
            **{key: getattr(self._entry, key) for key in ("dataset", "task", "arch")},
            **tags,
        }
        run = self._client.create_run(self._experiment, tags=tags, run_name=name)
        parameters = [Param(key, str(value)) for key, value in values.items()]
        self._client.log_batch(run.info.run_id, params=parameters)
        return run.info.run_id

    def _start(self, number: int, config: Mapping[str, Any]) -> None:
        if number not in self._runs:  # else its node died, and it begins again
            values = self._sweep.short(config)
            tags = {runs.PARENT: self._parent, "trial": str(number)}
            self._runs[number] = self._create(f"{self._name} {number}", values, tags)

    def _row(self, number: int, lap: int, row: Mapping[str, float]) -> None:
        if lap > self._laps.get(number, 0):
            runs.log_history(self._client, self._runs[number], [row])
            self._laps[number] = lap

    def _end(self, trial: FrozenTrial) -> None:
        run_id = self._runs.pop(trial.number)
        for key in (STATUS, REASON):
            if key in trial.user_attrs:
                self._client.set_tag(run_id, key, trial.user_attrs[key])
        self._client.set_terminated(run_id, "FINISHED" if succeeded(trial) else "FAILED")

    def _close(self, complete: bool, files: Path) -> None:
        self._kill()
        for path in sorted(files.glob("*.*")):
            self._client.log_artifact(self._parent, str(path))
        self._client.set_terminated(self._parent, "FINISHED" if complete else "KILLED")
        self._study.set_user_attr(RECORDED, recording.here() if complete else "")
