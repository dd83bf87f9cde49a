"""Convolutional network: blocks of convolution, pooling and dropout, a dense layer, logits."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from modelmill.layers.initial import Layers
from modelmill.models import Spec, keras_input, require_rank
from modelmill.schema import PositiveInt, Probability, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("x",)


class Block(Section):
    """A convolution with ReLU (`kernel` x `kernel`), max-pooling (`pool` x `pool`), dropout.

    Attributes:
        filters: pictures that the convolution makes of each.
        kernel: rows, and columns, that the convolution sees at once.
        pool: rows, and columns, of which the largest value is kept.
        dropout: share of the outputs set to zero while training.
    """

    filters: PositiveInt
    kernel: PositiveInt
    pool: PositiveInt
    dropout: Probability = 0.0


class Net(Layers):
    """The blocks, then the dense layer of `hidden_units` with ReLU and `dropout`.

    Images are padded so that a convolution keeps their size, and pooling rounds it up.

    Attributes:
        blocks: one after another, from the image on.
        hidden_units: of the dense layer after the blocks.
        dropout: share of the dense layer's outputs set to zero while training.
    """

    blocks: Annotated[list[Block], Field(min_length=1)]
    hidden_units: PositiveInt
    dropout: Probability = 0.0


def check(net: Net, spec: Spec) -> None:
    require_rank(spec, 2, wanted="grey images [rows, columns]")


def build(net: Net, spec: Spec) -> "keras.Model":
    """Grey images [batch, rows, columns] -> logits."""
    import keras

    from modelmill.layers.dropout import Dropout
    from modelmill.layers.logits import Logits

    inputs = keras_input(spec, "x")
    x = keras.layers.Reshape((*inputs.shape[1:], 1))(inputs)
    for block in net.blocks:
        x = keras.layers.Conv2D(
            block.filters, block.kernel, padding="same", activation="relu", **net.initial()
        )(x)
        x = keras.layers.MaxPooling2D(block.pool, padding="same")(x)
        x = Dropout(block.dropout, rectified=True)(x)
    x = keras.layers.Dense(net.hidden_units, "relu", **net.initial())(keras.layers.Flatten()(x))
    x = Dropout(net.dropout, rectified=True)(x)
    return keras.Model([inputs], Logits(spec.outputs, **net.initial())(x))
