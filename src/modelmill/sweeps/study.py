"""Optuna's study of a sweep: what has been tried, kept in a file as it happens."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search.optuna import OptunaSearch

from modelmill.files import undamaged
from modelmill.sweeps.settings import Sweep
from modelmill.sweeps.trial import FAILED, LAP, REASON, ROW, RUNNING, STATUS, worst
from modelmill.training.observer import Row

JOURNAL = "study.log"
FIXED = "fixed_params"  # as Optuna names the values that a trial was queued with
STOPPED = "stopped early"
EPOCH, SECONDS = f"{ROW}/epoch", "time_total_s"  # as Tune names them
TOLD = (STATUS, REASON, EPOCH, SECONDS)  # what is kept of a trial's last report
HISTORY = "history"  # attribute of a trial: the rows of its laps
RECORDED = "mlflow_has_all"  # attribute of the study: the server that does
optuna.logging.set_verbosity(optuna.logging.WARNING)


def storage(folder: Path) -> JournalStorage:
    """The file in `folder` that holds the study; nothing in it is ever written over.

    Raises:
        ModelmillError: the file is damaged.
    """
    path = folder / JOURNAL
    with undamaged(path, f"modelmill sweep {folder.name} --fresh"):
        return JournalStorage(JournalFileBackend(str(path)))


def drop_unfinished_line(folder: Path) -> None:
    """Removes a last line that a full disk or a crash cut short, for the next would continue it.

    Nobody else may be at work on the sweep.
    """
    path = folder / JOURNAL
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def open_study(storage: JournalStorage, name: str, sweep: Sweep) -> optuna.Study:
    """The study of a sweep, which is new if there is none."""
    with undamaged(Path("data/sweeps", name, JOURNAL), f"modelmill sweep {name} --fresh"):
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction="minimize" if sweep.mode == "min" else "maximize",
            load_if_exists=True,
        )


def take_up(study: optuna.Study, sweep: Sweep) -> None:
    """Queues what ran when the sweep was interrupted, and the points of a grid that are missing."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        _requeue(study, trial)
    if sweep.sampler == "grid":
        there = study.get_trials(states=[TrialState.WAITING, TrialState.COMPLETE])
        queued = [trial.system_attrs.get(FIXED) for trial in there]
        for point in sweep.grid():
            if point not in queued:
                study.enqueue_trial(point)


def _requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    study.tell(trial.number, state=TrialState.FAIL)
    if wanted := {**trial.system_attrs.get(FIXED, {}), **trial.params}:
        study.enqueue_trial(wanted)


def judged(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that are over, those that failed with the worst value."""
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def best(study: optuna.Study) -> FrozenTrial | None:
    """The best trial that did not fail."""
    return study.best_trial if any(map(succeeded, judged(study))) else None


def succeeded(trial: FrozenTrial) -> bool:
    return trial.user_attrs[STATUS] != FAILED


class Search(OptunaSearch):
    """Ray Tune's search by Optuna, which notes in the study how each trial ended.

    It is over when `missing` trials are; Tune, which counts those begun, is told of no number.
    """

    def __init__(
        self, study: optuna.Study, storage: JournalStorage, sweep: Sweep, missing: int
    ) -> None:
        # A sampler begun anew with the same seed would begin with the same values.
        seed = sweep.seed + len(study.get_trials(deepcopy=False))
        sampler = (
            optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            if sweep.sampler == "tpe"
            else optuna.samplers.RandomSampler(seed)  # a grid's points are waiting in the study
        )
        super().__init__(
            sweep.suggest,
            metric=sweep.metric,
            mode=sweep.mode,
            sampler=sampler,
            study_name=study.study_name,
            storage=storage,
        )
        self._study, self._worst, self._missing = study, worst(sweep), missing
        self._rows: dict[str, dict[int, Row]] = {}  # by trial and lap

    def suggest(self, trial_id: str) -> Any:
        """The values of the next trial, None to wait for what runs, or that there is no more."""
        running = len(self._ot_trials) - len(self._completed_trials)
        if running < self._missing:
            return super().suggest(trial_id)
        return None if running else self.FINISHED

    def number(self, trial_id: str) -> int:
        """Of Tune's trial, its number in the study."""
        return self._ot_trials[trial_id].number

    def ended(self, trial_id: str) -> FrozenTrial:
        """Of Tune's trial, what the study has of it."""
        return self._study.get_trials(deepcopy=False)[self.number(trial_id)]

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        self._note(trial_id, result)
        with warnings.catch_warnings():  # a trial whose node died tells the same laps again
            warnings.filterwarnings("ignore", "The reported value is ignored")
            super().on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """Notes how the trial ended; one that could not is told to `fail`."""
        if result and not error:
            self._note(trial_id, result)
            attributes = {key: result[key] for key in TOLD if key in result}
            if attributes[STATUS] == RUNNING:
                attributes[STATUS] = STOPPED
            self._end(trial_id, result[self.metric], attributes)

    def _note(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """The row of a lap, which Tune has made keys of its own."""
        of_row = f"{ROW}/"
        row = {key.removeprefix(of_row): result[key] for key in result if key.startswith(of_row)}
        if row:
            self._rows.setdefault(trial_id, {})[result[LAP]] = row

    def repeat(self, trial_id: str) -> None:
        """Queues the values of a trial again, which was lost with its worker."""
        self._completed_trials.add(trial_id)
        _requeue(self._study, self.ended(trial_id))

    def fail(self, trial_id: str, reason: str) -> None:
        """Notes that the trial could not be run to its end."""
        self._end(trial_id, self._worst, {STATUS: FAILED, REASON: reason})

    def _end(self, trial_id: str, value: float, attributes: Mapping[str, Any]) -> None:
        rows = [*self._rows.pop(trial_id, {}).values()]
        for key, each in {**attributes, HISTORY: rows}.items():
            self._ot_trials[trial_id].set_user_attr(key, each)
        super().on_trial_complete(trial_id, {self.metric: value})
        self._missing -= 1
