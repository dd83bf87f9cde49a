"""One training from beginning to end: assembled, observed, resumed."""

import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

import keras
import numpy as np

from modelmill import models
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.models import Spec
from modelmill.parts import part
from modelmill.training.loop import Trainer
from modelmill.training.observer import Checkpoint, Observer, Row
from modelmill.training.patience import sign
from modelmill.training.phases import Phase, phases
from modelmill.training.settings import SHOWN, Fit
from modelmill.training.task import Batches


class Entry(Protocol):
    """What an entry of `models` in params.yaml says of a training."""

    task: str
    arch: str
    net: Any
    fit: Fit


class Training:
    """A model about to be trained, or half way.

    Args:
        spec: what the data ask of the model.
        seed: of initial weights, dropout, the order of the examples, and all else that is drawn.

    Attributes:
        history: a row per lap.
        kept: the step after which the model had the weights that it is left with.

    Raises:
        ModelmillError: the model cannot be built, or not be trained in shards, or there are no
            validation examples to show.
    """

    def __init__(self, name: str, entry: Entry, spec: Spec, data: Processed, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.name, self.fit, self.data, self.seed = name, entry.fit, data, seed
        self.unit = data.meta.get("unit", "example")
        task = part("tasks", entry.task, f"models.{name}.task")
        self.metrics = task.METRICS
        self.model = models.build(name, entry.arch, entry.net, spec)
        self._require_shardable()
        self._require_examples()
        self.phases = phases(name, self.model, task, entry.fit)
        self._steps_per_epoch = [self._batches(phase, "train").steps for phase in self.phases]
        self.history: list[Row] = []
        self._snapshots: list[np.ndarray] = []
        self.kept = 0
        self._best: list[np.ndarray] = []
        self._before = 0.0
        self._began = time.monotonic()
        self._enter(0)

    def _enter(self, number: int) -> None:
        """The phase of that number, from 0 on, is about to begin."""
        phase, self.number = self.phases[number], number
        phase.hold()
        train, validation = self._batches(phase, "train"), None
        if "validation" in self.data.meta["splits"]:
            validation = self._batches(phase, "validation")
        before = sum(self._lengths()[:number])
        self.trainer = Trainer(
            phase.model, phase.task, phase.fit, train, validation, before, phase.remedy
        )

    def _batches(self, phase: Phase, split: str) -> Batches:
        try:
            return phase.task.batches(self.data, split, phase.fit, self.seed)
        except ModelmillError as error:
            raise ModelmillError(f"models.{self.name}.fit, split '{split}': {error}") from None

    @property
    def last(self) -> bool:
        """Whether the phase is the last one, in which the model learns as a whole."""
        return self.number == len(self.phases) - 1

    @property
    def step(self) -> int:
        """Steps done."""
        return self.trainer.before + self.trainer.step

    @property
    def steps(self) -> int:
        """Steps to be done, if nothing ends the training earlier."""
        return sum(self._lengths())

    @property
    def epochs(self) -> tuple[float, float]:
        """Passes over the data of the phase that goes on: done, and to be done."""
        per_epoch = self.trainer.train.steps
        return self.trainer.step / per_epoch, self.trainer.steps / per_epoch

    @property
    def seen(self) -> int:
        """Predictions learnt from."""
        before = zip(self.phases[: self.number], self._lengths(), strict=False)
        return sum(phase.fit.batch_size * steps for phase, steps in before) + self.trainer.seen

    def _lengths(self) -> list[int]:
        """The steps of each phase."""
        pairs = zip(self.phases, self._steps_per_epoch, strict=True)
        return [phase.fit.length.steps(steps) for phase, steps in pairs]

    @property
    def seconds(self) -> float:
        """Those spent training, before an interruption as well."""
        return self._before + time.monotonic() - self._began

    def run(self, *observers: Observer) -> None:
        """Trains the model to the end, or on from where it was.

        Raises:
            ModelmillError: the training diverged.
            KeyboardInterrupt: an observer ends it.
        """
        for _ in self.laps(*observers):
            pass

    def laps(self, *observers: Observer) -> Iterator[Row]:
        """As `run`, yielding each row of the history as soon as its lap has ended."""

        def called(metrics: Row) -> None:
            for observer in observers:
                observer.called(self, metrics)

        self._began = time.monotonic()
        for observer in observers:
            observer.began(self)
        while True:
            if not self.trainer.step:
                self.trainer.begin(self.data)
            for measured in self.trainer.run(called):
                row = self._remember(measured)
                for observer in observers:
                    observer.lap(self, row)
                yield row
            self.phases[self.number].end()
            if self.last:
                break
            self._enter(self.number + 1)
        self.model.set_weights(self._best or self.trainer.weights())
        for observer in observers:
            observer.ended(self)

    def _remember(self, row: Row) -> Row:
        """The row as the history has it; steps are counted from the first phase on."""
        if len(self.phases) > 1:
            row = {"step": 0, "phase": self.number + 1} | row | {"step": self.step}
        self.history.append(row)
        if self.fit.snapshots and self.last:
            self._snapshots.append(self._snapshot())
        if self.fit.keep == "last":
            self.kept = self.step
        elif self.last and self._is_best(row):
            self.kept, self._best = self.step, self.trainer.weights()
        return row

    @property
    def snapshots(self) -> np.ndarray:
        """The weights after each lap, float32 [laps, parameters], or what they make of examples,
        [laps, SHOWN * outputs]; [0, parameters] where `fit` asks for neither.
        """
        return np.array(self._snapshots or np.zeros([0, self.model.count_params()]), np.float32)

    def _snapshot(self) -> np.ndarray:
        if self.fit.snapshots == "outputs":
            return self.trainer.outputs(SHOWN).ravel()
        return np.concatenate([w.ravel() for w in self.trainer.weights()])

    def _is_best(self, row: Row) -> bool:
        column = self.fit.keep_by
        factor = sign(column, self.metrics)
        known = [factor * before[column] for before in self._of_phase(self.history[:-1])]
        return factor * row[column] < min(known, default=math.inf)

    def _of_phase(self, rows: list[Row]) -> list[Row]:
        """Those of the phase that goes on."""
        return [row for row in rows if row.get("phase", 1) == self.number + 1]

    def checkpoint(self) -> Checkpoint:
        """All that `resume` needs, in another process."""
        best = {f"best_{i}": weight for i, weight in enumerate(self._best)}
        return Checkpoint(
            {**self.trainer.checkpoint(), "snapshots": self.snapshots, **best},
            {
                "history": self.history,
                "seconds": self.seconds,
                "kept": self.kept,
                "phase": self.number,
            },
        )

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Goes on from a checkpoint of this training as if nothing had happened; None is none."""
        if checkpoint is None:
            return
        arrays, progress = checkpoint
        self.history, self._snapshots = progress["history"], list(arrays["snapshots"])
        self.kept, self._before = progress["kept"], progress["seconds"]
        count = sum(name.startswith("best_") for name in arrays)
        self._best = [arrays[f"best_{i}"] for i in range(count)]
        if progress["phase"]:
            self._enter(progress["phase"])
        self.trainer.restore(arrays, self._of_phase(self.history))

    def _require_examples(self) -> None:
        """Outputs to be kept are of validation examples."""
        start, stop = self.data.meta["splits"].get("validation", (0, 0))
        if self.fit.snapshots == "outputs" and stop - start < SHOWN:
            raise ModelmillError(
                f"models.{self.name}.fit.snapshots: outputs are of {SHOWN} validation examples, "
                f"and there are {stop - start}; say true for weights, or false"
            )

    def _require_shardable(self) -> None:
        """Statistics of a batch would be those of its shards."""
        if self.fit.shards > 1:
            for layer in self.model.layers:
                if layer.non_trainable_weights and layer.trainable:
                    raise ModelmillError(
                        f"models.{self.name}.fit.shards: layer '{layer.name}' keeps statistics of "
                        "whole batches, which only 1 shard has"
                    )
