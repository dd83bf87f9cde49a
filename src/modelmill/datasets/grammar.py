"""Sentences made from a seed: what both texts are made of in the profile smoke."""

import numpy as np

DETERMINERS = ["The", "A", "Every", "No"]
ADJECTIVES = ["small", "old", "quiet", "bright", "weary", "<unk>"]
NOUNS = ["miller", "river", "wheel", "king", "market", "lantern", "storm", "N"]
VERBS = ["turns", "sees", "follows", "leaves", "hears", "keeps"]


def sentences(count: int, rng: np.random.Generator) -> list[str]:
    """Determiner, adjective, noun, verb, determiner, noun; some words likelier than others."""
    parts = [DETERMINERS, ADJECTIVES, NOUNS, VERBS, DETERMINERS, NOUNS]
    columns = [
        np.array(part)[(len(part) * rng.random(count) ** 2).astype(int)].tolist() for part in parts
    ]
    return [" ".join(sentence) for sentence in zip(*columns, strict=True)]
