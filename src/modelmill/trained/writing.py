"""A trained language model in use: the texts that it writes."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.schema import Section
from modelmill.tasks.language_modeling import windows_of

KEPT = 8  # ways of writing that are compiled


class Sample(Section):
    """What the model is to write.

    Attributes:
        prime: the text to continue.
        length: tokens to add.
        pick: the most probable token; one by probability; by probability after a space (for
            words: at the start of a sentence), else the most probable.
        temperature: of the probabilities: below 1 is safer, above 1 is bolder.
        seed: of the draws.
    """

    prime: Annotated[str, Field(min_length=1)]
    length: Annotated[int, Field(ge=1, le=100_000)]
    pick: Literal["argmax", "weighted", "weighted-on-space"]
    temperature: Annotated[float, Field(ge=0.001, le=1000)]  # beyond, float32 has no quotients
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Writer:
    """A trained model that continues texts.

    Attributes:
        model: its weights may be changed between texts.
    """

    def __init__(self, folder: Path, data: Processed) -> None:
        from modelmill.trained import artifacts

        self.vocabulary, self.unit = data.vocabulary(), data.meta["unit"]
        self._ids = {token: index for index, token in enumerate(self.vocabulary)}
        self.model = artifacts.restore(folder, windows_of(1, len(self.vocabulary)))
        self._generator = lru_cache(KEPT)(self._compiled)

    def prepared(self, options: Sample) -> Callable[[], str]:
        """Returns what writes the prime and its continuation.

        It is compiled once for all primes and seeds.

        Raises:
            ModelmillError: `prime` holds a token that the model does not know.
        """
        words = self.unit == "word"
        prime = options.prime.split() if words else list(options.prime)
        if not prime:
            raise ModelmillError("prime: at least one word is needed to go on from")
        for token in prime:
            if token not in self._ids:
                raise ModelmillError(f"prime: the {self.unit} {token!r} is not in the vocabulary")
        generate = self._generator(options.length, options.pick, options.temperature)

        def write() -> str:
            chosen = generate([self._ids[token] for token in prime], options.seed)
            tokens = prime + [self.vocabulary[index] for index in chosen]
            if not words:
                return "".join(tokens)
            return " ".join(tokens).replace(" <eos>", "\n").replace("\n ", "\n")

        return write

    def _compiled(
        self, length: int, pick: str, temperature: float
    ) -> Callable[[list[int], int], list[int]]:
        from modelmill.trained.inference import generator

        space = self._ids.get("<eos>" if self.unit == "word" else " ")
        return generator(self.model, length, pick, temperature, space)
