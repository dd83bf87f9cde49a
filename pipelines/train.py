"""Stage train: one model's weights, card and history in data/models/NAME."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from modelmill import repository
from modelmill.files import replacing_folder, require_writable
from modelmill.params import load, require_unchanged
from modelmill.schema import choose


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("model", help="a key of `models` in params.yaml")
    return known


def main() -> None:
    name = parser().parse_args().model
    params = load()
    entry = choose(params.models, name, "models")

    from modelmill.trained.training import CHECKPOINTS, begin

    models, checkpoints_of_all = Path("data/models"), repository.root() / CHECKPOINTS
    require_writable(models, checkpoints_of_all)

    from modelmill.datasets import prepared, processed
    from modelmill.tracking.experiments import Experiment
    from modelmill.tracking.recorder import Recorder
    from modelmill.trained import artifacts

    if "DVC_STAGE" in os.environ:  # DVC has seen to the data, and may be writing dvc.lock now
        data = processed.load(Path("data/processed", entry.dataset))
    else:
        data = prepared.load(entry.dataset, params.datasets[entry.dataset])
    spec = entry.spec(name, data.meta)
    with Recorder(Experiment.of(params, entry.dataset)) as recorder:
        training, card, checkpoints = begin(params, name, spec, data, checkpoints_of_all)
        from modelmill.training.progress import Progress

        recorder.start(card, data.meta, params.profile, entry.about)
        with Progress() as progress, checkpoints:
            training.run(progress, recorder, checkpoints)
        require_unchanged(params, lambda given: given.training(name), f"{name} was trained")
        artifacts.require_same_code(card)
        with replacing_folder(models / name) as folder:
            card = replace(card, kept=training.kept)
            artifacts.save(folder, training.model, card, training.history, training.snapshots)
        recorder.end(training.seconds)
    checkpoints.remove()
