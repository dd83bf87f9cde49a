"""What is inside a trained model of images, for any architecture made of Keras' layers."""

import math

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.logits import Logits
from modelmill.layers.recurrent import Recurrent


def is_linear(model: keras.Model) -> bool:
    """Whether the first layer with weights is the only one."""
    return sum(bool(layer.weights) for layer in model.layers) == 1


def first_filters(model: keras.Model) -> np.ndarray | None:
    """The weights of the first layer as images [units, rows, columns].

    None where that layer does not look at the pixels of an image: it is neither dense nor a
    convolution.
    """
    layer = next(layer for layer in model.layers if layer.weights)
    if isinstance(layer, Logits):
        return layer.rows.numpy().reshape(-1, *model.input_shape[1:])
    if isinstance(layer, keras.layers.Dense):
        return layer.kernel.numpy().T.reshape(-1, *model.input_shape[1:])
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel.numpy()[:, :, 0].transpose(2, 0, 1)
    return None


def layer_filters(model: keras.Model) -> list[np.ndarray]:
    """What each dense hidden layer looks for in an image: its weights times those below it.

    That leaves out that the units between are not linear (Lee, Ekanadham and Ng 2008), and says of
    deeper layers what to expect [units, rows, columns].
    """
    found, product = [], None
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            kernel = layer.kernel.numpy()
            product = kernel if product is None else product @ kernel
            found.append(product.T.reshape(-1, *model.input_shape[1:]))
    return found


def feature_maps(model: keras.Model, image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Each convolution's name and its outputs [filters, rows, columns] for an image in [0, 1]."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    if not layers:
        return []
    outputs = keras.Model(model.inputs[0], [layer.output for layer in layers])(image[None])
    return [
        (f"convolution {number}: {maps.shape[-1]} filters", maps[0].numpy().transpose(2, 0, 1))
        for number, maps in enumerate(outputs, start=1)
    ]


def reading(model: keras.Model, images: np.ndarray) -> np.ndarray | None:
    """Logits after each row of images in [0, 1]: [n, rows, classes].

    None where the model does not read row by row.
    """
    recurrent = next((layer for layer in model.layers if isinstance(layer, Recurrent)), None)
    if recurrent is None:
        return None
    outputs, *_ = recurrent(tf.constant(images))
    logits = model.layers[-1](tf.reshape(outputs, [-1, recurrent.units]))
    return logits.numpy().reshape(*outputs.shape[:2], -1)


def halves(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """What makes codes of examples, and what makes examples of codes: the narrowest layer's."""
    code = min((layer.output for layer in model.layers), key=lambda of: math.prod(of.shape[1:]))
    return keras.Model(model.inputs, code), keras.Model(code, model.output)
