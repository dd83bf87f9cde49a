"""Restricted Boltzmann machines of ratings (Salakhutdinov, Mnih and Hinton 2007), one or two.

One has the users' ratings of an item as a row, the other the items' ratings by a user.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from modelmill.errors import ModelmillError
from modelmill.layers.initial import Initializer, initializer
from modelmill.models import Spec, keras_input
from modelmill.schema import PositiveInt, Section

if TYPE_CHECKING:
    import keras

INPUTS = ("user", "item")
MACHINE = "Boltzmann machines of ratings"
UNITS = {"item": "user", "user": "item"}  # what the visible units are, by what the rows are


class Net(Section):
    """A machine whose rows are films or users, or one of each.

    Attributes:
        hidden_units: of each machine.
        initializer: initial values of the weights; hidden biases start at 0.
        item_share: how much of the prediction is that of the machine whose rows are items; it is
            for two machines.
    """

    hidden_units: PositiveInt
    initializer: Initializer
    item_share: Annotated[float, Field(ge=0, le=1)] | None = None


def check(net: Net, spec: Spec) -> None:
    """Refuses a share of nothing."""
    rows = [row for row in UNITS if f"{row}_stars" in spec.inputs]
    if (net.item_share is not None) != (len(rows) > 1):
        needs = (
            "needs net.item_share for" if len(rows) > 1 else "has no use for net.item_share with"
        )
        raise ModelmillError(f"{needs} {len(rows)} kind{'s' * (len(rows) > 1)} of rows")


def build(net: Net, spec: Spec) -> "keras.Model":
    """A user, an item, and known stars [batch, ...] -> the rating [batch, 1].

    The inputs `item_stars` and `user_stars` are what is known of the item and of the user. Those
    that no machine looks at are not among the model's.
    """
    import keras

    from modelmill.layers.softmax_rbm import SoftmaxRbm

    inputs, means = [], []
    for row, unit in UNITS.items():
        if known := spec.inputs.get(name := f"{row}_stars"):
            assert known.ids
            start = initializer(net.initializer)
            rbm = SoftmaxRbm(known.ids - 1, net.hidden_units, start, name=f"{row}_rbm")
            inputs.append([keras_input(spec, name), keras_input(spec, unit)])
            means.append(rbm(inputs[-1]))
    if net.item_share is None:
        return keras.Model(*inputs, *means)
    of_items, of_users = means
    blend = net.item_share * of_items + (1 - net.item_share) * of_users
    return keras.Model([*inputs[0], *inputs[1]], blend)
