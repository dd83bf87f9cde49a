"""Stage evaluate: one trained model's metrics and figures, over the whole split."""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.files import require_writable, write_json
from modelmill.params import load, require_unchanged
from modelmill.reference import number
from modelmill.schema import choose


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("model", help="a key of `models` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().model
    params = load()
    entry = choose(params.models, name, "models")
    data = Path("data")
    require_writable(*(data / kind for kind in ("evaluations", "curves", "figures", "metrics")))

    from modelmill import runtime
    from modelmill.evaluation import Job, evaluate
    from modelmill.tracking.experiments import Experiment
    from modelmill.tracking.recorder import Recorder

    job = Job.of(name)
    if job.card.settings != params.training(name):
        raise ModelmillError(
            f"data/models/{name} was trained with other settings than those of params.yaml: run "
            f"`dvc repro train@{name}`"
        )
    with Recorder(Experiment.of(params, entry.dataset)) as recorder:
        runtime.start(params.seed)
        metrics = evaluate(job, entry.eval)
        require_unchanged(params, lambda given: given.models[name].eval, f"{name} was evaluated")
        metric, figure = entry.reference.metric, entry.reference.of(metrics, name)
        write_json(data / "metrics" / f"{name}.json", metrics)
        print(f"{name}: {entry.eval.split} {metric.replace('_', ' ')} {number(figure)}")
        recorder.complete(name, params.profile, entry.about, entry.reference, params.log_models)
