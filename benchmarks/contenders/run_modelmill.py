"""modelmill: what `modelmill train` runs, progress and checkpoints included.

Validation data are left out: no contender measures itself while it learns.
"""

from pathlib import Path
from typing import Any

from protocol import Train, serve, told

from modelmill import runtime
from modelmill.datasets import processed
from modelmill.params import Model


def prepare(workload: dict[str, Any]) -> Train:
    from modelmill.training.checkpoints import Checkpoints
    from modelmill.training.progress import Progress
    from modelmill.training.session import Training

    name, data = workload["name"], processed.load(Path(workload["data"]))
    data.meta["splits"].pop("validation", None)
    entry = Model.model_validate(workload["model"]).typed(name, "the workload")
    training = Training(name, entry, entry.spec(name, data.meta), data, 0)
    checkpoints = Checkpoints(Path("data/checkpoints/benchmark", name))
    checkpoints.remove()
    laps = training.laps(Progress(), checkpoints)

    def train(steps: int) -> int:
        before = training.step
        while training.step < before + steps:
            next(laps)
        return training.step - before

    return train


if __name__ == "__main__":
    runtime.start(0, told()["model"]["fit"]["shards"])
    serve(prepare)
