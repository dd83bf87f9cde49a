"""One trial, in a worker of Ray: the training that `modelmill train` does, told lap by lap."""

import math
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from modelmill import runtime
from modelmill.datasets.processed import Facts, Processed
from modelmill.errors import ModelmillError
from modelmill.params import parse
from modelmill.sweeps.settings import Sweep, Values, with_values

SPLITS = ("train", "validation")
RUNNING, FINISHED, FAILED = "running", "finished", "failed"
STATUS, REASON, LAP, ROW = "status", "reason", "lap", "row"  # of a report, beside the metric


def visible(data: Processed) -> Processed:
    """The part of the data that a trial may see, in memory: train and validation."""
    splits = [data.split(name) for name in SPLITS]
    ends = np.cumsum([0, *(len(next(iter(split.values()))) for split in splits)]).tolist()
    bounds = dict(zip(SPLITS, pairwise(ends), strict=True))
    arrays = {key: np.concatenate([split[key] for split in splits]) for key in data.arrays}
    return Processed(Path(), Facts({**data.meta, "splits": bounds}, data.folder), arrays)


def worst(sweep: Sweep) -> float:
    """What a failed trial is worth."""
    return math.inf if sweep.mode == "min" else -math.inf


def train(values: Values, sweep: Sweep, base: Mapping[str, Any], data: Processed) -> None:
    """Trains the model of `base` with `values` set, and reports each lap to Ray Tune.

    A loss that is not a number and a lack of memory are results, too: what they say of the values
    would be no other if the trial were tried again.
    """
    params = parse(with_values(base, values))
    name, entry = sweep.model, params.models[sweep.model]
    _start_tensorflow(parse(base).models[name].fit.shards, sweep.resources.cpus)
    import keras
    import tensorflow as tf
    from ray import tune

    from modelmill.training.observer import Observed, Observer, Row
    from modelmill.training.session import Training

    keras.backend.clear_session()
    last: dict[str, Any] = {LAP: 0}

    class Report(Observer):
        def lap(self, training: Observed, row: Row) -> None:
            nonlocal last
            if not training.last:  # the whole has not begun to learn
                return
            last = {
                sweep.metric: row[sweep.metric],
                LAP: last[LAP] + 1,
                ROW: dict(row),
                STATUS: FINISHED if training.step == training.steps else RUNNING,
            }
            tune.report(last)

    try:
        Training(name, entry, entry.spec(name, data.meta), data, params.seed).run(Report())
        if last[STATUS] != FINISHED:  # `fit.stop` ended it
            tune.report({**last, STATUS: FINISHED})
    except (ModelmillError, MemoryError, tf.errors.ResourceExhaustedError) as error:
        reason = " ".join(str(error).split()) or "out of memory"
        if isinstance(error, tf.errors.ResourceExhaustedError):
            reason = f"out of memory: {reason}"
        tune.report({sweep.metric: worst(sweep), STATUS: FAILED, REASON: reason[:500]})


@cache
def _start_tensorflow(shards: int, cores: int) -> None:
    """Once for all trials of a worker; each sets its own seed."""
    runtime.start(0, shards, cores)
