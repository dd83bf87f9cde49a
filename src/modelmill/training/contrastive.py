"""What tasks share that learn from what a model dreams."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from modelmill.layers.rbm import Rbm


def contrast(rbm: "Rbm", v: "tf.Tensor", dreamt: "tf.Tensor") -> "list[tf.Tensor]":
    """What is found together in dreams minus what is in the data, added up (Hinton 2002).

    These are the gradients of kernel, visible bias and hidden bias that make v more probable.

    Args:
        v, dreamt: visible units [n, visible].
    """
    import tensorflow as tf

    h, dreamt_h = rbm.hidden(v), rbm.hidden(dreamt)
    together = tf.matmul(dreamt, dreamt_h, transpose_a=True) - tf.matmul(v, h, transpose_a=True)
    return [together, tf.reduce_sum(dreamt - v, axis=0), tf.reduce_sum(dreamt_h - h, axis=0)]
