"""Optimizers over TensorFlow's fused update kernels, one pass over each variable."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from modelmill.training.settings import Adam, Optimizer, RmsProp, Sgd
from modelmill.training.task import Gradient

Update = Callable[[list[Gradient], tf.Tensor, tf.Tensor], None]


class Step(NamedTuple):
    """What all variables have in common: the rate, what clips gradients, Adam's powers."""

    rate: tf.Tensor
    factor: tf.Tensor
    powers: list[tf.Tensor]

    def clipped(self, gradient: Gradient) -> tf.Tensor:
        return self.factor * tf.convert_to_tensor(gradient)


def build(settings: Optimizer, variables: list[tf.Variable]) -> tuple[Update, list[tf.Variable]]:
    """Returns ``update(gradients, rate, factor)`` for `variables`, and the optimizer's own state.

    `factor` scales all gradients.
    """
    apply: Callable[..., None]
    starts: list[float] = []
    betas: list[float] = []
    match settings:
        case Sgd(momentum=0, weight_decay=0):
            apply = _descend
        case Sgd():
            apply, starts = partial(_sgd, settings), [0.0]
        case RmsProp():
            apply, starts = partial(_rmsprop, settings), [settings.initial_accumulator, 0.0]
        case Adam():
            apply, starts = partial(_adam, settings), [0.0, 0.0]
            betas = [settings.beta_1, settings.beta_2]
    slots = [
        [tf.Variable(tf.fill(v.shape, tf.cast(start, v.dtype))) for v in variables]
        for start in starts
    ]
    powers = [tf.Variable(beta) for beta in betas]

    def update(gradients: list[Gradient], rate: tf.Tensor, factor: tf.Tensor) -> None:
        step = Step(rate, factor, [power.read_value() for power in powers])
        for variable, gradient, *own in zip(variables, gradients, *slots, strict=True):
            apply(step, variable, gradient, *own)
        for power, value, beta in zip(powers, step.powers, betas, strict=True):
            power.assign(value * beta)

    return update, [*(slot for column in slots for slot in column), *powers]


def _descend(step: Step, variable: tf.Variable, gradient: Gradient) -> None:
    if isinstance(gradient, tf.IndexedSlices):
        tf.raw_ops.ResourceScatterSub(
            resource=variable.handle,
            indices=gradient.indices,
            updates=step.rate * step.factor * gradient.values,
        )
    else:
        tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.handle, alpha=step.rate * step.factor, delta=gradient
        )


def _sgd(
    settings: Sgd, step: Step, variable: tf.Variable, gradient: Gradient, velocity: tf.Variable
) -> None:
    gradient = step.clipped(gradient)
    if decays(variable):
        gradient += settings.weight_decay * variable
    tf.raw_ops.ResourceApplyMomentum(
        var=variable.handle,
        accum=velocity.handle,
        lr=step.rate,
        grad=gradient,
        momentum=settings.momentum,
        use_nesterov=settings.nesterov,
    )


def _rmsprop(
    settings: RmsProp,
    step: Step,
    variable: tf.Variable,
    gradient: Gradient,
    square: tf.Variable,
    momentum: tf.Variable,
) -> None:
    tf.raw_ops.ResourceApplyRMSProp(
        var=variable.handle,
        ms=square.handle,
        mom=momentum.handle,
        lr=step.rate,
        rho=settings.rho,
        momentum=settings.momentum,
        epsilon=settings.epsilon,
        grad=step.clipped(gradient),
    )


def _adam(
    settings: Adam,
    step: Step,
    variable: tf.Variable,
    gradient: Gradient,
    mean: tf.Variable,
    square: tf.Variable,
) -> None:
    if settings.weight_decay and decays(variable):
        variable.assign_sub(step.rate * settings.weight_decay * variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=mean.handle,
        v=square.handle,
        beta1_power=step.powers[0],
        beta2_power=step.powers[1],
        lr=step.rate,
        beta1=settings.beta_1,
        beta2=settings.beta_2,
        epsilon=settings.epsilon,
        grad=step.clipped(gradient),
    )


def decays(variable: tf.Variable) -> bool:
    """Whether decay of weights is for it: for matrices, kernels and embeddings, not for biases."""
    return variable.shape.rank > 1


def total(parts: Sequence[Gradient]) -> Gradient:
    """The sum of a variable's gradients; of rows of an embedding, only the rows that were used."""
    if not isinstance(parts[0], tf.IndexedSlices):
        return tf.add_n(parts)
    rows, places = tf.unique(tf.concat([part.indices for part in parts], 0))
    values = tf.concat([part.values for part in parts], 0)
    summed = tf.math.unsorted_segment_sum(values, places, tf.size(rows))
    return tf.IndexedSlices(summed, rows, parts[0].dense_shape)


def clipping(gradients: list[Gradient], norm: float) -> tf.Tensor:
    """The factor that makes the joint norm of all gradients at most `norm`."""
    return norm / tf.maximum(tf.linalg.global_norm(gradients), norm)
