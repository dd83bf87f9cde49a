"""Stage evaluate: one trained model's metrics and figures, over the whole split."""

import argparse
from dataclasses import replace
from pathlib import Path

from modelmill.files import replacing_folder, require_writable, write_json
from modelmill.params import load
from modelmill.parts import part
from modelmill.schema import choose


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("model", help="a key of `models` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().model
    params = load()
    entry = choose(params.models, name, "models")
    evaluation = part("evaluation", entry.task, f"models.{name}.task")
    figures, metrics_of_all = Path("data/figures"), Path("data/metrics")
    require_writable(figures, metrics_of_all)

    from modelmill import runtime
    from modelmill.evaluation import Job
    from modelmill.figures import curves
    from modelmill.tracking.experiments import Experiment
    from modelmill.tracking.recorder import Recorder
    from modelmill.trained import artifacts

    job = Job.of(name)
    with Recorder(Experiment.of(params, entry.dataset)) as recorder:
        runtime.start(params.seed)
        with replacing_folder(figures / name) as pictures:
            metrics = evaluation.evaluate(replace(job, figures=pictures), entry.eval)
            job.require_whole(entry.eval.split, metrics)
            metrics["parameters"] = job.card.parameters
            history = artifacts.read_history(job.folder)
            curves.learning_curves(history, name, pictures / "curves.png")
            artifacts.save_evaluation(pictures, job.card, entry.eval.model_dump(), metrics)
        write_json(metrics_of_all / f"{name}.json", metrics)
        recorder.complete(name, params.profile, entry.about, entry.reference, params.log_models)
