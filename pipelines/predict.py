"""Tells the digits in image files apart, a line for each file.

The line has the class and the probability of every class. Pictures are of any size and colour, dark
on light or light on dark, one digit anywhere in each.
"""

import argparse

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose
from pipelines import given


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__)
    known.add_argument("model", help="a key of `models` in params.yaml")
    known.add_argument("images", nargs="+", type=given, metavar="image", help="PNG, JPEG, ...")
    return known


def main() -> None:
    arguments = parser().parse_args()
    name = arguments.model
    params = load()
    entry = choose(params.models, name, "models")
    if entry.task != "classification":
        raise ModelmillError(f"{name} is a model for {entry.task}: it tells no digits apart")

    import numpy as np

    from modelmill import runtime
    from modelmill.evaluation import Job
    from modelmill.tasks.classification import probabilities
    from modelmill.trained import artifacts, digits

    job = Job.of(name, verify=True)
    shape = job.card.spec.inputs["x"].shape
    if shape != (digits.FIELD, digits.FIELD):
        found = " x ".join(map(str, shape))
        raise ModelmillError(f"{name} takes {found} values, not pictures of 28 x 28 pixels")
    read, problems = [], []
    for path in arguments.images:
        try:
            read.append((path, digits.read_digit(path)))
        except ModelmillError as error:
            problems.append(str(error))
    if not read:
        raise ModelmillError("; ".join(problems))

    runtime.start(params.seed)  # after all that can go wrong, for it takes seconds
    from modelmill.trained.inference import predict

    x = np.stack([picture for _, picture in read])
    logits = predict(artifacts.restore(job.folder), x, job.data.meta["scale"])
    names = job.data.meta["class_names"]
    print("class", *(f"{label:>5}" for label in names), " image")
    shares = probabilities(logits, job.card.settings["fit"]["loss"])
    for (path, _), row in zip(read, shares, strict=True):
        print(f"{names[row.argmax()]:>5}", *(f"{share:5.3f}" for share in row), f" {path}")
    if problems:
        raise ModelmillError("; ".join(problems))
