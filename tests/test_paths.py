"""The pipeline in a repository whose folder has a name that is hard to write down."""

import pytest
from clone import ODD


@pytest.mark.long
@pytest.mark.fault("a folder whose name has spaces and signs of addresses", "as in any other")
def test_a_folder_may_have_any_name(seed, tmp_path):
    clone = seed.copied(tmp_path / ODD)
    clone.edit("conf/model/mnist_softmax.yaml", "smoke: 20 steps", "smoke: 5 steps")
    clone.compose("profile=smoke", "log_models=true")
    printed = clone.run("dvc", "repro", "evaluate@mnist_softmax")
    assert "warning" not in printed
    (run,) = clone.runs()
    assert (run["status"], run["tags"]["evaluated_on"]) == ("FINISHED", "test")
    synced = clone.run("modelmill", "sync", "mnist_softmax")
    assert synced == "mnist_softmax: complete already\n"
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    refusal = clone.run("modelmill", "serve", "mnist_softmax", code=2)
    assert refusal.startswith("error: MLflow loads no model from a folder with %, ? or # in it: ")
