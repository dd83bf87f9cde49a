"""The training loop: compiled calls of about a second, and a measurement between laps of them.

A call runs as many steps as fit into a second; batches are cut, shuffled and learnt from inside
the graph. How the steps are divided into calls never changes the result. A batch is split into
shards that run side by side, a thread each, and their gradients are added.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.models import call
from modelmill.training import optimizers
from modelmill.training.averages import Averages
from modelmill.training.observer import Row
from modelmill.training.pace import Pace
from modelmill.training.patience import Patience
from modelmill.training.schedules import learning_rates
from modelmill.training.settings import Fit
from modelmill.training.task import Batches, Gradient, Score, Task, Tensors

REMEDY = "try a smaller fit.learning_rate, or fit.clip_norm"


class Trainer:
    """Trains `model` for `task` as `fit` says.

    Args:
        train, validation: batches to learn from and to measure on.
        before: steps done in earlier phases of the training.
        remedy: what to try if it diverges.

    Attributes:
        step: steps done.
        seen: predictions learnt from in them.
        lap: steps done at the beginning of the lap that goes on.
    """

    def __init__(
        self,
        model: keras.Model,
        task: Task | ModuleType,
        fit: Fit,
        train: Batches,
        validation: Batches | None = None,
        before: int = 0,
        remedy: str = REMEDY,
    ) -> None:
        self.model, self.task, self.fit = model, task, fit
        self.train, self.validation = train, validation
        self.before, self.remedy = before, remedy
        self.steps = fit.length.steps(train.steps)
        self.variables = [variable.value for variable in model.trainable_variables]
        self.update, slots = optimizers.build(fit.optimizer, self.variables)
        self.averages = Averages(self.variables, fit.average)
        values = [variable.value for variable in model.variables]
        self.kept = [*values, *slots, *self.averages.kept]
        self.train_pace, self.validation_pace = Pace(), Pace()
        self.patience = Patience(fit.stop, task.METRICS)
        self.step = self.seen = self.lap = 0
        self.scores: list[np.ndarray] = []
        self.state = task.initial(model, fit)
        rates = tf.TensorSpec([None], tf.float32)
        self._train = _compiled(self._train_steps, train.signature, rates, self.state)
        if validation:
            count = tf.TensorSpec([], tf.int32)
            self._measure = _compiled(self._measure_steps, validation.signature, count, self.state)

    def begin(self, data: Processed) -> None:
        """Before the first step: what the model owes to the data, and the state that follows."""
        self.task.begin(self.model, data, self.fit)
        self.state = self.task.initial(self.model, self.fit)

    def run(self, on_call: Callable[[Row], None]) -> Iterator[Row]:
        """Trains to the end, or until `fit.stop` ends it, yielding measurements after each lap.

        Args:
            on_call: told the metrics of each compiled call after it.

        A lap is `fit.lap`. A row holds the step, the epoch (with a fraction), how many
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
                "examples": self.seen,
                "learning_rate": float(rate[0]),
                **self._metrics(self.scores),
            }
            if self.validation:
                for name, value in self.validate().items():
                    row[f"validation_{name}"] = value
            if wrong := [name for name, value in row.items() if not math.isfinite(value)]:
                raise self._diverged(f"{', '.join(wrong)} became infinite or nan", self.step)
            self.patience.watch(row)
            self.lap, self.scores = self.step, []
            yield row
        self._check_weights()

    def _learn_until(self, end: int, on_call: Callable[[Row], None]) -> None:
        per_epoch = self.train.steps
        while self.step < end:
            epoch, first = divmod(self.step, per_epoch)
            if first == 0 and self.task.STATE == "pass":
                self.state = self.task.initial(self.model, self.fit)
            for start, count in self.train_pace.calls(min(per_epoch - first, end - self.step)):
                rates = learning_rates(self.fit, self.step, count, per_epoch)
                loaded = self.train.load(epoch, first + start, count)
                found, self.state = self._train(loaded, tf.constant(rates), self.state)
                scores = found.numpy()
                self._check_finite(scores)
                self.scores.append(scores)
                self.step += count
                self.seen += round(float(scores[:, 0].sum(dtype=np.float64)))
                on_call(self._metrics([scores]))

    def checkpoint(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on from here as if nothing had happened.

        Raises:
            ModelmillError: a weight is not a finite number.
        """
        self._check_weights()
        return {
            "position": np.array([self.step, self.lap, self.seen]),
            "scores": np.concatenate(self.scores) if self.scores else np.zeros(0),
            **{f"variable_{i}": variable.numpy() for i, variable in enumerate(self.kept)},
            **{f"state_of_{name}": tensor.numpy() for name, tensor in self.state.items()},
        }

    def restore(self, checkpoint: Mapping[str, np.ndarray], history: list[Row]) -> None:
        """Takes up the training that wrote `checkpoint` after these rows."""
        self.step, self.lap, self.seen = checkpoint["position"].tolist()
        steps = self.step - self.lap
        self.scores = [checkpoint["scores"].reshape(steps, -1)] if steps else []
        for i, variable in enumerate(self.kept):
            variable.assign(checkpoint[f"variable_{i}"])
        self.state = {name: tf.constant(checkpoint[f"state_of_{name}"]) for name in self.state}
        for row in history:
            self.patience.watch(row)

    def validate(self) -> Row:
        """The task's metrics over all of the validation batches, for what `weights` returns."""
        assert self.validation
        scores = []
        with self.averages.in_place():
            state = self.task.initial(self.model, self.fit)
            for first, count in self.validation_pace.calls(self.validation.steps):
                loaded = self.validation.load(0, first, count)
                score, state = self._measure(loaded, tf.constant(count), state)
                scores.append(score.numpy())
        return self._metrics(scores)

    def weights(self) -> list[np.ndarray]:
        """What has been learnt so far: the model's weights, or their averages where `fit` asks."""
        with self.averages.in_place():
            return self.model.get_weights()

    def outputs(self, count: int) -> np.ndarray:
        """What `weights` returns makes of the first validation examples [count, ...]."""
        assert self.validation
        with self.averages.in_place():
            batch = self.validation.batch(self.validation.load(0, 0, 1), tf.constant(0))
            given = {name: values[:count] for name, values in batch.items()}
            return call(self.model, given, training=False).numpy()

    # --- in the graph ----------------------------------------------------------------------

    def _train_steps(
        self, loaded: tf.Tensor, rates: tf.Tensor, state: Tensors
    ) -> tuple[tf.Tensor, Tensors]:
        """One step for each of `rates`; returns their predictions and sums [steps, 1 + k]."""
        count = tf.size(rates)
        scores = tf.TensorArray(tf.float32, count)
        for index in tf.range(count):
            batch = self.train.batch(loaded, index)
            score, gradients, state = self._learn(batch, state)
            norm = self.fit.clip_norm
            factor = optimizers.clipping(gradients, norm) if norm else tf.ones([])
            self.update(gradients, rates[index], factor)
            self._constrain()
            self.averages.update()
            scores = scores.write(index, score)
        return scores.stack(), state

    def _learn(self, batch: Tensors, state: Tensors) -> tuple[tf.Tensor, list[Gradient], Tensors]:
        """Score, gradients and new state of a batch, added up over its shards."""
        learnt = [
            self.task.learn(self.model, *part, self.fit) for part in self._shards(batch, state)
        ]
        gradients = zip(*(part.gradients for part in learnt), strict=True)
        return (
            tf.add_n([_vector(part.score) for part in learnt]),
            [optimizers.total(parts) for parts in gradients],
            _joined([part.state for part in learnt]),
        )

    def _measure_steps(
        self, loaded: tf.Tensor, count: tf.Tensor, state: Tensors
    ) -> tuple[tf.Tensor, Tensors]:
        """As `_train_steps`, without learning."""
        assert self.validation
        totals = tf.TensorArray(tf.float32, count)
        for index in tf.range(count):
            batch = self.validation.batch(loaded, index)
            parts = [
                self.task.measure(self.model, *part, self.fit)
                for part in self._shards(batch, state)
            ]
            totals = totals.write(index, tf.add_n([_vector(score) for score, _ in parts]))
            state = _joined([new_state for _, new_state in parts])
        return totals.stack(), state

    def _shards(self, batch: Tensors, state: Tensors) -> list[tuple[Tensors, Tensors]]:
        if self.fit.shards == 1:
            return [(batch, state)]
        batches, states = self._split(batch), self._split(state)
        return list(zip(batches, states, strict=True))

    def _split(self, tensors: Tensors) -> list[Tensors]:
        shards = self.fit.shards
        parts: list[Tensors] = [{} for _ in range(shards)]
        for name, tensor in tensors.items():
            rows = tf.shape(tensor)[0] if tensor.shape[0] is None else tensor.shape[0]
            sizes = [rows // shards] * (shards - 1)
            sizes.append(rows - sum(sizes))
            for part, piece in zip(parts, tf.split(tensor, sizes, num=shards), strict=True):
                part[name] = piece
        return parts

    def _constrain(self) -> None:
        for variable in self.model.trainable_variables:
            if variable.constraint:
                variable.assign(variable.constraint(variable))

    # --- on the host -----------------------------------------------------------------------

    def _lap_end(self) -> int:
        number, unit = self.fit.lap(self.train.steps)
        if unit == "epochs":
            return min(self.lap + number * self.train.steps, self.steps)
        left = self.train.steps - self.lap % self.train.steps
        return min(self.lap + min(number, left), self.steps)

    def _metrics(self, scores: list[np.ndarray]) -> Row:
        count, *sums = np.concatenate(scores).astype(np.float64).sum(axis=0)
        return self.task.metrics([float(total / count) for total in sums])

    def _check_finite(self, scores: np.ndarray) -> None:
        wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(wrong):
            loss = next(iter(self.task.METRICS)).replace("_", " ")
            raise self._diverged(
                f"the {loss} became {scores[wrong[0], 1]}", self.step + wrong[0] + 1
            )

    def _check_weights(self) -> None:
        if not all(np.isfinite(variable.numpy()).all() for variable in self.variables):
            raise self._diverged("weights became infinite or nan", self.step)

    def _diverged(self, what: str, step: int) -> ModelmillError:
        return ModelmillError(f"{what} at step {self.before + step:,}: {self.remedy}")


def _compiled(function: Callable[..., Any], *signature: Any) -> Any:
    """The graph of a function of tensors.

    Raises:
        ModelmillError: as it was raised; AutoGraph adds the lines of code that led there.
    """
    try:
        return tf.function(function).get_concrete_function(*signature)
    except ModelmillError as error:
        first: BaseException = error
        while isinstance(first.__context__, ModelmillError):
            first = first.__context__
        raise first from None


def _vector(score: Score) -> tf.Tensor:
    return tf.concat([tf.cast(score.predictions, tf.float32)[None], score.sums], 0)


def _joined(states: list[Tensors]) -> Tensors:
    """The states of all shards as those of the whole batch."""
    if len(states) == 1:
        return states[0]
    return {name: tf.concat([state[name] for state in states], 0) for name in states[0]}
