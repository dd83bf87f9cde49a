"""Ratings: read as written or refused by line, and dealt into splits that share none."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.datasets import processed, ratings
from modelmill.errors import ModelmillError

ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tFargo\t1996\tCrime Drama\n"
    '9\t"Alien\t1979\tHorror\n'
    "2\tunknown\tV\t\n"
)
RATINGS = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "196\t10\t3\t881250949\n"
    "7\t9\t5.0\t0\n"
    "7\t10\t1\t0\n"
    "22\t9\t2\t0\n"
)


def options(**changed):
    values = {"stars": 5, "folds": 5, "fold": 1, "shuffle_within": "all"}
    values |= {"validation_fraction": 0.1, "split_seed": 1}
    return ratings.Options(**values | changed)


def written(folder, given=RATINGS, items=ITEMS):
    folder.mkdir(exist_ok=True)
    (folder / "ratings.tsv").write_bytes(given if isinstance(given, bytes) else given.encode())
    (folder / "items.tsv").write_text(items, encoding="utf-8")
    return folder


def test_ratings_are_read_by_hand(tmp_path):
    table, catalogue = ratings.read(written(tmp_path), 5)
    assert catalogue.users == ["7", "22", "196"]
    assert catalogue.items == [
        ("2", "unknown", None, []),
        ("9", '"Alien', 1979, ["Horror"]),
        ("10", "Fargo", 1996, ["Crime", "Drama"]),
    ]
    rows = [(0, 1, 5), (0, 2, 1), (1, 1, 2), (2, 2, 3)]
    assert list(table[["user", "item", "rating"]].itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "7\t10\t2\t0",
            "ratings.tsv, line 6: a second rating of this item by this user: ['7', '1",
        ),
        ("7\t11\t2\t0", "ratings.tsv, line 6: an item that items.tsv does not list: ['7', '11',"),
        ("22\t10\t6\t0", "ratings.tsv, line 6: no rating from 1 to 5: ['22', '10', '6']"),
        ("22\t10\t0\t0", "ratings.tsv, line 6: no rating from 1 to 5"),
        ("22\t10\t2.5\t0", "ratings.tsv, line 6: no rating from 1 to 5"),
        ("22\t10\tnan\t0", "ratings.tsv, line 6: no rating from 1 to 5"),
        ("22\t10\t\t0", "ratings.tsv, line 6: no rating from 1 to 5"),
        ("\t10\t2\t0", "ratings.tsv, line 6: a user without an id"),
        ("22\t10", "ratings.tsv, line 6: no rating from 1 to 5: ['22', '10', '']"),
        ("\n22\t10\t4\t0", "ratings.tsv, line 6: "),
        ("22\t10\t2\t0\t0", "ratings.tsv: not a tab-separated table: "),
    ],
)
def test_a_bad_rating_is_named_by_its_line(tmp_path, line, problem):
    with pytest.raises(ModelmillError) as refusal:
        ratings.read(written(tmp_path, RATINGS + line + "\n"), 5)
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "11\t\t1999\tDrama",
            "items.tsv, line 5: an item without a title: ['11', '', '1999', 'Dr",
        ),
        ("11\t  \t1999\tDrama", "items.tsv, line 5: an item without a title"),
        ("\tBrazil\t1985\tDrama", "items.tsv, line 5: an item without an id"),
        ("10\tBrazil\t1985\tDrama", "items.tsv, line 5: an item that is listed above"),
        ("11", "items.tsv, line 5: an item without a title: ['11', '', '', '']"),
    ],
)
def test_a_bad_item_is_named_by_its_line(tmp_path, line, problem):
    with pytest.raises(ModelmillError) as refusal:
        ratings.read(written(tmp_path, items=ITEMS + line + "\n"), 5)
    assert problem in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not a tab-separated table: "),
        (b"\xff\xfe", "not a tab-separated table: "),
        ("user_id\titem_id\n1\t2\n", "the header has not one column 'rating'"),
        ("user_id\titem_id\trating\trating:token\n1\t2\t3\t4\n", "has not one column 'rating'"),
        (RATINGS.splitlines()[0], "nothing follows the header"),
        (RATINGS.replace("\t", ","), "the header has not one column 'item_id'"),
    ],
)
def test_what_is_no_table_of_ratings_is_refused(tmp_path, content, problem):
    with pytest.raises(ModelmillError, match=problem):
        ratings.read(written(tmp_path, content), 5)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelmillError, match=r"items\.tsv is missing"):
        ratings.read(tmp_path, 5)


def test_a_fold_beyond_the_last_is_refused():
    with pytest.raises(ValueError, match=r"fold \(6\) is none of 5 folds"):
        options(fold=6)


def test_too_few_ratings_for_three_splits_are_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ModelmillError, match="nothing is left for split 'validation'"):
        ratings.prepare(written(tmp_path), out, options())


# --- splits ----------------------------------------------------------------------------------


@given(
    users=st.lists(st.integers(0, 6), min_size=1, max_size=80).map(sorted),
    folds=st.integers(2, 6),
    share=st.floats(0.01, 0.99),
    within=st.sampled_from(["all", "user"]),
    seed=st.integers(0, 3),
)
def test_every_rating_is_tested_in_exactly_one_fold(users, folds, share, within, seed):
    users = np.array(users)
    dealt = [
        ratings.deal(
            users,
            options(
                folds=folds,
                fold=fold,
                shuffle_within=within,
                validation_fraction=share,
                split_seed=seed,
            ),
        )
        for fold in range(1, folds + 1)
    ]
    tested = np.array(dealt) == 2
    assert (tested.sum(axis=0) == 1).all()
    for split, test in zip(dealt, tested, strict=True):
        assert abs(test.sum() - len(users) / folds) < 1
        assert (split == 1).sum() == int((~test).sum() * share)
    if within == "user":
        for user in set(users.tolist()):
            mine = users == user
            assert (np.abs(tested[:, mine].sum(axis=1) - mine.sum() / folds) < 2).all()


def test_splits_change_with_the_seed_alone():
    users = np.repeat(np.arange(10), 30)
    first, again, other = (ratings.deal(users, options(split_seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    ratings.generate(raw, ratings.Generate(seed=1))
    return raw


@pytest.mark.parametrize("changed", [{}, {"folds": 4, "fold": 3, "shuffle_within": "user"}])
def test_prepared_ratings_are_all_there_once_and_in_order(made_up, tmp_path, changed):
    ratings.prepare(made_up, tmp_path, options(**changed))
    data = processed.load(tmp_path)
    table, catalogue = ratings.read(made_up, 5)
    pairs = Counter(zip(data.arrays["user"].tolist(), data.arrays["item"].tolist(), strict=True))
    assert pairs == Counter(zip(table.user, table.item, strict=True))
    assert set(pairs.values()) == {1}
    found = {
        (user, item): rating
        for user, item, rating in zip(
            *(data.arrays[name].tolist() for name in ("user", "item", "rating")), strict=True
        )
    }
    assert found == {(row.user, row.item): row.rating for row in table.itertuples()}
    for name in ratings.SPLITS:
        split = data.split(name)
        order = split["user"].astype(int) * len(catalogue.items) + split["item"]
        assert (np.diff(order) > 0).all()
    assert data.meta["users"] == len(catalogue.users)
    assert data.meta["items"] == len(catalogue.items)
    assert ratings.catalogue(tmp_path) == catalogue


def test_a_prepared_set_is_the_same_again(made_up, tmp_path):
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ratings.prepare(made_up, tmp_path / name, options())
        digests.append(processed.load(tmp_path / name).digest)
    assert digests[0] == digests[1]


def test_made_up_users_agree_on_the_films_of_a_genre(made_up):
    table, catalogue = ratings.read(made_up, 5)
    table["genre"] = [catalogue.items[item].genres[0] for item in table["item"]]
    assert len(catalogue.users) == 50
    assert len(catalogue.items) == 80
    assert sorted(table.rating.unique()) == [1, 2, 3, 4, 5]
    within = table.groupby(["user", "genre"]).rating.std().mean()
    assert within < 0.75 * table.rating.std()
