"""Optimizers over TensorFlow's fused update kernels, one pass over each variable."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from modelmill.training.settings import Adam, Optimizer, RmsProp, Sgd

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices
Update = Callable[[list[Gradient], tf.Tensor, tf.Tensor], None]


def build(settings: Optimizer, variables: list[tf.Variable]) -> tuple[Update, list[tf.Variable]]:
    """Returns ``update(gradients, rate, factor)`` for `variables`, and the optimizer's own state.

    `factor` scales all gradients.
    """

    def slots(value: float) -> list[tf.Variable]:
        return [tf.Variable(tf.fill(v.shape, tf.cast(value, v.dtype))) for v in variables]

    match settings:
        case Sgd():

            def sgd(gradients: list[Gradient], rate: tf.Tensor, factor: tf.Tensor) -> None:
                step = rate * factor
                for variable, gradient in zip(variables, gradients, strict=True):
                    if isinstance(gradient, tf.IndexedSlices):
                        tf.raw_ops.ResourceScatterSub(
                            resource=variable.handle,
                            indices=gradient.indices,
                            updates=step * gradient.values,
                        )
                    else:
                        tf.raw_ops.ResourceApplyGradientDescent(
                            var=variable.handle, alpha=step, delta=gradient
                        )

            return sgd, []

        case RmsProp():
            squares, momenta = slots(settings.initial_accumulator), slots(0.0)

            def rmsprop(gradients: list[Gradient], rate: tf.Tensor, factor: tf.Tensor) -> None:
                for variable, square, momentum, gradient in zip(
                    variables, squares, momenta, gradients, strict=True
                ):
                    tf.raw_ops.ResourceApplyRMSProp(
                        var=variable.handle,
                        ms=square.handle,
                        mom=momentum.handle,
                        lr=rate,
                        rho=settings.rho,
                        momentum=settings.momentum,
                        epsilon=settings.epsilon,
                        grad=factor * tf.convert_to_tensor(gradient),
                    )

            return rmsprop, squares + momenta

        case Adam():
            means, squares = slots(0.0), slots(0.0)
            powers = [tf.Variable(settings.beta_1), tf.Variable(settings.beta_2)]

            def adam(gradients: list[Gradient], rate: tf.Tensor, factor: tf.Tensor) -> None:
                power_1, power_2 = (power.read_value() for power in powers)
                for variable, mean, square, gradient in zip(
                    variables, means, squares, gradients, strict=True
                ):
                    tf.raw_ops.ResourceApplyAdam(
                        var=variable.handle,
                        m=mean.handle,
                        v=square.handle,
                        beta1_power=power_1,
                        beta2_power=power_2,
                        lr=rate,
                        beta1=settings.beta_1,
                        beta2=settings.beta_2,
                        epsilon=settings.epsilon,
                        grad=factor * tf.convert_to_tensor(gradient),
                    )
                powers[0].assign(power_1 * settings.beta_1)
                powers[1].assign(power_2 * settings.beta_2)

            return adam, means + squares + powers


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
