"""What is inside a trained model, for any architecture made of Keras' layers."""

import math

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.logits import Logits
from modelmill.layers.recurrent import STEPS, Cell, Recurrent, Tensors, zero_state
from modelmill.models import call


def is_linear(model: keras.Model) -> bool:
    """Whether the first layer with weights is the only one."""
    return sum(bool(layer.weights) for layer in model.layers) == 1


def first_filters(model: keras.Model) -> np.ndarray | None:
    """The weights of the first layer as images [units, rows, columns].

    None where that layer does not look at the pixels of an image: it is neither dense, for all of
    them, nor a convolution.
    """
    layer = next(layer for layer in model.layers if layer.weights)
    pixels = model.input_shape[1:]
    if isinstance(layer, Logits) and layer.rows.shape[1] == math.prod(pixels):
        return layer.rows.numpy().reshape(-1, *pixels)
    if isinstance(layer, keras.layers.Dense) and layer.kernel.shape[0] == math.prod(pixels):
        return layer.kernel.numpy().T.reshape(-1, *pixels)
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
        for number, maps in enumerate(keras.tree.flatten(outputs), start=1)  # of one it is no list
    ]


def reading(model: keras.Model, images: np.ndarray) -> np.ndarray | None:
    """Logits after each row of images in [0, 1]: [n, rows, classes].

    None where the model is not one recurrent layer that reads row by row.
    """
    layers = [layer for layer in model.layers if isinstance(layer, Recurrent)]
    if len(layers) != 1 or layers[0].input is not model.inputs[0]:
        return None
    (recurrent,) = layers
    outputs, *_ = recurrent(tf.constant(images))
    logits = model.layers[-1](tf.reshape(outputs, [-1, recurrent.units]))
    return logits.numpy().reshape(*outputs.shape[:2], -1)


def while_reading(model: keras.Model, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """What the last recurrent layer of a language model does at each token, read from zeros on.

    It is the layer's own step that is watched.

    Args:
        tokens: ids [n], at most as many as the model's windows have.

    Returns:
        Its gates, if it has some, then its state, by name, each [n, units]; empty where the model
        has no such layer.
    """
    cells = [layer.cell for layer in model.layers if isinstance(layer, Recurrent)]
    if not cells:
        return {}
    window = np.zeros((1, model.input_shape[0][1]), np.int32)
    window[0, : len(tokens)] = tokens
    forward, backward = STEPS[cells[-1]]
    seen: list[dict[str, tf.Tensor]] = []

    def watched(*given: tf.Tensor) -> tuple[Tensors, Tensors]:
        state, needed = forward(*given)
        seen.append(_named(cells[-1], state, needed))
        return state, needed

    STEPS[cells[-1]] = watched, backward
    try:
        call(model, {"tokens": tf.constant(window), **zero_state(model, 1)}, training=False)
    finally:
        STEPS[cells[-1]] = forward, backward
    steps = seen[-window.size :][: len(tokens)]  # after those of the layers below
    return {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}


def _named(cell: Cell, state: Tensors, needed: Tensors) -> dict[str, tf.Tensor]:
    """What a step of `STEPS` gives, by name."""
    if cell == "lstm":
        of_input, of_forget, candidate, of_output, *_ = needed
        return {
            "input gate": of_input,
            "forget gate": of_forget,
            "candidate": candidate,
            "output gate": of_output,
            "cell state": state[1],
        }
    if cell == "gru":
        update, reset, _, candidate, _ = needed
        return {
            "update gate": update,
            "reset gate": reset,
            "candidate": candidate,
            "hidden state": state[0],
        }
    return {"hidden state": state[0]}


def halves(model: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """What makes codes of examples, and what makes examples of codes, as the way back mirrors.

    None where one layer is all there is.
    """
    layers = [layer for layer in model.layers if layer.weights]
    if len(layers) < 2:
        return None
    code = layers[len(layers) // 2 - 1].output
    return keras.Model(model.inputs, code), keras.Model(code, model.output)
