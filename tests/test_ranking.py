"""Ratings and recommendations are measured as by hand; the baselines are those of the papers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.datasets.processed import Processed
from modelmill.evaluation.measures import baselines, ranking
from modelmill.models import rbm
from modelmill.schema import validate
from modelmill.tasks import ranking as task

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


# --- the Boltzmann machine of what users have seen -------------------------------------------

NAMES = ("user", "item", "rating")
META = {
    "users": 3,
    "items": 14,
    "stars": 5,
    "splits": {"train": [0, 5], "validation": [5, 8], "test": [8, 10]},
    "arrays": {name: {"shape": [10], "dtype": "uint8"} for name in NAMES},
}
RATED = [[0, 0, 4], [0, 1, 2], [1, 1, 5], [1, 13, 1], [2, 3, 1]]  # train
RATED += [[0, 3, 3], [0, 9, 1], [2, 0, 1], [1, 0, 4], [2, 13, 1]]  # validation, test


def seen_data():
    columns = np.array(RATED, np.uint8).T
    return Processed(Path(), META, dict(zip(NAMES, columns, strict=True)))


def seen_fit(**keys):
    fit = {"length": "1 epoch", "batch_size": 3, "optimizer": {"name": "sgd"}}
    return validate(task.Fit, fit | {"learning_rate": 0.1, "gibbs_steps": 1} | keys, "fit")


def made():
    import keras

    keras.utils.set_random_seed(4)
    net = {"hidden_units": 2, "initializer": {"name": "normal", "stddev": 0.7}}
    model = rbm.build(rbm.Net.model_validate(net), task.spec(META, seen_fit()))
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def machine(tensorflow):
    return made()


def test_what_is_seen_is_that_of_the_training_ratings(machine):
    """Validation asks for its own, of those who have some; nothing of the test is anywhere."""
    import tensorflow as tf

    train = task.batches(seen_data(), "train", seen_fit(shuffle=False), 1)
    x = train.batch(train.load(0, 0, 1), tf.constant(0))["x"].numpy()
    expected = np.zeros((3, 14))
    expected[[0, 0, 1, 1, 2], [0, 1, 1, 13, 3]] = 1
    np.testing.assert_array_equal(x, expected)
    held_out = task.batches(seen_data(), "validation", seen_fit(), 1)
    batch = held_out.batch(held_out.load(0, 0, 1), tf.constant(0))
    np.testing.assert_array_equal(batch["x"], expected[[0, 2]])
    found = [np.flatnonzero(row).tolist() for row in batch["relevant"].numpy()]
    assert found == [[3, 9], [0]]


@pytest.mark.parametrize("items", [14, 8])  # of which eight do not fill a list
def test_lists_are_measured_in_training_as_in_evaluation(items, monkeypatch):
    import tensorflow as tf

    monkeypatch.setitem(META, "items", items)
    monkeypatch.setattr("test_ranking.RATED", [[u, i % items, s] for u, i, s in RATED])
    machine = made()
    held_out = task.batches(seen_data(), "validation", seen_fit(), 1)
    batch = held_out.batch(held_out.load(0, 0, 1), tf.constant(0))
    score, _ = task.measure(machine, batch, {}, seen_fit())
    weights, b, c = (w.astype(np.float64) for w in machine.get_weights())
    x, relevant = batch["x"].numpy(), batch["relevant"].numpy() > 0
    p = 1 / (1 + np.exp(-(b + (1 / (1 + np.exp(-(c + x @ weights)))) @ weights.T)))
    losses = -np.where(relevant, np.log(p), np.log(1 - p))
    found = task.metrics([float(total) / 2 for total in score.sums])
    assert float(score.predictions) == 2
    assert found["loss"] == pytest.approx(losses[x == 0].sum() / 2, rel=1e-4)
    quality = ranking.list_quality(p, x > 0, relevant)
    assert found["ndcg_at_10"] == pytest.approx(quality["ndcg_at_10"], rel=1e-5)


def test_dreams_that_are_the_data_teach_nothing(machine, monkeypatch):
    import tensorflow as tf

    rbm_layer, x = machine.layers[-1], tf.constant(np.eye(14, dtype=np.float32)[:3])
    monkeypatch.setattr(rbm_layer, "gibbs", lambda v, inputs, steps: x)
    learnt = task.learn(machine, {"x": x}, {}, seen_fit())
    assert not any(part.numpy().any() for part in learnt.gradients)
    monkeypatch.setattr(rbm_layer, "gibbs", lambda v, inputs, steps: 0 * x)
    weights, visible, hidden = task.learn(machine, {"x": x}, {}, seen_fit()).gradients
    h = rbm_layer.hidden(x).numpy()
    np.testing.assert_allclose(weights, -x.numpy().T @ h / 3, rtol=1e-5)
    np.testing.assert_allclose(visible, -x.numpy().mean(axis=0), rtol=1e-5)
    empty = rbm_layer.hidden(0 * x).numpy()
    np.testing.assert_allclose(hidden, (empty - h).mean(axis=0), rtol=1e-4, atol=1e-6)
