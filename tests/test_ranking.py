"""Ratings and recommendations are measured as by hand; the baselines are those of the papers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.evaluation.measures import baselines, ranking

# Three users of six items; the last has nothing relevant and does not count.
SCORES = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 3, 9, 8], [1, 2, 3, 4, 5, 6]], np.float32)
SEEN = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]], bool)
RELEVANT = np.array([[0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], bool)


def test_errors_of_ratings_by_hand():
    found = ranking.rating_errors(np.array([1.0, 2.0, 4.5, 3.0]), np.array([1, 4, 4, 4], np.uint8))
    assert found["rmse"] == pytest.approx(np.sqrt((0 + 4 + 0.25 + 1) / 4))
    assert found["mae"] == pytest.approx((0 + 2 + 0.5 + 1) / 4)


def test_recommendations_by_hand():
    # The lists are 1, 2, 3, with hits at ranks 1 and 3, and 5, 2, 3, with a hit at rank 3:
    # equal scores in the order of the items.
    assert ranking.best(SCORES, SEEN, 3)[:2].tolist() == [[1, 2, 3], [5, 2, 3]]
    gains = 1 / np.log2([2, 3, 4])
    found = ranking.list_quality(SCORES, SEEN, RELEVANT, 3)
    assert found == pytest.approx(
        {
            "ndcg_at_3": ((gains[0] + gains[2]) / gains.sum() + gains[2] / gains[0]) / 2,
            "precision_at_3": (2 / 3 + 1 / 3) / 2,
            "recall_at_3": (2 / 3 + 1) / 2,
            "map_at_3": ((1 + 2 / 3) / 3 + 1 / 3) / 2,
            "coverage": 4 / 3,  # items 1, 2, 3 and 5, of the three that somebody has seen
        }
    )


def test_what_is_seen_is_never_recommended_anew():
    """Nor counted where a user has seen all but one."""
    seen = np.array([[True, False, True]])
    assert ranking.best(np.zeros((1, 3)), seen, 3)[0, 0] == 1
    found = ranking.list_quality(np.zeros((1, 3)), seen, ~seen, 2)
    assert found["precision_at_2"] == 1 / 2
    assert found["ndcg_at_2"] == found["recall_at_2"] == found["map_at_2"] == 1
    assert found["coverage"] == 1 / 2


@given(st.integers(1, 5), st.integers(0, 50))
def test_knowing_the_answer_gives_everything(count, seed):
    rng = np.random.default_rng(seed)
    relevant = rng.random((7, 9)) < 0.4
    relevant[0, 0] = True
    seen = ~relevant & (rng.random((7, 9)) < 0.5)
    seen[0, 1], relevant[0, 1] = True, False
    found = ranking.list_quality(relevant.astype(np.float32), seen, relevant, count)
    assert found[f"ndcg_at_{count}"] == pytest.approx(1)
    wanted = relevant.sum(axis=1)[relevant.any(axis=1)]
    assert found[f"precision_at_{count}"] == pytest.approx(np.minimum(wanted / count, 1).mean())
    assert found[f"recall_at_{count}"] == pytest.approx(np.minimum(count / wanted, 1).mean())
    assert found[f"map_at_{count}"] == pytest.approx(np.minimum(count / wanted, 1).mean())


def test_popularity_counts_ratings():
    assert baselines.popularity(np.array([2, 0, 2, 3]), 5).tolist() == [1, 0, 2, 1, 0]


def test_biases_of_one_user_and_item_by_hand():
    """Two ratings, 1 and 5, of one item by two users: the item is average, the users are not."""
    found = baselines.fit_biases(np.array([0, 1]), np.array([0, 0]), np.array([1, 5]), 2, 1)
    assert found.mean == 3
    np.testing.assert_allclose(found.items, [0], atol=1e-12)
    np.testing.assert_allclose(found.users, [-2 / 16, 2 / 16])
    np.testing.assert_allclose(found.predict(np.array([1]), np.array([0])), [3 + 2 / 16])


def test_biases_are_the_least_squares():
    """The same as one linear system of all of them gives (ridge regression)."""
    rng = np.random.default_rng(1)
    user, item = np.nonzero(rng.random((8, 11)) < 0.6)
    rating = rng.integers(1, 6, len(user))
    found = baselines.fit_biases(user, item, rating, 9, 11)
    design = np.concatenate([np.eye(9)[user], np.eye(11)[item]], axis=1)
    ridge = np.diag([baselines.USER_STRENGTH] * 9 + [baselines.ITEM_STRENGTH] * 11)
    exact = np.linalg.solve(design.T @ design + ridge, design.T @ (rating - rating.mean()))
    np.testing.assert_allclose(np.concatenate([found.users, found.items]), exact, atol=1e-5)
    assert found.users[8] == 0  # who has rated nothing
