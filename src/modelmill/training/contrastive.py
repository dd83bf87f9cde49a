"""How a layer learns of those below it, as a restricted Boltzmann machine: by one step of CD.

A task like those of `modelmill.tasks`, for the phases of pre-training. What the layers below answer
lies between 0 and 1 and counts as probabilities (Hinton, Osindero and Teh 2006). So does the dream:
only hidden units are drawn (Hinton 2010, section 3).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.rbm import Rbm, contrast, log_odds
from modelmill.models import call
from modelmill.reference import Better
from modelmill.training import supervised
from modelmill.training.task import Learnt, Score, Tensors

if TYPE_CHECKING:
    from modelmill.datasets.processed import Processed
    from modelmill.training.batches import Examples

METRICS: Mapping[str, Better] = {"reconstruction_error": "lower"}
STATE = "pass"
SPREAD = 0.01  # of the initial weights (Hinton 2010, section 8)
AT_ONCE = 500

initial = supervised.stateless


def model(inputs: list[keras.KerasTensor], below: keras.KerasTensor, units: int) -> keras.Model:
    """Inputs -> what a Boltzmann machine of so many hidden units learns of [batch, visible].

    Args:
        below: what is made of the inputs, [batch, visible].
    """
    rbm = Rbm(units, keras.initializers.RandomNormal(stddev=SPREAD))
    return keras.Model(inputs, {"visible": below, "hidden": rbm(below)})


def begin(model: keras.Model, data: "Processed", fit: supervised.Fit) -> None:
    """Makes each visible unit, without weights, as active as on average in the data."""
    x, below = data.split("train")["x"], keras.Model(model.inputs, model.output["visible"])
    parts = [data.scaled(x[i : i + AT_ONCE]) for i in range(0, len(x), AT_ONCE)]
    found = [call(below, {"x": tf.constant(part)}, training=False) for part in parts]
    visible = np.concatenate(found)
    _rbm(model).visible_bias.assign(log_odds(visible))


def batches(data: "Processed", split: str, fit: supervised.Fit, seed: int) -> "Examples":
    return supervised.examples(data, split, fit, seed, ("x",))


def learn(model: keras.Model, batch: Tensors, state: Tensors, fit: supervised.Fit) -> Learnt:
    rbm, v = _rbm(model), _visible(model, batch)
    inputs = rbm.inputs(v)
    h, dreamt = tf.sigmoid(inputs), rbm.visible(rbm.drawn(inputs))
    gradients = contrast((v, h), (dreamt, rbm.hidden(dreamt)))
    return Learnt(_score(rbm, v, h), [fit.scale * part for part in gradients], state)


def measure(
    model: keras.Model, batch: Tensors, state: Tensors, fit: supervised.Fit
) -> tuple[Score, Tensors]:
    rbm, v = _rbm(model), _visible(model, batch)
    return _score(rbm, v, rbm.hidden(v)), state


def metrics(means: list[float]) -> dict[str, float]:
    return dict(zip(METRICS, means, strict=True))


def _score(rbm: Rbm, v: tf.Tensor, h: tf.Tensor) -> Score:
    """Squared distance of v from its probabilities given those of h; it counts the examples."""
    return supervised.squared_error(rbm.visible(h), v)


def _visible(model: keras.Model, batch: Tensors) -> tf.Tensor:
    return call(model, batch, training=False)["visible"]


def _rbm(model: keras.Model) -> Rbm:
    return model.layers[-1]
