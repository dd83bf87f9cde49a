"""Ratings by matrix factorization: a step, what is measured, and what is drawn, by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelmill.datasets import ratings
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job, rating
from modelmill.evaluation.measures import neighbours, rated
from modelmill.files import write_json
from modelmill.models import Input, Spec, factorization
from modelmill.schema import validate
from modelmill.tasks import rating as task
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card

NAMES = ("user", "item", "rating")
META = {
    "users": 3,
    "items": 4,
    "stars": 5,
    "splits": {"train": [0, 4], "test": [4, 7]},
    "arrays": {name: {"shape": [7], "dtype": "uint8"} for name in NAMES},
}
RATINGS = [[0, 0, 4], [0, 1, 2], [1, 1, 5], [2, 3, 1], [0, 3, 3], [1, 0, 4], [2, 2, 1]]
SPEC = Spec({"user": Input((), 3), "item": Input((), 4)}, 1)
NET = {
    "factors": 2,
    "initializer": {"name": "normal", "stddev": 0.5},
    "mean": 3.5,
    "decay": 0.25,
}
RATE = 0.125
FILMS = [{"id": str(i), "title": f"Film {i}", "year": 1990, "genres": []} for i in range(4)]
CATALOGUE = {"users": ["1", "2", "3"], "items": FILMS}


def data(folder=Path()):
    columns = np.array(RATINGS, np.uint8).T
    return Processed(folder, META, dict(zip(NAMES, columns, strict=True)))


def make_fit(**keys):
    defaults = {"length": "1 steps", "batch_size": 4, "reduction": "sum", "learning_rate": RATE}
    return validate(task.Fit, {"optimizer": {"name": "sgd"}, **defaults, **keys}, "fit")


def made(**keys):
    """A model whose biases are not all 0 any more."""
    import keras

    keras.utils.set_random_seed(2)
    model = factorization.build(factorization.Net.model_validate(NET | keys), SPEC)
    rng = np.random.default_rng(3)
    for weight in model.trainable_variables:
        if weight.shape[1] == 1 and weight.shape[0] > 1:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


def tables(model):
    """mean [1, 1], b_u [3, 1], b_i [4, 1], p [3, 2], q [4, 2]: copies."""
    by_shape = {tuple(weight.shape): weight.numpy().copy() for weight in model.trainable_variables}
    return [by_shape[shape] for shape in ((1, 1), (3, 1), (4, 1), (3, 2), (4, 2))]


def by_hand(model, user, item):
    mean, of_users, of_items, p, q = tables(model)
    return mean[0, 0] + of_users[user, 0] + of_items[item, 0] + (p[user] * q[item]).sum(axis=1)


def test_what_is_asked_of_a_model_is_as_many_users_and_items():
    assert task.spec(META, make_fit()) == SPEC
    pairs = {**META["arrays"], "user": {"shape": [7, 2], "dtype": "uint8"}}
    with pytest.raises(ModelmillError, match=r"array user: examples of shape \(2,\)"):
        task.spec({**META, "arrays": pairs}, make_fit())


@pytest.mark.usefixtures("tensorflow")
def test_a_prediction_is_mean_biases_and_product():
    from modelmill.trained.inference import ratings

    model, (user, item, _) = made(), np.array(RATINGS).T
    known = np.zeros((3, 4), np.uint8)
    np.testing.assert_allclose(
        ratings(model, known, user, item), by_hand(model, user, item), rtol=1e-5
    )


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("shards", [1, 2])
def test_a_step_by_hand(shards):
    """All of a batch see the weights from before it; of what it does not name, nothing decays."""
    from modelmill.training.loop import Trainer

    model, fit = made(), make_fit(shards=shards)
    user, item, stars = np.array(RATINGS[:4]).T
    before, error = tables(model), stars - by_hand(model, user, item)
    after = [table.copy() for table in before]
    decay = NET["decay"]
    for u, i, e in zip(user, item, error, strict=True):
        after[0][0] += 2 * RATE * e
        for table, row, gradient in (
            (1, u, e),
            (2, i, e),
            (3, u, e * before[4][i]),
            (4, i, e * before[3][u]),
        ):
            after[table][row] += 2 * RATE * (gradient - decay * before[table][row])
    penalty = sum(
        (before[table][rows] ** 2).sum()
        for table, rows in ((1, user), (2, item), (3, user), (4, item))
    )
    (row,) = Trainer(model, task, fit, task.batches(data(), "train", fit, 1)).run(lambda _: None)
    for expected, found in zip(after, tables(model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(tables(model)[2][2], before[2][2])
    assert row["loss"] == pytest.approx((np.square(error).sum() + decay * penalty) / 4, rel=1e-5)
    assert row["rmse"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-5)
    assert row["examples"] == 4


@pytest.mark.usefixtures("tensorflow")
def test_only_rows_of_a_batch_have_gradients():
    """Not whole tables: a step costs what its ratings do, however many users there are."""
    import tensorflow as tf

    model, fit = made(), make_fit()
    batches = task.batches(data(), "train", fit, 1)
    batch = batches.batch(batches.load(0, 0, 1), tf.constant(0))

    @tf.function
    def kinds():
        gradients = task.learn(model, batch, {}, fit).gradients
        assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
        return [gradient.values for gradient in gradients]

    assert {len(values) for values in kinds()} == {4}


# --- evaluation ----------------------------------------------------------------------------


@pytest.mark.usefixtures("tensorflow")
def test_an_evaluation_by_hand(tmp_path):
    """Of three held-out ratings; what is predicted beyond the scale counts as its end."""
    model = made(mean=6.0)
    settings = {"model": "toy", "seed": 1, "dataset": "toy", "task": "rating"}
    settings |= {"arch": "factorization", "net": NET | {"mean": 6.0}}
    settings["fit"] = {"length": "1 step", "batch_size": 2, "optimizer": {"name": "sgd"}}
    settings["fit"]["learning_rate"] = 0.1
    card = Card(settings, SPEC, "", "", 0)
    artifacts.save(tmp_path, model, card, [{"step": 1}], np.zeros((0, 1)))
    write_json(tmp_path / ratings.CATALOGUE, CATALOGUE)
    job = Job(tmp_path, card, data(tmp_path), *[tmp_path] * 3)
    found = rating.evaluate(job, rating.Eval(split="test"))
    user, item, stars = np.array(RATINGS[4:]).T
    predicted = by_hand(model, user, item)
    assert (predicted > 5).any()
    error = predicted.clip(1, 5) - stars
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert 1 < found["rmse_of_biases"] < 2
    assert 0.5 < found["mae_of_biases"] < found["rmse_of_biases"]
    job.require_whole("test", found)
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "errors",
        "calibration",
        "neighbours",
    }


def test_groups_are_of_equally_many_ratings_in_order():
    by = np.repeat([5, 1], 10)
    given = np.full(20, 3)
    predicted = np.where(by == 1, 3.0, 3.5)
    x, errors = rated.grouped_errors(by, predicted, given)
    assert x.tolist() == [1] * 5 + [5] * 5
    assert errors.tolist() == [0] * 5 + [0.5] * 5
    x, mean = rated.calibration(predicted, given)
    assert x.tolist() == [3.0] * 5 + [3.5] * 5
    assert mean.tolist() == [3.0] * 10
    assert len(rated.calibration(predicted[:3], given[:3])[0]) == 3


@pytest.mark.usefixtures("tensorflow")
def test_biases_are_of_the_training_ratings_alone(tmp_path, monkeypatch):
    """One rating of 5 by user 1 of item 1 says that neither is average; the test split nothing."""
    from modelmill.trained import inference

    monkeypatch.setattr(artifacts, "restore", lambda folder: None)
    monkeypatch.setattr(inference, "ratings", lambda *given: np.full(len(given[-1]), 3.0))
    monkeypatch.setattr(neighbours, "draw", lambda *given: None)
    job = Job(
        tmp_path, Card({"model": "toy"}, SPEC, "", "", 0), data(), tmp_path, tmp_path, tmp_path
    )
    before = rating.evaluate(job, rating.Eval(split="test"))
    columns = {name: array.copy() for name, array in data().arrays.items()}
    columns["rating"][4:] = 6 - columns["rating"][4:]
    turned = Job(
        tmp_path, job.card, Processed(tmp_path, META, columns), tmp_path, tmp_path, tmp_path
    )
    after = rating.evaluate(turned, rating.Eval(split="test"))
    from modelmill.evaluation.measures.baselines import fit_biases

    user, item, stars = np.array(RATINGS[:4]).T
    fitted = fit_biases(user, item, stars, 3, 4)
    user, item, stars = np.array(RATINGS[4:]).T
    for found, truth in ((before, stars), (after, 6 - stars)):
        error = fitted.predict(user, item) - truth
        assert found["rmse_of_biases"] == pytest.approx(np.sqrt(np.square(error).mean()))


def test_a_damaged_catalogue_is_named_with_the_stage_that_writes_it(tmp_path):
    folder = tmp_path / "movielens"
    folder.mkdir()
    (folder / ratings.CATALOGUE).write_text("{", encoding="utf-8")
    job = SimpleNamespace(data=SimpleNamespace(folder=folder))
    with pytest.raises(ModelmillError, match="run `dvc repro preprocess@movielens`"):
        neighbours.draw(job, None, None)
