"""What a recommender has to beat: popularity, and the biases of users and items."""

from typing import NamedTuple

import numpy as np

ROUNDS = 10
ITEM_STRENGTH, USER_STRENGTH = 10, 15


def popularity(item: np.ndarray, items: int) -> np.ndarray:
    """The number of ratings of each item, the same score for everybody [items]."""
    return np.bincount(item, minlength=items)


class Biases(NamedTuple):
    """How far each user's and each item's ratings lie above the mean, in stars."""

    mean: float
    users: np.ndarray
    items: np.ndarray

    def predict(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """mean + b_u + b_i for each pair [ratings]."""
        return self.mean + self.users[user] + self.items[item]


def fit_biases(
    user: np.ndarray, item: np.ndarray, rating: np.ndarray, users: int, items: int
) -> Biases:
    """The biases with the least squared error plus 10 b_i^2 and 15 b_u^2, summed over all.

    Koren 2010, "Factor in the neighbors", section 2.1. One kind is solved for while the other
    stays, in turn, as Surprise's BaselineOnly does: each is the mean of what the other leaves of
    the ratings, shrunk as if there were 10 (for a user: 15) ratings more, all of them average.

    Args:
        user, item, rating: who gave what how many stars [ratings].
    """
    mean = float(rating.mean())
    ratings_of_user = np.bincount(user, minlength=users)
    ratings_of_item = np.bincount(item, minlength=items)
    above = rating - mean
    of_users, of_items = np.zeros(users), np.zeros(items)
    for _ in range(ROUNDS):
        left = np.bincount(item, above - of_users[user], minlength=items)
        of_items = left / (ITEM_STRENGTH + ratings_of_item)
        left = np.bincount(user, above - of_items[item], minlength=users)
        of_users = left / (USER_STRENGTH + ratings_of_user)
    return Biases(mean, of_users, of_items)
