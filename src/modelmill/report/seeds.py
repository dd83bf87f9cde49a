"""Figures over seeds: docs/results/seeds.json, which `modelmill replicate` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from modelmill.files import data_sha256, read_json, undamaged
from modelmill.params import Params
from modelmill.schema import Open, validate

if TYPE_CHECKING:
    import pandas as pd

PATH = Path("docs/results/seeds.json")


class Seeds(Open):
    """What is known of a model over seeds, as far as the table and the page need it.

    Attributes:
        settings: digest of all that the seeds have in common.
        values: the figure of each seed.
        interval: Student's 95 % for the mean.
        bands: by column of the history its lowest and highest value over the epochs.
    """

    settings: str
    values: dict[str, float]
    mean: float
    interval: Annotated[list[float], Field(min_length=2, max_length=2)]
    bands: dict[str, dict[str, list[float]]]

    def are_of(self, params: Params, name: str, data: str, value: float) -> bool:
        """Whether a model's own figure is one of these, and so is its training.

        Args:
            data: digest of the prepared data.
        """
        own = self.values.get(str(params.seed))
        return own == value and self.settings == settings(params, name, data)


class _File(Open):
    models: dict[str, Seeds]


def read(root: Path) -> dict[str, Seeds]:
    """By model what a repository knows of seeds; nothing where there is no file.

    Raises:
        ModelmillError: the file is damaged.
    """
    path = root / PATH
    if not path.exists():
        return {}
    with undamaged(path, f"git checkout {PATH}"):
        return validate(_File, read_json(path), "", str(path)).models


def settings(params: Params, name: str, data: str) -> str:
    """Digest of what the figure of a model depends on, besides the seed and the code."""
    training = {**params.training(name), "seed": None}
    return data_sha256([training, params.models[name].eval.model_dump(), data])[:32]


def band(histories: Sequence["pd.DataFrame"], column: str) -> "pd.DataFrame":
    """The lowest and highest value of a column at each epoch that all of the histories have."""
    import pandas as pd

    laps = pd.concat([history[column] for history in histories], axis=1, join="inner")
    epoch = histories[0].epoch.loc[laps.index]
    return pd.DataFrame({"epoch": epoch, "low": laps.min(axis=1), "high": laps.max(axis=1)})
