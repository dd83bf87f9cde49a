"""modelmill: what `pipelines.train` runs, progress and checkpoints included."""

from pathlib import Path
from typing import Any

from protocol import Train, serve, told

from modelmill import runtime
from modelmill.datasets import processed
from modelmill.params import Model
from modelmill.parts import part
from modelmill.trained import artifacts


def prepare(workload: dict[str, Any]) -> Train:
    from modelmill.training import batches
    from modelmill.training.checkpoints import Checkpoint, Checkpoints
    from modelmill.training.loop import Trainer
    from modelmill.training.progress import Progress

    entry = Model.model_validate(workload["model"])
    data = processed.load(Path(workload["data"]))
    task = part("tasks", entry.task, "task")
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
    checkpoints = Checkpoints(Path("data/checkpoints/benchmark", workload["name"]))
    checkpoints.remove()
    done = 0

    def state() -> Checkpoint:
        return Checkpoint(trainer.checkpoint(), {})

    def on_call(step: int, metrics: dict[str, float]) -> None:
        progress.call(step, metrics)
        checkpoints.offer(step, False, state)

    laps = trainer.run(on_call)

    def train(steps: int) -> int:
        nonlocal done
        before = done
        while done < before + steps:
            row = next(laps)
            progress.lap(row)
            done = int(row["step"])
            checkpoints.offer(done, True, state)
        return done - before

    return train


if __name__ == "__main__":
    runtime.start(0, told()["model"]["fit"]["shards"])
    serve(prepare)
