"""Stage evaluate: one trained model's metrics and figures, over the whole split."""

import argparse
from dataclasses import replace
from pathlib import Path

from modelmill.files import replacing_folder, require_writable, write_json, write_text
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
    data = Path("data")
    require_writable(*(data / kind for kind in ("evaluations", "curves", "figures", "metrics")))

    from modelmill import runtime
    from modelmill.evaluation import Job
    from modelmill.figures import curves
    from modelmill.tracking.recorder import Recorder
    from modelmill.trained import artifacts

    job = Job.of(name)
    with Recorder() as recorder:
        runtime.start(params.seed)
        with (  # the last first: what evaluation.json vouches for is there when it comes
            replacing_folder(data / "evaluations" / name) as texts,
            replacing_folder(data / "curves" / name) as tables,
            replacing_folder(data / "figures" / name) as pictures,
        ):
            job = replace(job, figures=pictures, texts=texts)
            metrics = evaluation.evaluate(job, entry.eval)
            job.require_whole(entry.eval.split, metrics)
            metrics["parameters"] = job.card.parameters
            history = artifacts.read_history(job.folder)
            curves.learning_curves(history, name, pictures / "curves.png")
            for metric, table in curves.tables(history).items():
                write_text(tables / f"{metric}.csv", table)
            artifacts.save_evaluation(texts, job.card, entry.eval.model_dump(), metrics)
        write_json(data / "metrics" / f"{name}.json", metrics)
        recorder.complete(name, params.profile, entry.about, entry.reference, params.log_models)
