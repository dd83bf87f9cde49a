"""One module per architecture.

Each has `INPUTS`, the names of what its models take; `Net`, the typed keys of `net` in its conf
file; and ``build(net, spec)``, which returns a keras.Model with the inputs of `spec`, by name, and
`spec.outputs` outputs (logits for classes and tokens). One that not all data suit also has
``check(net, spec)``, which raises ModelmillError for those. TensorFlow is imported inside `build`,
so that what does not suit is answered without waiting for it. A model that carries a state has
inputs and outputs of the same name for it, and returns its outputs as a dict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelmill.errors import ModelmillError
from modelmill.parts import part

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclass(frozen=True)
class Input:
    """One named input of a model: the shape of an example, of numbers or of ids.

    Attributes:
        ids: how many there are, from 0 on; None if the input holds real numbers.
    """

    shape: tuple[int, ...]
    ids: int | None = None


@dataclass(frozen=True)
class Spec:
    """What a data set and a task ask of a model: its inputs by name, and how many outputs."""

    inputs: Mapping[str, Input]
    outputs: int

    @classmethod
    def examples(cls, shape: tuple[int, ...], outputs: int) -> "Spec":
        """For examples of one input, x."""
        return cls({"x": Input(shape)}, outputs)


def build(name: str, arch: str, net: Any, spec: Spec) -> "keras.Model":
    """The untrained model `name` of an architecture.

    Raises:
        ModelmillError: it cannot be built for such data.
    """
    module = part("models", arch, f"models.{name}.arch")
    try:
        return module.build(net, spec)
    except (ValueError, TypeError) as error:
        shapes = ", ".join(f"{key} of shape {given.shape}" for key, given in spec.inputs.items())
        raise ModelmillError(
            f"models.{name}: architecture '{arch}' cannot be built for {shapes}: "
            f"{str(error).splitlines()[0]}"
        ) from error


def keras_input(spec: Spec, name: str) -> "keras.KerasTensor":
    """The input of that name of a model to be built."""
    given = spec.inputs[name]
    return named(name, given.shape, "float32" if given.ids is None else "int32")


def named(name: str, shape: tuple[int, ...], dtype: str = "float32") -> "keras.KerasTensor":
    """An input that a model is given under this name."""
    import keras

    tensor = keras.Input(shape, dtype=dtype)
    tensor.name = name  # not its layer's, which is among the bytes of saved weights
    return tensor


def call(model: "keras.Model", given: "Mapping[str, tf.Tensor]", training: bool) -> Any:
    """What `model` makes of its inputs, which are taken from `given` by their names."""
    return model([given[tensor.name] for tensor in model.inputs], training=training)


def require_rank(spec: Spec, *ranks: int, wanted: str) -> None:
    """Raises ModelmillError unless an example of the input x has one of these numbers of axes."""
    shape = spec.inputs["x"].shape
    if len(shape) not in ranks:
        raise ModelmillError(f"takes {wanted}, not examples of shape {shape}")
