"""DVC's experiments and its queue, in a clone: every one becomes a comparable run in MLflow."""

import re
import sys

import pytest
from clone import Clone

WAIT = """
import subprocess, sys, time
for _ in range(240):
    status = subprocess.run(["dvc", "queue", "status"], capture_output=True, text=True).stdout
    if "Queued" not in status and "Running" not in status:
        break
    time.sleep(0.5)
print(status)
sys.exit("Failed" in status)
"""


@pytest.mark.long
def test_experiments_run_from_the_command_line_and_the_queue_into_one_database(tmp_path):
    clone = Clone(tmp_path)
    target = "evaluate@mnist_softmax"
    clone.repro(target)
    clone.commit()
    rate = "models.mnist_softmax.fit.learning_rate"
    smoke = ["-S", "profile=smoke"]
    clone.run("dvc", "exp", "run", *smoke, "-S", f"{rate}=0.3", target)
    clone.git("checkout", "-q", ".")
    sweep = f"{rate}=choice(0.1,0.2)"
    clone.run("dvc", "exp", "run", "--queue", *smoke, "-S", sweep, target)
    clone.run("dvc", "queue", "start")
    clone.run(sys.executable, "-c", WAIT)
    runs = [run for run in clone.runs() if run["tags"].get("dvc_experiment")]
    assert {run["params"]["fit.learning_rate"] for run in runs} == {"0.1", "0.2", "0.3"}
    assert all("test_accuracy" in run["metrics"] for run in runs)
    names = {run["params"]["fit.learning_rate"]: run["tags"]["dvc_experiment"] for run in runs}
    assert len(set(names.values())) == len(runs) == 3

    table = clone.run("dvc", "exp", "show", "--csv")
    assert all(name in table for name in names.values())
    difference = clone.run("dvc", "exp", "diff", names["0.1"], names["0.2"])
    assert f"{rate}" in difference
    assert re.search(r"mnist_softmax.json +accuracy", difference)
