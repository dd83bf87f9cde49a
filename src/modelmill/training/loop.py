"""The training loop: compiled calls of about a second, and a measurement between laps of them.

A call runs as many steps as fit into a second; batches are cut, shuffled and learnt from inside
the graph. How the steps are divided into calls never changes the result. A batch is split into
shards that run side by side, a thread each, and their gradients are added.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from modelmill.errors import ModelmillError
from modelmill.layers.recurrent import zero_state
from modelmill.tasks import Task
from modelmill.training import optimizers
from modelmill.training.batches import Batches
from modelmill.training.schedules import learning_rates
from modelmill.training.settings import Fit, Stop

CALL_SECONDS = 0.7
REMEDY = "try a smaller fit.learning_rate, or fit.clip_norm"
Row = dict[str, float]
State = list[tf.Tensor]


class Trainer:
    """Trains `model` for `task` as `fit` says.

    Args:
        model: its recurrent state, if any, is its inputs and outputs after the first.
        train, validation: batches to learn from and to measure on.

    Attributes:
        step: steps done.
        lap: those done at the beginning of the lap that goes on.
    """

    def __init__(
        self,
        model: keras.Model,
        task: Task | ModuleType,
        fit: Fit,
        train: Batches,
        validation: Batches | None = None,
    ) -> None:
        self.model, self.task, self.fit = model, task, fit
        self.train, self.validation = train, validation
        self.steps = fit.length.steps(train.steps)
        self.predictions_per_step = fit.batch_size * (fit.num_steps or 1)
        scales = {
            "mean": 1 / self.predictions_per_step,
            "sum_over_steps": 1 / fit.batch_size,
            "sum": 1.0,
        }
        self.loss = fit.loss or task.LOSSES[0]
        self.loss_scale = scales[fit.reduction]
        self.variables = [variable.value for variable in model.trainable_variables]
        self.update, slots = optimizers.build(fit.optimizer, self.variables)
        self.kept = [*(variable.value for variable in model.variables), *slots]
        self.train_pace, self.validation_pace = Pace(), Pace()
        self.patience = Patience(fit.stop)
        self.step = self.lap = 0
        self.scores: list[np.ndarray] = []
        self.state = self._zero_state()
        self._train = tf.function(self._train_steps).get_concrete_function(
            train.signature, tf.TensorSpec([None], tf.float32), self.state
        )
        if validation:
            self._score = tf.function(self._score_steps).get_concrete_function(
                validation.signature, tf.TensorSpec([], tf.int32), self.state
            )

    def run(self, on_call: Callable[[int, Row], None]) -> Iterator[Row]:
        """Trains to the end, or until `fit.stop` ends it, yielding measurements after each lap.

        Args:
            on_call: told after each compiled call the steps done so far and the call's metrics.

        A lap is `fit.validate_every`. A row holds the step, the epoch (with a fraction), how many
        examples or tokens have been learnt from, the learning rate, the lap's mean training
        metrics, and those of the validation data under names that start with ``validation_``.

        Raises:
            ModelmillError: the loss, a metric or a weight stopped being a finite number.
        """
        while self.lap < self.steps and not self.patience.exhausted:
            self._learn_until(self._lap_end(), on_call)
            rate = learning_rates(self.fit, self.step - 1, 1, self.train.steps)
            row: Row = {
                "step": self.step,
                "epoch": self.step / self.train.steps,
                "examples": self.step * self.predictions_per_step,
                "learning_rate": float(rate[0]),
                **self._metrics(self.scores, (self.step - self.lap) * self.predictions_per_step),
            }
            if self.validation:
                for name, value in self.validate().items():
                    row[f"validation_{name}"] = value
            if not all(map(math.isfinite, row.values())):
                raise ModelmillError(f"at step {self.step:,}, {row} is not finite: {REMEDY}")
            self.patience.watch(row)
            self.lap, self.scores = self.step, []
            yield row
        self._check_weights()

    def _learn_until(self, end: int, on_call: Callable[[int, Row], None]) -> None:
        per_epoch = self.train.steps
        while self.step < end:
            epoch, first = divmod(self.step, per_epoch)
            if first == 0:
                self.state = self._zero_state()
            for start, count in self.train_pace.calls(min(per_epoch - first, end - self.step)):
                rates = learning_rates(self.fit, self.step, count, per_epoch)
                loaded = self.train.load(epoch, first + start, count)
                found, self.state = self._train(loaded, tf.constant(rates), self.state)
                scores = found.numpy()
                self._check_finite(scores)
                self.scores.append(scores)
                self.step += count
                on_call(self.step, self._metrics([scores], count * self.predictions_per_step))

    def checkpoint(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on from here as if nothing had happened.

        Raises:
            ModelmillError: a weight is not a finite number.
        """
        self._check_weights()
        return {
            "position": np.array([self.step, self.lap]),
            "scores": np.concatenate(self.scores) if self.scores else np.zeros(0),
            **{f"variable_{i}": variable.numpy() for i, variable in enumerate(self.kept)},
            **{f"state_{i}": tensor.numpy() for i, tensor in enumerate(self.state)},
        }

    def restore(self, checkpoint: Mapping[str, np.ndarray], history: list[Row]) -> None:
        """Takes up the training that wrote `checkpoint` after these rows."""
        self.step, self.lap = checkpoint["position"].tolist()
        steps = self.step - self.lap
        self.scores = [checkpoint["scores"].reshape(steps, -1)] if steps else []
        for i, variable in enumerate(self.kept):
            variable.assign(checkpoint[f"variable_{i}"])
        self.state = [tf.constant(checkpoint[f"state_{i}"]) for i in range(len(self.state))]
        for row in history:
            self.patience.watch(row)

    def validate(self) -> Row:
        """The task's metrics over all of the validation batches."""
        assert self.validation
        state, scores = self._zero_state(), []
        for first, count in self.validation_pace.calls(self.validation.steps):
            loaded = self.validation.load(0, first, count)
            score, state = self._score(loaded, tf.constant(count), state)
            scores.append(score.numpy())
        return self._metrics(scores, self.validation.predictions)

    # --- in the graph ----------------------------------------------------------------------

    def _train_steps(
        self, loaded: tf.Tensor, rates: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """One step for each of `rates`; returns each step's score [steps, k] and the state."""
        count = tf.size(rates)
        scores = tf.TensorArray(tf.float32, count)
        for index in tf.range(count):
            x, y = self.train.batch(loaded, index)
            score, gradients, state = self._learn(x, y, state)
            norm = self.fit.clip_norm
            factor = optimizers.clipping(gradients, norm) if norm else tf.ones([])
            self.update(gradients, rates[index], factor)
            scores = scores.write(index, score)
        return scores.stack(), state

    def _learn(
        self, x: tf.Tensor, y: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, list[optimizers.Gradient], State]:
        """Score, gradients and new state of a batch, added up over its shards."""
        scores, gradients, states = [], [], []
        for part in self._shards(x, y, state):
            with tf.GradientTape() as tape:
                score, new_state = self._forward(*part, training=True)
                loss = score[0] * self.loss_scale
            scores.append(score)
            gradients.append(tape.gradient(loss, self.variables))
            states.append(new_state)
        added = [optimizers.total(parts) for parts in zip(*gradients, strict=True)]
        return tf.add_n(scores), added, _joined(states)

    def _score_steps(
        self, loaded: tf.Tensor, count: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """As `_train_steps`, without learning."""
        assert self.validation
        totals = tf.TensorArray(tf.float32, count)
        for index in tf.range(count):
            x, y = self.validation.batch(loaded, index)
            parts = [self._forward(*part, False) for part in self._shards(x, y, state)]
            totals = totals.write(index, tf.add_n([score for score, _ in parts]))
            state = _joined([new_state for _, new_state in parts])
        return totals.stack(), state

    def _forward(
        self, x: tf.Tensor, y: tf.Tensor, state: State, training: bool
    ) -> tuple[tf.Tensor, State]:
        outputs = self.model([x, *state] if state else x, training=training)
        logits, *new_state = outputs if state else [outputs]
        return self.task.score(logits, y, self.loss), new_state

    def _shards(
        self, x: tf.Tensor, y: tf.Tensor, state: State
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor, State]]:
        shards = self.fit.shards
        if shards == 1:
            return iter([(x, y, state)])
        batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        sizes = [batch // shards] * (shards - 1)
        sizes.append(batch - sum(sizes))
        xs, ys, *states = (tf.split(tensor, sizes, num=shards) for tensor in (x, y, *state))
        parts = [list(part) for part in zip(*states, strict=True)] or [[]] * shards
        return zip(xs, ys, parts, strict=True)

    # --- on the host -----------------------------------------------------------------------

    def _lap_end(self) -> int:
        number, unit = self.fit.validate_every
        if unit == "epochs":
            return min(self.lap + number * self.train.steps, self.steps)
        left = self.train.steps - self.lap % self.train.steps
        return min(self.lap + min(number, left), self.steps)

    def _zero_state(self) -> State:
        return zero_state(self.model, self.fit.batch_size)

    def _metrics(self, scores: list[np.ndarray], predictions: int) -> Row:
        total = np.concatenate(scores).astype(np.float64).sum(axis=0)
        return self.task.metrics((total / predictions).tolist())

    def _check_finite(self, scores: np.ndarray) -> None:
        wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(wrong):
            step = self.step + wrong[0] + 1
            raise ModelmillError(
                f"the loss became {scores[wrong[0], 0]} at step {step:,}: {REMEDY}"
            )

    def _check_weights(self) -> None:
        if not all(np.isfinite(variable.numpy()).all() for variable in self.variables):
            raise ModelmillError(f"weights are no longer finite at step {self.step:,}: {REMEDY}")


class Patience:
    """Follows a metric, and is exhausted when it has stopped falling."""

    def __init__(self, stop: Stop | None) -> None:
        self.stop, self.best, self.laps = stop, math.inf, 0

    def watch(self, row: Row) -> None:
        if self.stop:
            value = row[self.stop.metric]
            if value < self.best and self.best - value >= self.stop.min_change:
                self.best, self.laps = value, 0
            else:
                self.laps += 1

    @property
    def exhausted(self) -> bool:
        return self.stop is not None and self.laps >= self.stop.patience


class Pace:
    """Divides steps into calls that each take about `CALL_SECONDS`."""

    def __init__(self) -> None:
        self.count = 1

    def calls(self, total: int) -> Iterator[tuple[int, int]]:
        """Yields first step and number of steps; the caller's time between is what it measures."""
        first = 0
        while first < total:
            count = min(self.count, total - first)
            began = time.perf_counter()
            yield first, count
            first += count
            growth = min(CALL_SECONDS / max(time.perf_counter() - began, 1e-9), 8.0)
            if count == self.count:
                self.count = max(1, math.floor(count * growth))


def _joined(states: list[State]) -> State:
    """The states of all shards as those of the whole batch."""
    if len(states) == 1:
        return states[0]
    return [tf.concat(parts, axis=0) for parts in zip(*states, strict=True)]
