"""Optimizers over TensorFlow's fused update kernels, one pass over each variable."""

from collections.abc import Callable

import tensorflow as tf

from modelmill.training.settings import Adam, Optimizer, RmsProp, Sgd

Update = Callable[[list[tf.Tensor], tf.Tensor], None]


def build(settings: Optimizer, variables: list[tf.Variable]) -> tuple[Update, list[tf.Variable]]:
    """Returns ``update(gradients, rate)`` for `variables`, and the optimizer's own state."""

    def slots(value: float) -> list[tf.Variable]:
        return [tf.Variable(tf.fill(v.shape, tf.cast(value, v.dtype))) for v in variables]

    match settings:
        case Sgd():

            def sgd(gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
                for variable, gradient in zip(variables, gradients, strict=True):
                    tf.raw_ops.ResourceApplyGradientDescent(
                        var=variable.handle, alpha=rate, delta=gradient
                    )

            return sgd, []

        case RmsProp():
            squares, momenta = slots(settings.initial_accumulator), slots(0.0)

            def rmsprop(gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
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
                        grad=gradient,
                    )

            return rmsprop, squares + momenta

        case Adam():
            means, squares = slots(0.0), slots(0.0)
            powers = [tf.Variable(settings.beta_1), tf.Variable(settings.beta_2)]

            def adam(gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
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
                        grad=gradient,
                    )
                powers[0].assign(power_1 * settings.beta_1)
                powers[1].assign(power_2 * settings.beta_2)

            return adam, means + squares + powers


def clip(gradients: list[tf.Tensor], norm: float | None) -> list[tf.Tensor]:
    """Scales all gradients by one factor so that their joint norm is at most `norm`."""
    return gradients if norm is None else tf.clip_by_global_norm(gradients, norm)[0]
