"""What people add: tasks that learn in their own way, without a touch of the training loop."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from clone import ROOT

NAMES = ("mnist_perceptron", "mnist_halves", "mnist_centred")


@pytest.mark.long
def test_a_task_may_learn_by_a_rule_take_two_inputs_or_carry_a_state(seed, tmp_path):
    """The perceptron rule, a model of two inputs, and a state that lasts for the training."""
    clone = seed.copied(tmp_path)
    shutil.copytree(ROOT / "tests/additions", clone.path, dirs_exist_ok=True)
    clone.keep("model", NAMES)
    clone.run("modelmill", "compose", "profile=smoke")
    ran = clone.repro("evaluate")
    assert ran == {f"{stage}@{name}" for stage in ("train", "evaluate") for name in NAMES}
    for name in NAMES:
        history = pd.read_csv(clone.path / f"data/models/{name}/history.csv")
        assert history.step.tolist() == [*range(10, 101, 10)]
        assert np.isfinite(history).all(axis=None)
        metrics = json.loads((clone.path / f"data/metrics/{name}.json").read_text())
        assert metrics["accuracy"] > 0.5  # of ten classes
    assert not clone.stale("evaluate")
