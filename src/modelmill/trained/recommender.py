"""A trained recommender in use: what it suggests to whom."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modelmill.datasets import processed, ratings, titles
from modelmill.datasets.processed import Processed
from modelmill.datasets.ratings import Catalogue, Item
from modelmill.errors import ModelmillError
from modelmill.trained.artifacts import Card

TASKS = {"rating": "stars", "rating_density": "stars", "ranking": "seen"}  # what they predict


KNOWLEDGE = "knowledge.npy"


class Knowledge(NamedTuple):
    """What a recommender may know of its users.

    Attributes:
        stars: what they gave in the training split, which it predicts from, 0 where unknown.
        left_out: of what it suggests to them: all that is not to be found out, which is the test.
            Both are [users, items].
        most: stars that there are.
    """

    stars: np.ndarray
    left_out: np.ndarray
    most: int

    @classmethod
    def of(cls, data: Processed) -> "Knowledge":
        """Those of prepared ratings."""
        stars, left_out = np.zeros((2, data.meta["users"], data.meta["items"]), np.uint8)
        for name in ("train", "validation"):
            split = data.split(name)
            left_out[split["user"], split["item"]] = 1
            if name == "train":
                stars[split["user"], split["item"]] = split["rating"]
        return cls(stars, left_out.astype(bool), data.meta["stars"])


def pack(data: Processed, folder: Path) -> None:
    """Writes to `folder` what `unpack` gives."""
    stars, left_out, _ = Knowledge.of(data)
    np.save(folder / KNOWLEDGE, np.stack([stars, left_out]))
    shutil.copy(data.folder / ratings.CATALOGUE, folder)


def unpack(folder: Path) -> tuple[Knowledge, Catalogue]:
    """What a recommender knows that is on its own, and of whom and what."""
    stars, left_out = np.load(folder / KNOWLEDGE, allow_pickle=False)
    most = processed.read_meta(folder)["stars"]
    return Knowledge(stars, left_out.astype(bool), most), ratings.catalogue(folder)


class Suggestion(NamedTuple):
    """An item by its number, and what is predicted of it: stars, or the probability to be seen."""

    item: int
    value: float


def predicted(card: Card) -> str:
    """What the model predicts of an item: `stars`, or the probability that it is `seen`."""
    return TASKS[card.settings["task"]]


def require(card: Card, newcomers: bool = False) -> None:
    """Raises ModelmillError unless the model recommends, and if asked so, to people it never met.

    Nothing of TensorFlow is needed to say so.
    """
    name, task = card.settings["model"], card.settings["task"]
    if task not in TASKS:
        raise ModelmillError(f"{name} is a model for {task}: it recommends nothing")
    if newcomers and task != "ranking" and "user_stars" not in card.spec.inputs:
        raise ModelmillError(
            f"{name} has learnt weights for each user, and has none for somebody new: --rate is "
            "for a model that sees a user's ratings, such as movielens_rbm_user"
        )


def number_of(user: str, catalogue: Catalogue) -> int:
    """The number of the user with that id.

    Raises:
        ModelmillError: there is none.
    """
    if user not in catalogue.users:
        first, last = catalogue.users[0], catalogue.users[-1]
        raise ModelmillError(
            f"there is no user '{user:.40}' among the {len(catalogue.users):,}, {first} to {last}"
        )
    return catalogue.users.index(user)


def rated(given: Sequence[str], films: Sequence[Item], most: int) -> np.ndarray:
    """The stars that somebody gives, 0 where there are none, uint8 [films].

    Args:
        given: what follows --rate: TITLE=STARS.

    Raises:
        ModelmillError: one is not of that form, names no film, or one that has been named before.
    """
    stars = np.zeros(len(films), np.uint8)
    for text in given:
        title, _, number = text.rpartition("=")
        if not title or number not in map(str, range(1, most + 1)):
            raise ModelmillError(f"--rate '{text}': expected TITLE=STARS with 1 to {most} stars")
        film = titles.find(title, films)
        if stars[film]:
            raise ModelmillError(f"--rate '{text}': {titles.label(films[film])} is rated already")
        stars[film] = int(number)
    return stars


def highest(stars: np.ndarray, count: int) -> list[Suggestion]:
    """The items that have the most of some stars [items]; those without any are none of them."""
    return _sorted(np.where(stars > 0, stars.astype(float), -np.inf), count)


def lines(found: Sequence[Suggestion], films: Sequence[Item], digits: int) -> list[str]:
    """Value, title, year and genres of each, as a table."""
    return [
        f"{value:5.{digits}f}  {titles.label(films[n]):<44} {', '.join(films[n].genres)}"
        for n, value in found
    ]


class Recommender:
    """The trained model in `folder`."""

    def __init__(self, folder: Path, knowledge: Knowledge) -> None:
        from modelmill.trained import artifacts

        self.card, self.knowledge = artifacts.read_card(folder), knowledge
        self.model = artifacts.restore(folder)
        self.ranks = self.card.settings["task"] == "ranking"

    def for_user(self, user: int, count: int) -> list[Suggestion]:
        """The best of what this user has not rated yet."""
        from modelmill.trained import inference

        stars, left_out, _ = self.knowledge
        if self.ranks:
            values = inference.seen(self.model, stars[user][None])[0]
        else:
            items = np.arange(stars.shape[1])
            values = inference.ratings(self.model, stars, np.full_like(items, user), items)
        return self._best(values, left_out[user], count)

    def for_newcomer(self, stars: np.ndarray, count: int) -> list[Suggestion]:
        """The best for somebody whose ratings are these, 0 where there are none [items].

        Of two machines it is only the one that sees a user's ratings that is asked.
        """
        from modelmill.trained import inference

        if self.ranks:
            values = inference.seen(self.model, stars[None])[0]
        else:
            items, machine = np.arange(len(stars)), inference.machine(self.model, "user")
            values = inference.ratings(machine, stars[None], np.zeros_like(items), items)
        return self._best(values, stars > 0, count)

    def like(self, item: int, count: int) -> list[Suggestion]:
        """The items most like one, with the cosine of the angle between them.

        Raises:
            ModelmillError: the model is of a kind that cannot tell.
        """
        from modelmill.trained import inference

        found = inference.alike(self.model, self.knowledge.stars, [item])
        if found is None:
            arch = self.card.settings["arch"]
            raise ModelmillError(f"--like: a model of architecture '{arch}' has nothing to tell by")
        (values,) = found
        values[item] = -np.inf
        return _sorted(values, count)

    def _best(self, values: np.ndarray, left_out: np.ndarray, count: int) -> list[Suggestion]:
        """Of predicted stars only those of items that are well known: others are a guess."""
        from modelmill.trained import inference

        if self.ranks:
            return _sorted(np.where(left_out, -np.inf, values), count)
        left_out = left_out | ~inference.well_known(self.knowledge.stars)
        found = _sorted(np.where(left_out, -np.inf, values), count)
        most = self.knowledge.most  # beyond it, too, one is better than the other
        return [each._replace(value=min(max(each.value, 1.0), most)) for each in found]


def _sorted(values: np.ndarray, count: int) -> list[Suggestion]:
    order = np.argsort(-values, kind="stable")[:count]
    return [Suggestion(int(n), float(values[n])) for n in order if values[n] > -np.inf]
