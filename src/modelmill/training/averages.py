"""Averages of weights over the last steps, which are better than the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


class Averages:
    """Exponential moving averages of variables, where these began left out.

    (Polyak and Juditsky 1992; what is left out: Kingma and Ba 2015, section 3.)

    Args:
        decay: the share of an average that is left after a step; there are none where it is None.

    Attributes:
        kept: what a checkpoint needs.
    """

    def __init__(self, variables: list[tf.Variable], decay: float | None) -> None:
        self.decay = decay or 0.0
        self.pairs = [(variable, tf.Variable(variable)) for variable in variables if decay]
        self.power = tf.Variable(1.0)  # the share that where they began has
        self.kept = [*(average for _, average in self.pairs), self.power] if decay else []

    def update(self) -> None:
        """In the graph, after a step."""
        if self.pairs:
            share = (1 - self.decay) / (1 - self.power.assign(self.power * self.decay))
            for variable, average in self.pairs:
                average.assign_add(share * (variable - average))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Gives the variables their averages for a while."""
        own = [variable.numpy() for variable, _ in self.pairs]
        for variable, average in self.pairs:
            variable.assign(average)
        try:
            yield
        finally:
            for (variable, _), value in zip(self.pairs, own, strict=True):
                variable.assign(value)
