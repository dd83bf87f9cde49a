"""A data set in MLflow: an experiment that says what it is, with a table of its runs made ready."""

import html
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelmill.params import Params
from modelmill.parts import metrics, part
from modelmill.tracking import store
from modelmill.tracking.store import NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "modelmill"  # what the address of the runs calls the table's state
STATE = f"mlflow.sharedViewState.{VIEW}"  # the tag that MLflow's pages find it in


@dataclass(frozen=True)
class Experiment:
    """What MLflow shows of a data set.

    Attributes:
        name: the data set's.
        about: one line for people, in Markdown.
        state: of the table of runs, as MLflow's pages read it: columns and order.
    """

    name: str
    about: str
    state: str

    @classmethod
    def of(cls, params: Params, dataset: str) -> "Experiment":
        """The columns are what its models are held against, the most frequent first."""
        models = [model for model in params.models.values() if model.dataset == dataset]
        held = Counter((model.task, model.reference.metric) for model in models).most_common()
        reader = part("datasets", params.datasets[dataset].reader, "reader")
        best = "best_validation" if "validation" in reader.SPLITS else "best"
        names = []
        for (task, metric), _ in held:
            names.append(f"test_{metric}")
            if metric in part("tasks", task, "task").METRICS:  # known while it learns
                names.append(f"{best}_{metric}")
        widths = {f"metrics.`{name}`": 32 + 8 * len(name) for name in names}  # pixels
        columns = ["duration", *widths, "attributes.`Models`"]
        (task, metric), _ = held[0]
        state = {
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": widths,
            "orderByKey": f"metrics.`test_{metric}`",
            "orderByAsc": metrics(task)[metric] == "lower",
        }
        about = html.escape(params.datasets[dataset].about, quote=False)
        return cls(dataset, about, json.dumps(state))


def describe(client: "MlflowClient", experiment: Experiment) -> str:
    """Makes the experiment if there is none; what a person wrote there stays.

    Returns:
        Its id.
    """
    number = store.experiment(client, experiment.name)
    tags = client.get_experiment(number).tags
    wanted = {NOTE: tags.get(NOTE) or experiment.about, STATE: experiment.state}
    for key in wanted:
        if tags.get(key) != wanted[key]:
            client.set_experiment_tag(number, key, wanted[key])
    return number
