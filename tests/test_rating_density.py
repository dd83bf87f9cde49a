"""Boltzmann machines of ratings: what they predict by hand, and what they learn from."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.models import rating_rbm
from modelmill.schema import validate
from modelmill.tasks import rating_density

NAMES = ("user", "item", "rating")
USERS, ITEMS, STARS = 3, 4, 5
TRAIN = [[0, 0, 4], [0, 1, 2], [1, 1, 5], [2, 3, 1]]
VALIDATION, TEST = [[0, 3, 3]], [[1, 0, 4], [2, 2, 1]]
META = {
    "users": USERS,
    "items": ITEMS,
    "stars": STARS,
    "splits": {"train": [0, 4], "validation": [4, 5], "test": [5, 7]},
    "arrays": {name: {"shape": [7], "dtype": "uint8"} for name in NAMES},
}
NET = {"hidden_units": 1, "initializer": {"name": "normal", "stddev": 0.5}}
BOTH = ["item", "user"]


def data(**splits):
    """The ratings above, but for the splits that are given others."""
    parts = [
        splits.get(name, rows)
        for name, rows in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    ]
    columns = np.array([*itertools.chain(*parts)], np.uint8).T
    return Processed(Path(), META, dict(zip(NAMES, columns, strict=True)))


def make_fit(**keys):
    fit = {"length": "2 steps", "batch_size": 2, "optimizer": {"name": "sgd"}, "rows": BOTH}
    fit |= {"learning_rate": 0.1, "gibbs_steps": 1, "grow_every": 2}
    return validate(rating_density.Fit, fit | keys, "fit")


def made(rows, **net):
    import keras

    keras.utils.set_random_seed(5)
    keys = NET | net | ({"item_share": 0.75} if len(rows) > 1 else {})
    settings = rating_rbm.Net.model_validate(keys)
    spec = rating_density.spec(META, make_fit(rows=rows))
    rating_rbm.check(settings, spec)
    model = rating_rbm.build(settings, spec)
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


def predicted_by_hand(weights, known, row, unit):
    """With one hidden unit: the mean of the stars given the probability of that unit."""
    kernel, b, c = (w.astype(np.float64) for w in weights)
    kernel, b = kernel.reshape(-1, STARS), b.reshape(-1, STARS)
    h = c[0] + sum(kernel[i, stars - 1] for i, stars in enumerate(known[row]) if stars)
    p = np.exp(b[unit] + kernel[unit] / (1 + np.exp(-h)))
    return (p / p.sum()) @ np.arange(1, STARS + 1)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("rows", [["item"], ["user"], BOTH])
def test_a_prediction_by_hand(rows):
    from modelmill.trained.inference import ratings
    from modelmill.training.evidence import evidence

    model, known = made(rows), evidence(data())
    user, item = np.indices((USERS, ITEMS)).reshape(2, -1)
    found = ratings(model, known, user, item)
    of = {"item": (known.T, item, user), "user": (known, user, item)}
    for row in rows:
        table, row_numbers, units = of[row]
        weights = model.get_layer(f"{row}_rbm").get_weights()
        of[row] = [
            predicted_by_hand(weights, table, r, u) for r, u in zip(row_numbers, units, strict=True)
        ]
    shares = {"item": 0.75, "user": 0.25} if len(rows) > 1 else {rows[0]: 1}
    expected = sum(share * np.array(of[row]) for row, share in shares.items())
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.usefixtures("tensorflow")
def test_gibbs_sampling_reaches_the_probabilities_of_what_is_known_together():
    """Those of two units of 3 states each, added up over 2 hidden units; the third is unknown."""
    import keras
    import tensorflow as tf

    from modelmill.layers.softmax_rbm import SoftmaxRbm

    units, states, hidden, count = 3, 3, 2, 40_000
    rbm = SoftmaxRbm(states, hidden, keras.initializers.Zeros())
    rbm.build([(None, units), (None,)])
    draw = np.random.default_rng(4)
    weights, b, c = (draw.normal(0, 0.8, w.shape).astype(np.float32) for w in rbm.get_weights())
    rbm.set_weights([weights, b, c])
    pairs = list(itertools.product(range(states), repeat=2))
    v = np.array([[*np.eye(states)[i], *np.eye(states)[j], *np.zeros(states)] for i, j in pairs])
    p = np.exp(v @ b) * (1 + np.exp(c + v @ weights)).prod(axis=1)
    start = rbm.one_hot(tf.constant([[1, 3, 0]] * count))
    found = tf.function(rbm.gibbs)(start, rbm.inputs(start), tf.constant(40)).numpy()
    assert not found[:, 2 * states :].any()
    assert (found.reshape(count, units, states).sum(axis=2) == [1, 1, 0]).all()
    shares = (found[:, None] == v).all(axis=2).mean(axis=0)
    np.testing.assert_allclose(shares, p / p.sum(), atol=5 * 0.5 / np.sqrt(count))


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("epoch", "steps"), [(0, 1), (1, 1), (2, 2), (5, 3)])
def test_chains_grow_by_a_step_after_so_many_epochs(monkeypatch, epoch, steps):
    import tensorflow as tf

    taken = []
    model = made(["user"])
    rbm = model.get_layer("user_rbm")
    monkeypatch.setattr(rbm, "gibbs", lambda v, inputs, count: taken.append(int(count)) or v)
    batch = {"epoch": tf.fill([1], epoch), "user_stars": tf.constant([[4, 2, 0, 0]])}
    learnt = rating_density.learn(model, batch, {}, make_fit(rows=["user"]))
    assert taken == [steps]
    assert not any(gradient.numpy().any() for gradient in learnt.gradients)  # dreams are the data
    assert float(learnt.score.predictions) == 2


@pytest.mark.usefixtures("tensorflow")
def test_only_weights_of_what_is_known_are_moved():
    import tensorflow as tf

    model = made(["user"])
    batch = {"epoch": tf.fill([2], 0), "user_stars": tf.constant([[4, 2, 0, 0], [0, 5, 0, 0]])}
    learn = tf.function(lambda: rating_density.learn(model, batch, {}, make_fit(rows=["user"])))
    weights, visible, _ = (g.numpy() for g in learn().gradients)
    assert not weights[2 * STARS :].any()
    assert not visible[2 * STARS :].any()
    assert weights[: 2 * STARS].any()


@pytest.mark.usefixtures("tensorflow")
def test_what_is_learnt_from_is_the_training_ratings_alone():
    """A user's marked rating is in no batch, nor in what a rating is predicted from."""
    import tensorflow as tf

    marked = data(validation=[[2, 0, 5]], test=[[2, 1, 5], [2, 2, 5]])
    train = rating_density.batches(marked, "train", make_fit(batch_size=1), 1)
    for epoch in range(3):
        loaded = train.load(epoch, 0, train.steps)
        for index in range(train.steps):
            batch = train.batch(loaded, tf.constant(index))
            assert 5 not in batch["item_stars"][:, 2]
            (row,) = batch["user_stars"].numpy()
            assert any((row == known).all() for known in ([4, 2, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1]))
    held_out = rating_density.batches(marked, "validation", make_fit(), 1)
    batch = held_out.batch(held_out.load(0, 0, 1), tf.constant(0))
    assert batch["rating"].numpy().tolist() == [5]
    assert batch["user_stars"].numpy().tolist() == [[0, 0, 0, 1]]  # user 2
    assert batch["item_stars"].numpy().tolist() == [[4, 0, 0]]  # item 0


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("rows", [["item"], ["user"], BOTH])
def test_biases_begin_at_the_shares_of_the_stars(rows):
    model = made(rows)
    rating_density.begin(model, data(), make_fit(rows=rows))
    # Of all four ratings, 1, 2, 4 and 5 are one each: with one more of each, 2, 2, 1, 2, 2 of 9.
    everywhere = np.array([2, 2, 1, 2, 2]) / 9
    one_two = (np.array([0, 0, 0, 1, 0]) + 2.5 * everywhere) / 3.5  # one rating, of 4
    biases = model.get_layer(f"{rows[0]}_rbm").get_weights()[1].reshape(-1, STARS)
    if rows == ["user"]:
        np.testing.assert_allclose(np.exp(biases[0]), one_two, rtol=1e-5)
        np.testing.assert_allclose(np.exp(biases[2]), everywhere, rtol=1e-5)
    np.testing.assert_allclose(np.exp(biases).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.usefixtures("tensorflow")
def test_two_machines_side_by_side_learn_what_each_learns_alone(monkeypatch):
    import tensorflow as tf

    from modelmill.layers.softmax_rbm import SoftmaxRbm

    monkeypatch.setattr(SoftmaxRbm, "gibbs", lambda _, v, inputs, steps: 0 * v)
    fit, model = make_fit(), made(BOTH)
    train = rating_density.batches(data(), "train", fit, 1)
    batch = train.batch(train.load(0, 0, 1), tf.constant(0))
    learnt, count = rating_density.learn(model, batch, {}, fit), 0
    for row, gradients in (("item", learnt.gradients[:3]), ("user", learnt.gradients[3:])):
        alone = made([row])
        alone.set_weights(model.get_layer(f"{row}_rbm").get_weights())
        single = rating_density.learn(alone, batch, {}, fit)
        count += float(single.score.predictions)
        for one, other in zip(gradients, single.gradients, strict=True):
            assert other.numpy().any()
            np.testing.assert_array_equal(one, other)
    assert float(learnt.score.predictions) == count


@pytest.mark.usefixtures("tensorflow")
def test_a_training_that_goes_on_ends_in_the_same_bytes():
    from modelmill.training.loop import Trainer

    def trainer():
        fit = make_fit(length="6 epochs", batch_size=1, optimizer={"name": "sgd", "momentum": 0.5})
        train, held_out = (
            rating_density.batches(data(), split, fit, 1) for split in ("train", "validation")
        )
        return Trainer(made(BOTH), rating_density, fit, train, held_out)

    whole = trainer()
    rows, saved = [], None
    for row in whole.run(lambda _: None):
        rows.append(row)
        if len(rows) == 2:
            saved = whole.checkpoint()
    resumed = trainer()
    resumed.restore(saved, rows[:2])
    assert list(resumed.run(lambda _: None)) == rows[2:]
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


# --- what does not go together -----------------------------------------------------------------


def test_a_share_is_for_two_machines():
    net = rating_rbm.Net.model_validate(NET)
    both = rating_density.spec(META, make_fit(rows=BOTH))
    with pytest.raises(ModelmillError, match=r"needs net\.item_share for 2 kinds of rows"):
        rating_rbm.check(net, both)
    shared = net.model_copy(update={"item_share": 0.5})
    single = rating_density.spec(META, make_fit(rows=["item"]))
    with pytest.raises(ModelmillError, match=r"has no use for net\.item_share with 1 kind of rows"):
        rating_rbm.check(shared, single)


def test_a_machine_is_named_once():
    with pytest.raises(ModelmillError, match="rows"):
        make_fit(rows=["item", "item"])


@pytest.mark.usefixtures("tensorflow")
def test_two_tables_are_cut_into_as_many_batches():
    """Five of two rows, and five of one: each row at most once a pass, in another order each."""
    import tensorflow as tf

    from modelmill.training.evidence import Rows

    first, second = np.eye(11, dtype=np.uint8), np.eye(7, dtype=np.uint8)
    first[4] = 0  # of which nothing is known
    rows = Rows({"item_stars": first, "user_stars": second}, 2, 1, shuffle=True)
    assert rows.steps == 5
    with pytest.raises(ModelmillError, match=r"fit\.shuffle: rows of two kinds"):
        Rows({"item_stars": first, "user_stars": second}, 2, 1, shuffle=False)
    passes = []
    for epoch in range(2):
        loaded = rows.load(epoch, 0, 5)
        batches = [rows.batch(loaded, tf.constant(index)) for index in range(5)]
        assert {tuple(batch["epoch"].numpy()) for batch in batches} == {(epoch, epoch)}
        items, users = (
            [row.argmax() for batch in batches for row in batch[name].numpy()]
            for name in ("item_stars", "user_stars")
        )
        assert sorted(items) == [n for n in range(11) if n != 4]
        assert len(set(users)) == 5
        passes.append((items, users))
    assert passes[0] != passes[1]
