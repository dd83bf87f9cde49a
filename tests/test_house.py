"""What holds the house up: which file depends on which, in dvc.yaml and among the modules."""

import pytest
from conftest import ROOT

from modelmill import params
from modelmill.trained import artifacts

STAGES = params.read_yaml(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def everything():
    return params.load(ROOT / "params.yaml")


def test_a_training_is_known_by_the_code_that_dvc_runs_it_again_for(everything):
    """All but pipelines/train.py, which calls the training and has no part in its numbers."""
    for name, model in everything.models.items():
        deps = [
            ROOT / dep.replace("${item.arch}", model.arch).replace("${item.task}", model.task)
            for dep in STAGES["train"]["do"]["deps"]
            if dep.startswith("src/")
        ]
        files = [file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep])]
        assert sorted(artifacts.code(everything.training(name))) == sorted(files)
