"""Lets a trained language model write, a Boltzmann machine draw."""

import argparse
from pathlib import Path

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.parts import part
from modelmill.schema import choose, validate
from pipelines import given, require_place

MADE = {"language_modeling": ".txt", "density": ".png"}  # by task


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(
        description=__doc__,
        epilog="What is not given here is taken from the model's eval.sample in params.yaml.",
    )
    known.add_argument("model", help="a key of `models` in params.yaml")
    known.add_argument("--seed", type=int, help="of the draws")
    known.add_argument("--output", type=given, help="a .png for pictures; a text may have a .txt")
    text = known.add_argument_group("for a text")
    text.add_argument("--prime", help="the text to continue")
    text.add_argument("--length", type=int, help="characters or words to add")
    text.add_argument(
        "--pick",
        choices=["argmax", "weighted", "weighted-on-space"],
        help="the most probable token; one by probability; the latter only after a space (for "
        "words: at the start of a sentence)",
    )
    text.add_argument("--temperature", type=float, help="below 1 is safer, above 1 is bolder")
    pictures = known.add_argument_group("for pictures")
    pictures.add_argument("--count", type=int, help="how many, each begun at a training example")
    pictures.add_argument("--steps", type=int, help="of Gibbs sampling that lead away from it")
    return known


def main() -> None:
    said = {key: value for key, value in vars(parser().parse_args()).items() if value is not None}
    name, output = said.pop("model"), said.pop("output", None)
    entry = choose(load().models, name, "models")
    if entry.task not in MADE:
        raise ModelmillError(f"{name} is a model for {entry.task}: it makes nothing up")
    evaluation = part("evaluation", entry.task, f"models.{name}.task")
    settings = entry.eval.sample.model_dump()
    if others := sorted(set(said) - set(settings)):
        raise ModelmillError(
            f"{name} makes {'pictures' if MADE[entry.task] == '.png' else 'a text'}: "
            f"--{others[0]} is not for that"
        )
    settings |= said
    options = validate(evaluation.Sample, settings, "", "command line")
    _check(name, output, MADE[entry.task])

    from modelmill import runtime
    from modelmill.evaluation import Job

    job = Job.of(name, verify=True)
    runtime.start(options.seed)
    evaluation.sample(job, options, output)


def _check(name: str, output: Path | None, suffix: str) -> None:
    if output is None and suffix == ".png":
        raise ModelmillError(f"{name} draws pictures: say where with --output FILE.png")
    if output:
        if output.suffix != suffix:
            raise ModelmillError(f"--output {output}: {name} writes a {suffix}")
        require_place("--output", output)
