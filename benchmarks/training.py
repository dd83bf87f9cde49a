"""Training speed beside what people would use instead, all in one run, measured in turn.

Every contender trains the same model of conf/ on the same data with the same batch size, in a
process of its own that waits while another is measured: Keras' `fit`, a loop in the style of
TensorFlow 1, PyTorch with and without `torch.compile`, and JAX, where there are interpreters that
have them; Boltzmann machines, which learn without labels, also scikit-learn and plain NumPy. A
complete run writes docs/results/bench.json and the table in docs/speed.md.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from modelmill.datasets import prepared
from modelmill.datasets.settings import Dataset
from modelmill.errors import ModelmillError
from modelmill.files import write_json, write_text
from modelmill.params import Model
from modelmill.plain_yaml import yaml_data
from modelmill.report.table import insert, machine
from pipelines import run
from pipelines.compose import compose

HERE = Path(__file__).parent
REPORT, PAGE = Path("docs/results/bench.json"), Path("docs/speed.md")
TITLES = {
    "modelmill": "modelmill",
    "keras_fit": "Keras `fit`",
    "tf1": "TensorFlow 1 style",
    "torch": "PyTorch eager",
    "torch_compile": "PyTorch compiled",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "numpy": "NumPy",
}
GEMM_STEPS, GEMM_FLOPS = 5, 2 * 2048**3


class Length(NamedTuple):
    """How many rounds, and about how many seconds each contender trains in each.

    Five seconds are long enough for no more checkpoints than a training writes in that time.
    """

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """A workload: a model of conf/, its batch size, and how many steps make a lap.

    Attributes:
        contenders: who trains it.
        fit: keys of the model's `fit` that are others than in conf/.
    """

    model: str
    batch_size: int
    steps: int
    unit: str = "examples"
    contenders: tuple[str, ...] = (
        "modelmill",
        "keras_fit",
        "tf1",
        "torch",
        "torch_compile",
        "jax",
    )
    fit: Mapping[str, Any] = field(default_factory=dict)


LABELLED = {
    "softmax": Row("mnist_softmax", 128, 430),
    "mlp": Row("mnist_mlp", 128, 430),
    "deep_mlp": Row("mnist_deep_mlp", 128, 215),
    "cnn": Row("mnist_cnn", 128, 40),
    "lstm28": Row("mnist_row_lstm", 128, 215),
    "lstm128": Row("mnist_lstm", 128, 100),
    "ptb": Row("ptb_small", 30, 40, "words"),
    "char_rnn": Row("char_rnn", 60, 180, "characters"),
}
# By contrastive divergence of one step, from the first step to the last.
UNLABELLED = {
    "rbm": Row(
        "mnist_rbm",
        100,
        550,
        contenders=("modelmill", "sklearn", "torch", "torch_compile"),
        fit={"chains": "data", "gibbs_steps": 1, "centred": False, "average": None},
    ),
    "rbm_item": Row(
        "movielens_rbm_item",
        32,
        51,
        "films",
        contenders=("modelmill", "numpy"),
        fit={"grow_every": 1_000_000},
    ),
}
ROWS = LABELLED | UNLABELLED


def flops(arch: str, net: Mapping[str, Any], outputs: int) -> float:
    """Floating-point operations of training on one example or token, in matrix products alone.

    A multiplication and an addition forward are two of each backward, or one where the inputs are
    the data and need no gradient. Contrastive divergence goes up, down and up again, and what it
    finds together in the data and in the dream are two products more.
    """
    if arch in ("rbm", "rating_rbm"):
        visible = outputs if arch == "rating_rbm" else 28 * 28
        return 10 * visible * net["hidden_units"]
    if arch == "recurrent_lm":
        width = {"rnn": 1, "lstm": 4}[net["cell"]] * net["units"]
        inputs = net["embedding"] + (net["layers"] - 1) * net["units"]
        recurrent = (inputs + net["layers"] * net["units"]) * width
        return 6 * (recurrent + net["units"] * outputs)
    if arch == "row_recurrent":
        width = {"rnn": 1, "lstm": 4}[net["cell"]] * net["units"]
        return 28 * width * (4 * 28 + 6 * net["units"]) + 6 * net["units"] * outputs
    total, first = 0, 4
    if arch == "convnet":
        side, channels = 28, 1
        for block in net["blocks"]:
            total += first * side**2 * block["kernel"] ** 2 * channels * block["filters"]
            side, channels, first = -(-side // block["pool"]), block["filters"], 6
        widths = [side**2 * channels, net["hidden_units"], outputs]
    else:
        widths = [28 * 28, *net.get("hidden_units", []), outputs]
    for inputs, units in pairwise(widths):
        total, first = total + first * inputs * units, 6
    return total


def workload(name: str, composed: Mapping[str, Any]) -> dict[str, Any]:
    """What the contenders are told: the model as in params.yaml, its data and their shapes.

    Args:
        composed: the content of params.yaml for the profile full.

    Raises:
        ModelmillError: the data set is not prepared, or not as in that profile.
    """
    row, model = ROWS[name], composed["models"][ROWS[name].model]
    fit = model["fit"] | {
        "batch_size": row.batch_size,
        "length": "1000000 steps",
        "validate_every": f"{row.steps} steps",
        **row.fit,
    }
    typed = Model.model_validate(model | {"fit": fit}).typed(row.model, "conf")
    given = Dataset.model_validate(composed["datasets"][typed.dataset])
    data = prepared.find(typed.dataset, given.typed(typed.dataset, "conf"), Path())
    if not data:
        raise ModelmillError(
            f"data/processed/{typed.dataset} is not what the profile full is trained on: run "
            f"`modelmill compose profile=full` and `dvc repro preprocess@{typed.dataset}`"
        )
    return {
        "name": name,
        "model": typed.model_dump(mode="json"),
        "data": str(data.folder),
        "rows": data.meta["splits"]["train"],
        "outputs": _outputs(data.meta),
        "unit": row.unit,
    }


def _outputs(meta: Mapping[str, Any]) -> int:
    """Classes, tokens, or what all users could give a film: so many stars each."""
    if "users" in meta:
        return meta["users"] * meta["stars"]
    return meta.get("outputs") or meta["vocabulary_size"]


class Contender:
    """A process that trains for as many steps as it is asked to."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[bytes]) -> None:
        self.process, self.errors = process, errors

    def measure(self, steps: int | None = None) -> tuple[int, float]:
        """Steps and seconds of training for about `steps`, or of what goes before any."""
        assert self.process.stdin
        assert self.process.stdout
        if steps:
            print(steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if not answer:
            self.errors.seek(0)
            raise ModelmillError(
                f"{self.process.args[1]} failed:\n{self.errors.read().decode(errors='replace')}"
            )
        return int(answer[0]), float(answer[1])


@contextmanager
def started(python: str, who: str, told: Mapping[str, Any]) -> Iterator[Contender]:
    """A contender, prepared in the background while the block begins."""
    command = [python, str(HERE / "contenders" / f"run_{who}.py"), json.dumps(told)]
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        try:
            yield Contender(process, errors)
        finally:
            process.kill()


def measured(
    name: str, told: Mapping[str, Any], pythons: Mapping[str, str], length: Length, bar: tqdm
) -> dict[str, Any]:
    """A row of the report: medians and ranges of all contenders, and of a matrix product."""
    fit = told["model"]["fit"]
    work = dict.fromkeys(pythons, fit["batch_size"] * fit.get("num_steps", 1))
    work["gemm"] = GEMM_FLOPS / 1e9
    rates: dict[str, list[float]] = {who: [] for who in work}
    steps = {}
    with ExitStack() as stack:
        contenders = {}
        for who in work:
            bar.set_postfix_str(f"{name}: {who} prepares")
            python = pythons.get(who, sys.executable)
            contenders[who] = stack.enter_context(started(python, who, told))
            contenders[who].measure()
            lap = ROWS[name].steps if who in pythons else GEMM_STEPS
            _, lap_seconds = contenders[who].measure(lap)
            steps[who] = lap * math.ceil(length.seconds / lap_seconds)
        for number in range(length.rounds):
            for who, contender in contenders.items():
                bar.set_postfix_str(f"{name}: {who}, round {number + 1}")
                done, seconds = contender.measure(steps[who])
                rates[who].append(done * work[who] / seconds)
                bar.update()
    gemm = statistics.median(rates.pop("gemm"))
    medians = {who: statistics.median(found) for who, found in rates.items()}
    each = flops(told["model"]["arch"], told["model"]["net"], told["outputs"])
    return {
        "unit": f"{told['unit']}/s",
        **medians,
        "gflops": medians["modelmill"] * each / 1e9,
        "gemm_gflops": gemm,
        "ranges": {who: [min(found), max(found)] for who, found in rates.items()},
    }


def ratios(rows: Mapping[str, Mapping[str, Any]], other: str) -> float:
    """The geometric mean, over rows that have `other`, of modelmill's speed over its."""
    logs = [math.log(row["modelmill"] / row[other]) for row in rows.values() if other in row]
    return math.exp(statistics.fmean(logs))


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a Markdown table, and one of what it comes to."""
    present = [who for who in TITLES if any(who in row for row in rows.values())]
    head = [
        "",
        *(TITLES[who] for who in present),
        "over the fastest",
        "GFLOP/s (share of a matrix product's)",
    ]
    lines = [head, ["---"] * len(head)]
    for name, row in rows.items():
        best = max(row[who] for who in present[1:] if who in row)
        lines.append(
            [
                f"{name}, {row['unit']}",
                *(_rate(row, who) for who in present),
                f"{row['modelmill'] / best:.2f} ×",
                f"{row['gflops']:.0f} ({row['gflops'] / row['gemm_gflops']:.0%})",
            ]
        )
    labelled = {name: row for name, row in rows.items() if name in LABELLED}
    compared = [who for who in present[1:] if any(who in row for row in labelled.values())]
    means = [f"{ratios(labelled, who):.2f} × {TITLES[who]}" for who in compared]
    return [
        *("| " + " | ".join(cells) + " |" for cells in lines),
        *(
            ["", f"Geometric means over the first {len(labelled)} rows: {', '.join(means)}."]
            if means
            else []
        ),
    ]


def markdown(report: Mapping[str, Any]) -> str:
    """The table for docs/speed.md."""
    title = f"Medians (and ranges) of {report['rounds']} rounds on {report['machine']}:"
    return "\n".join([title, "", *table(report["rows"])])


def _rate(row: Mapping[str, Any], who: str) -> str:
    if who not in row:
        return "–"
    low, high = (f"{_thousands(value)}" for value in row["ranges"][who])
    return f"{_thousands(row[who])} ({low}–{high})"


def _thousands(value: float) -> str:
    return f"{value / 1000:.3g}k"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW",
        help=f"rows to measure, of {', '.join(ROWS)}; then nothing is written",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="two short rounds; nothing is written")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--jax", metavar="PYTHON", help="an interpreter that has JAX and optax")
    parser.add_argument("--check", action="store_true", help="only see whether the rows are known")
    arguments = parser.parse_args()
    if arguments.check:
        return
    here = ("modelmill", "keras_fit", "tf1", "sklearn", "numpy")
    pythons = dict.fromkeys(here, sys.executable)
    if arguments.torch:
        pythons |= dict.fromkeys(("torch", "torch_compile"), arguments.torch)
    if arguments.jax:
        pythons["jax"] = arguments.jax
    for who in TITLES.keys() - pythons.keys():
        print(f"{TITLES[who]} is left out: it is not installed", file=sys.stderr)
    length = Length(2, 0.5) if arguments.quick else Length(5, 5.0)
    composed = yaml_data(compose(["profile=full"]))
    told = {name: workload(name, composed) for name in arguments.only}
    chosen = {
        name: {who: pythons[who] for who in ROWS[name].contenders if who in pythons}
        for name in told
    }
    total = length.rounds * sum(len(pythons) + 1 for pythons in chosen.values())
    rows = {}
    with tqdm(total=total, unit=" measurements", dynamic_ncols=True) as bar:
        for name in told:
            rows[name] = measured(name, told[name], chosen[name], length, bar)
    lines = table(rows)
    print("\n".join(lines))
    if arguments.quick or list(rows) != list(ROWS) or pythons.keys() != TITLES.keys():
        return
    gemm = statistics.median(row["gemm_gflops"] for row in rows.values())
    report = {"machine": machine(), "gemm_gflops": gemm, "rounds": length.rounds, "rows": rows}
    write_text(PAGE, insert(PAGE.read_text(encoding="utf-8"), "bench", markdown(report)))
    write_json(REPORT, report)


if __name__ == "__main__":
    run(main)
