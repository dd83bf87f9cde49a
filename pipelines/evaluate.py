"""Stage evaluate: one trained model's metrics and figures, over the whole split."""

import argparse
from pathlib import Path

from modelmill import params
from modelmill.files import replacing_folder, write_json
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate", description=__doc__)
    parser.add_argument("model", help="a key of `models` in params.yaml")
    name = parser.parse_args().model
    everything = params.load()
    entry = params.choose(everything.models, name, "models")

    from modelmill import artifacts, evaluation, figures, runtime, tracking
    from modelmill.datasets import processed

    folder = Path("data/models", name)
    card = artifacts.read_card(folder)
    data = processed.load(Path("data/processed", entry.dataset))
    with tracking.Recorder() as recorder:
        runtime.start(everything.seed)
        with replacing_folder(Path("data/figures", name)) as pictures:
            job = evaluation.Job(folder, card, data, pictures)
            task = params.part("evaluation", entry.task, f"models.{name}.task")
            metrics = task.evaluate(job, entry.eval) | {"parameters": card.parameters}
            figures.learning_curves(artifacts.read_history(folder), name, pictures / "curves.png")
            artifacts.save_evaluation(pictures, card, metrics)
        write_json(Path("data/metrics", f"{name}.json"), metrics)
        recorder.complete(name, everything.profile, entry.about)


if __name__ == "__main__":
    run(main)
