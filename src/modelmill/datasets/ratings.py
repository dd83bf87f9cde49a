"""Stars that users gave to films: ratings.tsv and items.tsv, tab-separated, with a header each.

The columns are called as in RecBole's "atomic files" (https://recbole.io/atomic_files.html), where
MovieLens is a pair ``.inter`` and ``.item``; the types that follow a name there are not needed.
"""

import csv
import json
import reprlib
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from modelmill.datasets.processed import describe
from modelmill.datasets.settings import Seeded
from modelmill.errors import ModelmillError
from modelmill.files import reading, write_json
from modelmill.schema import Section

if TYPE_CHECKING:  # imported where it is used: params.py imports every reader, for its Options
    import pandas as pd

RATINGS, ITEMS = "ratings.tsv", "items.tsv"
RATING_COLUMNS = ["user_id", "item_id", "rating"]
ITEM_COLUMNS = ["item_id", "movie_title", "release_year", "class"]
CATALOGUE = "catalogue.json"

SPLITS = ("train", "validation", "test")
ARRAYS = {"user": "ids", "item": "ids", "rating": "stars"}


class Options(Section):
    """Which ratings are held out.

    All of them, shuffled, are dealt into `folds` heaps like cards; heap number `fold` is the test
    set. They are shuffled either as one pack or, with `shuffle_within: user`, each user's by
    themselves, so that every heap gets the same share of everybody's ratings. Of the other heaps,
    `validation_fraction` of the ratings, evenly spaced in that order, are for validation.

    Attributes:
        stars: the largest rating; the smallest is 1.
        folds: heaps that the ratings are dealt into.
        fold: the heap that is the test set, counted from 1.
        shuffle_within: whether all ratings are one pack, or each user's are one.
        validation_fraction: share of the ratings of the other heaps that is for validation.
        split_seed: of the shuffling.
    """

    stars: Annotated[int, Field(ge=2, le=255)]
    folds: Annotated[int, Field(ge=2)]
    fold: Annotated[int, Field(ge=1)]
    shuffle_within: Literal["all", "user"]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _fold_exists(self) -> "Options":
        if self.fold > self.folds:
            raise ValueError(f"fold ({self.fold}) is none of {self.folds} folds")
        return self


class Item(NamedTuple):
    """A film; `year` is None where the file has no number of four digits."""

    id: str
    title: str
    year: int | None
    genres: list[str]


class Catalogue(NamedTuple):
    """What stands behind the numbers in the arrays: users' ids, and the films."""

    users: list[str]
    items: list[Item]


def read(raw: Path, stars: int) -> "tuple[pd.DataFrame, Catalogue]":
    """The ratings, and what they are about.

    Users and items are numbered from 0 by length of their ids, then alphabetically, which is by
    size where ids are numbers. An item that nobody has rated counts too.

    Returns:
        `user`, `item` and `rating` (1 to `stars`), a row each, by user, then by item.

    Raises:
        ModelmillError: a file is missing or no such table, a rating out of range, a user's second
            rating of an item, an item that is listed twice, not at all, or without a title.
    """
    import pandas as pd

    path, table = raw / ITEMS, _table(raw / ITEMS, ITEM_COLUMNS)
    _require(path, table, table.item_id != "", "an item without an id")
    _require(path, table, table.movie_title.str.strip() != "", "an item without a title")
    _require(path, table, ~table.item_id.duplicated(), "an item that is listed above")
    dated = table.release_year.str.fullmatch("[0-9]{4}")
    rows = zip(table.item_id, table.movie_title, table.release_year, table["class"], strict=True)
    items = [
        Item(item, title, int(year) if known else None, genres.split())
        for (item, title, year, genres), known in zip(rows, dated, strict=True)
    ]
    items.sort(key=lambda item: _place(item.id))

    path, table = raw / RATINGS, _table(raw / RATINGS, RATING_COLUMNS)
    places = {item.id: index for index, item in enumerate(items)}
    allowed = {f"{number}{end}": number for number in range(1, stars + 1) for end in ("", ".0")}
    _require(path, table, table.user_id != "", "a user without an id")
    _require(path, table, table.item_id.isin(list(places)), f"an item that {ITEMS} does not list")
    _require(path, table, table.rating.isin(list(allowed)), f"no rating from 1 to {stars}")
    twice = table.duplicated(["user_id", "item_id"])
    _require(path, table, ~twice, "a second rating of this item by this user")
    users = sorted(set(table.user_id), key=_place)
    numbers = {user: index for index, user in enumerate(users)}
    ratings = pd.DataFrame(
        {
            "user": table.user_id.map(numbers).astype(np.int64),
            "item": table.item_id.map(places).astype(np.int64),
            "rating": table.rating.map(allowed).astype(np.int64),
        }
    )
    return ratings.sort_values(["user", "item"], ignore_index=True), Catalogue(users, items)


def _place(identifier: str) -> tuple[int, str]:
    return len(identifier), identifier


def _table(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """The named columns of a tab-separated file, all of them text; what a row lacks is empty."""
    import pandas as pd

    try:
        with reading(path), warnings.catch_warnings(action="error"):
            table = pd.read_csv(
                path,
                sep="\t",
                dtype=str,
                encoding="utf-8",
                quoting=csv.QUOTE_NONE,
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=False,  # so that a row's place gives its line
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        problem = " ".join(str(error).split())
        raise ModelmillError(f"{path}: not a tab-separated table: {problem:.200}") from None
    table.columns = [name.partition(":")[0] for name in table.columns]
    for column in columns:
        if list(table.columns).count(column) != 1:
            raise ModelmillError(f"{path}: the header has not one column '{column}'")
    if table.empty:
        raise ModelmillError(f"{path}: nothing follows the header")
    return table[list(columns)]


def _require(path: Path, table: "pd.DataFrame", good: "pd.Series", problem: str) -> None:
    """Raises ModelmillError that names the first row that is not good, by line and content."""
    if not good.all():
        row = int(good.to_numpy(bool).argmin())
        values = reprlib.repr(table.iloc[row].tolist())
        raise ModelmillError(f"{path}, line {row + 2:,}: {problem}: {values}")


def deal(users: np.ndarray, options: Options) -> np.ndarray:
    """Which split each of some ratings is in: its place in `SPLITS` [ratings].

    Args:
        users: who gave each rating [ratings].
    """
    rng = np.random.default_rng(options.split_seed)
    packs = users if options.shuffle_within == "user" else np.zeros_like(users)
    order = np.lexsort([rng.random(len(users)), packs])
    test = np.arange(len(users)) % options.folds == options.fold - 1
    due = (np.cumsum(~test) * options.validation_fraction).astype(np.int64)
    split = np.empty(len(users), np.int64)
    split[order] = np.where(test, 2, np.diff(due, prepend=0))
    return split


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes user, item (smallest unsigned type) and rating uint8 [ratings], and catalogue.json.

    The splits follow one another as in `SPLITS`; within each, ratings are sorted by user, then by
    item.
    """
    ratings, catalogue = read(raw, options.stars)
    split = deal(ratings.user.to_numpy(), options)
    users, items = len(catalogue.users), len(catalogue.items)
    sizes = {"user": users - 1, "item": items - 1, "rating": options.stars}
    for name, largest in sizes.items():
        values = ratings[name].to_numpy(np.min_scalar_type(largest))
        np.save(out / f"{name}.npy", values[np.argsort(split, kind="stable")])
    entries = [item._asdict() for item in catalogue.items]
    write_json(out / CATALOGUE, {"users": catalogue.users, "items": entries})
    borders = np.cumsum([0, *np.bincount(split, minlength=len(SPLITS))]).tolist()
    describe(
        out,
        dict(zip(SPLITS, pairwise(borders), strict=True)),
        users=users,
        items=items,
        stars=options.stars,
    )


def catalogue(folder: Path) -> Catalogue:
    """The users and the films of the prepared data in `folder`."""
    content = json.loads((folder / CATALOGUE).read_text(encoding="utf-8"))
    return Catalogue(content["users"], [Item(**item) for item in content["items"]])


# --- made up ---------------------------------------------------------------------------------

USERS = 50
SHARE = 0.3  # of the items, rated by each user on average
ADJECTIVES = ["Small", "Old", "Quiet", "Bright", "Weary", "Last", "Hidden", "Third"]
NOUNS = [
    "Miller",
    "River",
    "Wheel",
    "King",
    "Market",
    "Lantern",
    "Storm",
    "Harvest",
    "Road",
    "Bridge",
]
GENRES = ["Comedy", "Drama", "Western"]


class Generate(Seeded):
    """What the ratings are drawn from."""


def generate(raw: Path, settings: Generate) -> None:
    """ratings.tsv and items.tsv: 50 users, each with a taste for genres, and 80 films of them."""
    import pandas as pd

    rng = np.random.default_rng(settings.seed)
    titles = [f"{adjective} {noun}, The" for adjective in ADJECTIVES for noun in NOUNS]
    genres = rng.integers(0, len(GENRES), len(titles))
    liking = rng.normal(size=(USERS, len(GENRES)))[:, genres] + rng.normal(0, 0.5, len(titles))
    stars = np.rint(3.4 + liking + rng.normal(0, 0.4, liking.shape)).clip(1, 5).astype(int)
    user, item = np.nonzero(rng.random(liking.shape) < SHARE)
    films = pd.DataFrame(
        {
            "item_id": np.arange(1, len(titles) + 1),
            "movie_title": titles,
            "release_year": rng.integers(1920, 2000, len(titles)),
            "class": np.array(GENRES)[genres],
        }
    )
    ratings = pd.DataFrame({"user_id": user + 1, "item_id": item + 1, "rating": stars[user, item]})
    for name, table in ((RATINGS, ratings), (ITEMS, films)):
        table.to_csv(raw / name, sep="\t", index=False, lineterminator="\n")
