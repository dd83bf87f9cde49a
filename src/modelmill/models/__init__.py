"""One module per architecture.

Each has `Net`, the typed keys of `net` in its conf file, and ``build(net, spec)``, which returns
a keras.Model for inputs of shape `spec.inputs` and `spec.outputs` outputs (logits for classes
and tokens). TensorFlow is imported inside `build`, so that a typo in `net` is answered without
waiting for it. A recurrent model takes its state as further inputs and returns it as further
outputs; training and evaluation carry it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """What a data set and a task ask of a model: shapes of one input and one output."""

    inputs: tuple[int, ...]
    outputs: int
