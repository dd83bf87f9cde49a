"""What a result is held against, and how figures are shown."""

from collections.abc import Mapping
from typing import Literal

from modelmill.errors import ModelmillError
from modelmill.schema import Section

Better = Literal["higher", "lower"]


class Reference(Section):
    """What the result is held against.

    Attributes:
        metric: the figure that is compared.
        goal: what it is to reach; null where it is reported only.
        published: somebody's figure, null where there is none.
        source: whose that is, and where; null where there is nothing to name.
    """

    metric: str
    goal: float | None
    published: float | None
    source: str | None

    def of(self, metrics: Mapping[str, float], name: str) -> float:
        """The figure that is compared, among those that the evaluation of a model gave.

        Raises:
            ModelmillError: it is not among them.
        """
        if self.metric not in metrics:
            raise ModelmillError(
                f"models.{name}.reference.metric: its evaluation gives no '{self.metric}', only "
                f"{', '.join(metrics)}"
            )
        return metrics[self.metric]


def shown_goal(better: Better, value: float | None) -> str:
    """A goal as it is shown, empty if there is none."""
    signs = {"higher": "≥", "lower": "≤"}
    return "" if value is None else f"{signs[better]} {number(value)}"


def shown_published(value: float | None, source: str | None) -> str:
    """A published figure as it is shown, with its source; a dash where there is no figure."""
    figure = "–" if value is None else number(value)
    return f"{figure} ({source})" if source else figure


def number(value: float) -> str:
    """A figure as it is shown: to four decimals, to two, or in thousands."""
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """Seconds as it is shown: in minutes from one on."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
