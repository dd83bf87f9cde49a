"""Recommends films to a user or a newcomer, or those like a film."""

import argparse

from modelmill.errors import ModelmillError
from modelmill.params import load
from modelmill.schema import choose


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
    asked.add_argument("--like", metavar="TITLE", help="a film: the nearest to it are listed")
    known.add_argument(
        "--top", type=int, default=10, metavar="N", help="films to print, %(default)s by default"
    )
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
    if arguments.like is not None:
        film = titles.find(arguments.like, films)
    elif arguments.user is not None:
        user = recommender.number_of(arguments.user, catalogue)
        stars = knowledge.stars[user]
    else:
        stars = recommender.rated(arguments.rate, films, knowledge.most)

    runtime.start(0)  # after all that can go wrong, for it takes seconds
    model = recommender.Recommender(job.folder, knowledge)
    if arguments.like is not None:
        title, found = f"most like {titles.label(films[film])}", model.like(film, arguments.top)
        value = "like"
    else:
        print("stars  rated highest")
        print(*recommender.lines(recommender.highest(stars, arguments.top), films, 0), sep="\n")
        title = "recommended"
        if arguments.user is not None:
            found = model.for_user(user, arguments.top)
        else:
            found = model.for_newcomer(stars, arguments.top)
    print(f"{value:>5}  {title}")
    print(*recommender.lines(found, films, 2), sep="\n")
