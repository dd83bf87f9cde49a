"""The pipeline in a repository whose folder has a name that is hard to write down."""

import sys

import pytest
from clone import ODD, Clone


@pytest.mark.fault("a folder whose name has spaces and signs of addresses", "as in any other")
def test_a_folder_may_have_any_name(tmp_path, dvc_cache):
    clone = Clone(tmp_path / ODD, dvc_cache)
    clone.keep("model", ["line_sgd"])
    clone.compose("profile=smoke", "log_models=true")
    printed = clone.run("dvc", "repro", "evaluate@line_sgd")
    assert "warning" not in printed
    (run,) = clone.runs()
    assert (run["status"], run["tags"]["evaluated_on"]) == ("FINISHED", "train")
    assert clone.run(sys.executable, "-m", "pipelines.sync") == "line_sgd: complete already\n"
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    refusal = clone.run(sys.executable, "-m", "pipelines.serve", "line_sgd", code=2)
    assert refusal.startswith("error: MLflow loads no model from a folder with %, ? or # in it: ")
