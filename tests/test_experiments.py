"""DVC's experiments and its queue, in a clone: every one becomes a comparable run in MLflow."""

import re
import time

import pytest
from conftest import until

RATE, TARGET = "models.mnist_softmax.fit.learning_rate", "evaluate@mnist_softmax"
SMOKE = ["-S", "profile=smoke"]


@pytest.mark.long
def test_experiments_run_from_the_command_line_and_the_queue_into_one_database(seed, tmp_path):
    clone = seed.copied(tmp_path)
    clone.run("dvc", "exp", "run", "--name", "tried", *SMOKE, "-S", f"{RATE}=0.3", TARGET)
    tried = clone.trained("mnist_softmax")
    clone.git("checkout", "-q", ".")
    clone.run("dvc", "checkout", "--force", "--quiet")
    assert clone.trained("mnist_softmax") == seed.trained("mnist_softmax") != tried

    clone.run("dvc", "exp", "run", "--queue", *SMOKE, "-S", f"{RATE}=choice(0.1,0.2)", TARGET)
    edited = clone.path / "src/modelmill/models/linear.py"
    edited.write_text("what is queued goes by the code that was there")
    clone.run("dvc", "queue", "start")

    def ended():
        time.sleep(2)  # to ask takes a core from what is waited for
        queued = clone.run("dvc", "queue", "status")
        assert "Failed" not in queued
        return "Queued" not in queued and "Running" not in queued

    until(ended)
    runs = [run for run in clone.runs() if run["tags"].get("dvc_experiment")]
    assert {run["params"]["fit.learning_rate"] for run in runs} == {"0.1", "0.2", "0.3"}
    assert all("test_accuracy" in run["metrics"] for run in runs)
    names = {run["params"]["fit.learning_rate"]: run["tags"]["dvc_experiment"] for run in runs}
    assert len(set(names.values())) == len(runs) == 3
    assert names["0.3"] == "tried"

    differing = ["--only-changed", "--drop", "^conf$|.*/[^:]*$"]
    table = clone.run("dvc", "exp", "show", *differing, "--csv")
    assert all(name in table for name in names.values())
    columns = table.splitlines()[0].split(",")
    assert columns[-1] == RATE
    assert [name.rpartition(":")[2] for name in columns[-3:-1]] == ["accuracy", "loss"]
    assert len(columns) < 10
    difference = clone.run("dvc", "exp", "diff", names["0.1"], names["0.2"])
    assert RATE in difference
    assert re.search(r"mnist_softmax.json +accuracy", difference)

    clone.git("checkout", "-q", str(edited))
    clone.run("dvc", "exp", "apply", "tried")
    assert clone.trained("mnist_softmax") == tried
    assert re.search(rf"{RATE} +0.5 +0.3", clone.run("dvc", "params", "diff"))
