"""Films by their titles, as a person reads and writes them."""

import difflib
import re
import unicodedata
from collections.abc import Sequence

from modelmill.datasets.ratings import Item
from modelmill.errors import ModelmillError

ARTICLE = re.compile(r"(.+), (The|A|An|Das|Der|Die|El|Il|L'|La|Las|Le|Les|Los|Un|Una)(?!\w)(.*)")
YEAR = re.compile(r"(.+?) *\(([0-9]{4})\)")
LIKE, SURE = 0.6, 0.85  # of two titles, from 0 to 1: worth a mention; meant
SHOWN = 5


def label(item: Item) -> str:
    """ "Usual Suspects, The" of 1995 as The Usual Suspects (1995)."""
    return f"{_natural(item.title)} ({item.year})" if item.year else _natural(item.title)


def _natural(title: str) -> str:
    if match := ARTICLE.fullmatch(title):
        rest, article, more = match.groups()
        return f"{article}{'' if article.endswith(chr(39)) else ' '}{rest}{more}"
    return title


def find(wanted: str, items: Sequence[Item]) -> int:
    """The number of the film that is called so, with the year behind it or without.

    Case, accents, punctuation and articles do not matter, nor a slip of the pen. Of a film that is
    listed twice it is the first.

    Raises:
        ModelmillError: no film is called so, or several are.
    """
    match = YEAR.fullmatch(wanted.strip())
    title, year = (match[1], int(match[2])) if match else (wanted, None)
    key, keys = _key(title), [_key(item.title) for item in items]
    of_year = [number for number, item in enumerate(items) if year in (None, item.year)]
    same = [number for number in of_year if keys[number] == key] if key else []
    holding = [number for number in of_year if f" {key} " in f" {keys[number]} "] if key else []
    for found in (same, holding):
        names = list(dict.fromkeys(label(items[number]) for number in found))
        if len(names) == 1:
            return found[0]
        if names:
            more = ", ..." if len(names) > SHOWN else ""
            raise ModelmillError(f"'{wanted}' may be {', '.join(names[:SHOWN])}{more}")
    close = difflib.get_close_matches(key, [keys[number] for number in of_year], SHOWN, LIKE)
    numbers = [next(n for n in of_year if keys[n] == near) for near in dict.fromkeys(close)]
    if close and difflib.SequenceMatcher(None, key, close[0]).ratio() >= SURE:
        return numbers[0]
    near = ", ".join(label(items[number]) for number in numbers)
    raise ModelmillError(f"there is no film '{wanted}'" + (f", but {near}" if near else ""))


def _key(title: str) -> str:
    """What of a title is compared: its words without accents, an article at the front left out."""
    plain = unicodedata.normalize("NFKD", _natural(title)).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
