"""modelmill: what `pipelines.train` runs, progress included."""

from pathlib import Path
from typing import Any

from protocol import Train, serve, told

from modelmill import artifacts, params, runtime
from modelmill.datasets import processed
from modelmill.params import Model


def prepare(workload: dict[str, Any]) -> Train:
    from modelmill.training import batches
    from modelmill.training.loop import Trainer
    from modelmill.training.progress import Progress

    entry = Model.model_validate(workload["model"])
    data = processed.load(Path(workload["data"]))
    task = params.part("tasks", entry.task, "task")
    settings = {"model": workload["name"], **entry.model_dump(include={"arch", "net"})}
    model = artifacts.build(settings, task.spec(data.meta, entry.fit))
    scale = data.meta.get("scale", 1.0)
    training = batches.training(data.split("train"), task.TARGETS, scale, entry.fit, 0)
    trainer = Trainer(model, task, entry.fit, training)
    progress = Progress(
        workload["name"],
        trainer.steps,
        training.steps,
        trainer.predictions_per_step,
        workload["unit"],
    )
    laps = trainer.run(progress.call)
    done = 0

    def train(steps: int) -> int:
        nonlocal done
        before = done
        while done < before + steps:
            row = next(laps)
            progress.lap(row)
            done = int(row["step"])
        return done - before

    return train


if __name__ == "__main__":
    runtime.start(0, told()["model"]["fit"]["shards"])
    serve(prepare)
