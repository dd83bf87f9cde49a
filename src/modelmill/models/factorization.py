"""Matrix factorization: mean + b_u + b_i + p_u . q_i (Koren, Bell and Volinsky 2009)."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from modelmill.layers.initial import ZERO, Constant, Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("user", "item")


class Net(Section):
    """How a rating is taken apart.

    Attributes:
        factors: numbers for each user and for each item.
        initializer: of the factors; biases start at 0.
        mean: where the mean starts, in stars; it is learnt, too.
        decay: times b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2, added to the loss of each rating.
    """

    factors: PositiveInt
    initializer: Initializer
    mean: float
    decay: Annotated[float, Field(ge=0)] = 0.0


def build(net: Net, spec: Spec) -> "keras.Model":
    """A user and an item [batch] -> the rating [batch, 1]."""
    import keras

    inputs = {name: keras_input(spec, name) for name in INPUTS}

    def rows(name: str, what: str, width: int, start: Initializer) -> Any:
        """Those of a table that a batch uses: they alone decay, by their mean over the batch."""
        decay = keras.regularizers.L2(net.decay)
        return keras.layers.Embedding(
            spec.inputs[name].ids,
            width,
            initializer(start),
            activity_regularizer=decay,
            name=f"{name}_{what}",
        )(inputs[name])

    biases = [rows(name, "bias", 1, ZERO) for name in INPUTS]
    factors = [rows(name, "factors", net.factors, net.initializer) for name in INPUTS]
    start = initializer(Constant(name="constant", value=net.mean))
    mean = keras.layers.Embedding(1, 1, start)(keras.ops.zeros_like(inputs["user"]))
    product = keras.layers.Dot(axes=1)(factors)
    return keras.Model([*inputs.values()], keras.layers.Add()([mean, *biases, product]))
