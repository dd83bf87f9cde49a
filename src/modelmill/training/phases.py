"""The phases of a training, which follow one another: one, or before it greedy pre-training.

A net of logistic layers learns layer by layer, from the inputs on: each as a Boltzmann machine of
what the layers below it make of the data (Hinton, Osindero and Teh 2006; Bengio et al. 2007). Then
the output layer learns alone what the task asks, so that what the others know is not spoilt by how
little it knows (Hinton and Salakhutdinov 2006), and at last all of them.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NamedTuple

import keras

from modelmill.errors import ModelmillError
from modelmill.training import contrastive, settings, supervised
from modelmill.training.loop import REMEDY
from modelmill.training.settings import ConstantRate
from modelmill.training.task import Task


class Phase(NamedTuple):
    """A part of a training: `model` learns for `task` as `fit` says.

    Attributes:
        learning: the layers of the model that do; the others are held.
        end: what becomes of what was learnt.
        remedy: what to try if it diverges.
    """

    model: keras.Model
    task: Task | ModuleType
    fit: settings.Fit
    learning: list[keras.layers.Layer]
    end: Callable[[], None] = lambda: None
    remedy: str = REMEDY

    def hold(self) -> None:
        """Lets only those layers learn."""
        for layer in self.model.layers:
            if layer.trainable != (layer in self.learning):
                layer.trainable = not layer.trainable


def phases(
    name: str, model: keras.Model, task: Task | ModuleType, fit: settings.Fit
) -> list[Phase]:
    """Those of the model `name`, which learns for `task` in the last one.

    Raises:
        ModelmillError: `fit` asks for pre-training, and the model is none of logistic layers.
    """
    learning = [layer for layer in model.layers if layer.trainable]
    whole = Phase(model, task, fit, learning)
    if not isinstance(fit, supervised.Fit) or fit.pretrain is None:
        return [whole]
    below = [layer for layer in learning if layer.weights][:-1]
    hidden = [layer for layer in below if isinstance(layer, keras.layers.Dense)]
    for layer in hidden:
        if layer.activation is not keras.activations.sigmoid or not layer.use_bias:
            raise _unsuitable(
                name,
                f"layer '{layer.name}' is not of logistic units with biases, as a Boltzmann "
                "machine has",
            )
    others = [layer for layer in learning if layer not in hidden]
    if not hidden:
        raise _unsuitable(name, "the model has no dense layers below another one for the outputs")
    first = fit.model_copy(
        update={
            "length": fit.pretrain.output_alone,
            "schedule": ConstantRate(name="constant"),
            "stop": None,
        }
    )
    pretraining = [_boltzmann(model, layer, fit, fit.pretrain) for layer in hidden]
    return [*pretraining, Phase(model, task, first, others), whole]


def _boltzmann(
    model: keras.Model,
    layer: keras.layers.Dense,
    fit: supervised.Fit,
    pretrain: supervised.Pretrain,
) -> Phase:
    """A layer learns, and gets its weights from the Boltzmann machine that did it for it."""
    machine = contrastive.model(model.inputs, layer.input, layer.units)
    rbm = machine.layers[-1]
    keys = pretrain.model_dump(exclude={"output_alone"})
    shared = fit.model_dump(include={"batch_size", "shards", "shuffle", "validate_every"})
    own = supervised.Fit(**keys, **shared)
    end, remedy = partial(_hand_over, rbm, layer), "try a smaller fit.pretrain.learning_rate"
    return Phase(machine, contrastive, own, [rbm], end, remedy)


def _hand_over(rbm: keras.layers.Layer, layer: keras.layers.Dense) -> None:
    layer.kernel.assign(rbm.kernel)
    layer.bias.assign(rbm.hidden_bias)


def _unsuitable(name: str, why: str) -> ModelmillError:
    return ModelmillError(f"models.{name}.fit.pretrain: {why}")
