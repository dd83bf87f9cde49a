"""Evaluating a language model: exact perplexity over the whole text, and a sample of its own."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from modelmill.errors import ModelmillError
from modelmill.evaluation import Job
from modelmill.files import write_text
from modelmill.models import Spec
from modelmill.schema import PositiveFloat, PositiveInt, Section
from modelmill.tasks.language_modeling import perplexity

METRICS = ("perplexity", "loss", "bits_per_token")
WINDOW = 50


class Sample(Section):
    """The text to continue, by how many tokens, and how each is picked (see `generate`)."""

    prime: Annotated[str, Field(min_length=1)]
    length: PositiveInt
    pick: Literal["argmax", "weighted", "weighted-on-space"]
    temperature: PositiveFloat
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Eval(Section):
    """The split to measure on, and the text to generate."""

    split: str
    sample: Sample


def evaluate(job: Job, options: Eval) -> dict[str, float]:
    """Perplexity = exp(total negative log-likelihood / tokens), state carried over the whole text.

    Every token of the split counts; the first is predicted from the token before the split, or
    from the last of the split where nothing is before it.
    """
    from modelmill import artifacts
    from modelmill.inference import token_losses

    tokens = job.data.split(options.split)["tokens"]
    start = job.data.meta["splits"][options.split][0]
    before = int(job.data.arrays["tokens"][start - 1] if start else tokens[-1])
    model = artifacts.restore(job.folder, Spec((WINDOW,), job.card.spec.outputs))
    losses = token_losses(model, tokens, before).astype(np.float64)
    loss = float(losses.mean())
    write_text(job.figures / "sample.txt", sample(job, options.sample) + "\n")
    return {
        "perplexity": perplexity(loss),
        "loss": loss,
        "bits_per_token": loss / math.log(2),
        "tokens": len(losses),
    }


def sample(job: Job, options: Sample) -> str:
    """`options.prime` and the text that the model continues it with.

    Raises:
        ModelmillError: `prime` holds a token that the model does not know.
    """
    from modelmill import artifacts
    from modelmill.inference import generate

    vocabulary = job.data.vocabulary()
    ids = {token: index for index, token in enumerate(vocabulary)}
    words = job.data.meta["unit"] == "word"
    prime = options.prime.split() if words else list(options.prime)
    if not prime:
        raise ModelmillError("prime: at least one word is needed to go on from")
    for token in prime:
        if token not in ids:
            raise ModelmillError(f"the {job.data.meta['unit']} {token!r} is not in the vocabulary")
    model = artifacts.restore(job.folder, Spec((1,), job.card.spec.outputs))
    chosen = generate(
        model,
        [ids[token] for token in prime],
        options.length,
        options.pick,
        options.temperature,
        options.seed,
        ids.get("<eos>" if words else " "),
    )
    tokens = prime + [vocabulary[index] for index in chosen]
    if not words:
        return "".join(tokens)
    return " ".join(tokens).replace(" <eos>", "\n").replace("\n ", "\n")
