"""A training about to begin, or half way: what stage train and each replicate start from."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelmill import runtime
from modelmill.datasets.processed import Processed
from modelmill.models import Spec
from modelmill.params import Params
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

if TYPE_CHECKING:
    from modelmill.training.checkpoints import Checkpoints
    from modelmill.training.session import Training

CHECKPOINTS = "data/checkpoints"  # of all trainings, below the repository's root


def begin(
    params: Params, name: str, spec: Spec, data: Processed, kept: Path, cores: int | None = None
) -> "tuple[Training, Card, Checkpoints]":
    """Starts TensorFlow; the training of model `name` goes on from its newest checkpoint.

    Args:
        spec: what the data ask of the model.
        kept: the folder of all trainings' checkpoints.
        cores: how many to use; None is all that this process may use. The results are the same.

    Returns:
        The training, what it is made from, and its checkpoints, which are to observe it.
    """
    entry = params.models[name]
    runtime.start(params.seed, entry.fit.shards, cores)
    from modelmill.training.checkpoints import Checkpoints
    from modelmill.training.session import Training

    training = Training(name, entry, spec, data, params.seed)
    card = artifacts.card(params.training(name), spec, data.digest, training.model)
    checkpoints = Checkpoints(kept / name / card.continued)
    training.resume(checkpoints.newest())
    return training, card, checkpoints
