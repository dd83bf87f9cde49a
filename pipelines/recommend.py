"""Recommends films to a user or a newcomer, or those like a film."""

import argparse
from typing import TYPE_CHECKING

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose

if TYPE_CHECKING:
    import numpy as np

    from modelmill.datasets.ratings import Item
    from modelmill.trained.recommender import Suggestion


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(
        description=__doc__,
        epilog="A title needs no article, no capitals and, where it is the only one, no year.",
    )
    known.add_argument("model", help="a key of `models` in params.yaml")
    asked = known.add_mutually_exclusive_group(required=True)
    asked.add_argument("--user", metavar="ID", help="as the data have it")
    asked.add_argument(
        "--rate",
        action="append",
        metavar="TITLE=STARS",
        help="what somebody new thinks of a film; may be given often",
    )
    asked.add_argument("--like", metavar="TITLE")
    known.add_argument("--top", type=int, default=10, metavar="N", help="films to print")
    return known


def main() -> None:
    arguments = parser().parse_args()
    if arguments.top < 1:
        raise ModelmillError(f"--top {arguments.top}: at least 1 is needed")
    choose(load().models, arguments.model, "models")

    from modelmill import runtime
    from modelmill.datasets import ratings, titles
    from modelmill.evaluation import Job
    from modelmill.trained import recommender

    job = Job.of(arguments.model, verify=True)
    recommender.require(job.card, newcomers=arguments.rate is not None)
    knowledge, catalogue = recommender.Knowledge.of(job.data), ratings.catalogue(job.data.folder)
    films, value = catalogue.items, recommender.predicted(job.card)
    if arguments.like:
        film = titles.find(arguments.like, films)
        title, value = f"most like {titles.label(films[film])}", "like"
    elif arguments.user is not None:
        user = recommender.number_of(arguments.user, catalogue)
        stars, title = knowledge.stars[user], f"recommended to user {arguments.user}"
    else:
        stars = rated(arguments.rate, films, job.data.meta["stars"])
        title = "recommended"

    runtime.start(0)  # after all that can go wrong, for it takes seconds
    model = recommender.Recommender(job.folder, knowledge)
    if arguments.like:
        found = model.like(film, arguments.top)
    else:
        highest = (-stars.astype(int)).argsort(kind="stable")[: arguments.top]
        given = [recommender.Suggestion(n, stars[n]) for n in highest if stars[n]]
        show("rated highest", "stars", given, films)
        if arguments.user is not None:
            found = model.for_user(user, arguments.top)
        else:
            found = model.for_newcomer(stars, arguments.top)
    show(title, value, found, films)


def rated(given: list[str], films: "list[Item]", most: int) -> "np.ndarray":
    """The stars of TITLE=STARS, 0 where there are none [films]."""
    import numpy as np

    from modelmill.datasets import titles

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


def show(title: str, value: str, found: "list[Suggestion]", films: "list[Item]") -> None:
    """Prints films under a title."""
    from modelmill.datasets import titles

    print(f"{value:>5}  {title}")
    for item, number in found:
        print(f"{number:5.3g}  {titles.label(films[item]):<44} {', '.join(films[item].genres)}")
