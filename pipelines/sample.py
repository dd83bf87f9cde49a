"""Lets a trained language model write text."""

import argparse
from pathlib import Path

from modelmill import params
from pipelines import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.sample",
        description=__doc__,
        epilog="What is not given here is taken from the model's eval.sample in params.yaml.",
    )
    parser.add_argument("model", help="a key of `models` in params.yaml")
    parser.add_argument("--prime", help="the text to continue")
    parser.add_argument("--length", type=int, help="characters or words to add")
    parser.add_argument(
        "--pick",
        choices=["argmax", "weighted", "weighted-on-space"],
        help="the most probable token, one by probability, or the latter only after a space",
    )
    parser.add_argument("--temperature", type=float, help="below 1 is safer, above 1 is bolder")
    parser.add_argument("--seed", type=int, help="of the draws")
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    name = given.pop("model")
    entry = params.choose(params.load().models, name, "models")
    if entry.task != "language_modeling":
        raise params.ModelmillError(f"{name} is a model for {entry.task}: it writes no text")

    from modelmill import artifacts, evaluation, runtime
    from modelmill.datasets import processed
    from modelmill.evaluation import language_modeling

    settings = entry.eval.sample.model_dump() | given
    options = params.validate(language_modeling.Sample, settings, "", "command line")
    folder = Path("data/models", name)
    card = artifacts.read_card(folder)
    data = processed.load(Path("data/processed", entry.dataset))
    runtime.start(options.seed)
    print(language_modeling.sample(evaluation.Job(folder, card, data, folder), options))


if __name__ == "__main__":
    run(main)
