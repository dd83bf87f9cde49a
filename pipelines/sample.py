"""Lets a trained language model write text."""

import argparse

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose, validate
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
        help="the most probable token; one by probability; the latter only after a space (for "
        "words: at the start of a sentence)",
    )
    parser.add_argument("--temperature", type=float, help="below 1 is safer, above 1 is bolder")
    parser.add_argument("--seed", type=int, help="of the draws")
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    name = given.pop("model")
    entry = choose(load().models, name, "models")
    if entry.task != "language_modeling":
        raise ModelmillError(f"{name} is a model for {entry.task}: it writes no text")

    from modelmill import runtime
    from modelmill.evaluation import Job, language_modeling

    settings = entry.eval.sample.model_dump() | given
    options = validate(language_modeling.Sample, settings, "", "command line")
    job = Job.of(name, verify=True)
    runtime.start(options.seed)
    print(language_modeling.Writer(job, options).write())


if __name__ == "__main__":
    run(main)
