"""How much faster a sweep is than its trials one after another by `modelmill train`.

In a throw-away clone, with the sweep of the MLP as conf/sweep has it. A trial of `modelmill train`
has all cores, one of the sweep a core. The values of the sweep's trials are those trained again.
"""

import argparse
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from modelmill.files import write_text
from modelmill.plain_yaml import yaml_data
from modelmill.report.table import machine
from modelmill.sweeps import settings, study, table
from pipelines import run
from pipelines.compose import compose

NAME = "mnist_mlp_rate"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description=__doc__)
    parser.parse_args()
    sweep = settings.load(Path("conf/sweep"), NAME)
    base = yaml_data(compose(sweep.overrides))
    with TemporaryDirectory() as temporary:
        clone = Path(temporary, "modelmill")
        subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(clone)], check=True)
        (clone / "data/processed").symlink_to(Path("data/processed").absolute())
        os.environ["PYTHONPATH"] = str(clone / "src")
        together = seconds(clone, "sweep", NAME)
        folder = clone / "data/sweeps" / NAME
        trials = study.judged(study.open_study(study.storage(folder), NAME, sweep))
        alone = 0.0
        for trial in trials:
            wanted = settings.with_values(base, table.values(trial, sweep))
            write_text(clone / "params.yaml", dumped(wanted))
            alone += seconds(clone, "train", sweep.model)
    print(
        f"{len(trials)} trials of {NAME} on {machine()}: {together:.0f} s as a sweep, "
        f"{alone:.0f} s one after another, {alone / together:.2f} times as fast"
    )


def seconds(clone: Path, *arguments: str) -> float:
    """How long a command of the clone takes."""
    began = time.monotonic()
    subprocess.run(["modelmill", *arguments], cwd=clone, check=True)
    return time.monotonic() - began


def dumped(params: object) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(params))


if __name__ == "__main__":
    run(main)
