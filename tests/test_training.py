"""The training loop, its optimizers and schedules, against values known by hand or from Keras."""

import math

import numpy as np
import psutil
import pytest
from pydantic import TypeAdapter

from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.models import Spec, linear, recurrent_lm
from modelmill.schema import validate
from modelmill.tasks import classification, language_modeling, reconstruction, regression
from modelmill.training import settings as schema

pytestmark = pytest.mark.usefixtures("tensorflow")
ZERO = {"name": "constant", "value": 0.0}


def make_fit(**keys):
    defaults = {
        "length": "2 epochs",
        "batch_size": 4,
        "optimizer": {"name": "sgd"},
        "learning_rate": 0.1,
    }
    return validate(schema.Fit, defaults | keys, "fit")


def optimizer(**keys):
    return TypeAdapter(schema.Optimizer).validate_python(keys)


def trained(build, net, spec, task, fit, arrays, validation=None):
    """Weights, history and losses by call of a fresh model trained from seed 1."""
    import keras

    from modelmill.training import batches
    from modelmill.training.loop import Trainer

    keras.utils.set_random_seed(1)
    model = build(net, spec)
    held_out = validation and batches.validation(validation, task.TARGETS, 1.0, fit, 1)
    train = batches.training(arrays, task.TARGETS, 1.0, fit, 1)
    trainer = Trainer(model, task, fit, train, held_out)
    rows = list(trainer.run(lambda step, metrics: None))
    return model, rows


def clusters(count=64):
    """Three well separated clusters in the plane."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, count).astype(np.uint8)
    centres = np.array([[0, 3], [3, -2], [-3, -2]])
    return {"x": (centres[y] + rng.normal(0, 0.3, (count, 2))).astype(np.float32), "y": y}


def train_classifier(**keys):
    net = linear.Net.model_validate({"bias": True, "initializer": ZERO})
    data = clusters()
    fit = make_fit(**keys)
    return trained(linear.build, net, Spec((2,), 3), classification, fit, data, data)


def train_language_model(cell="lstm", tokens=None, dropout=0.0, **keys):
    net = recurrent_lm.Net.model_validate(
        {
            "cell": cell,
            "embedding": 6,
            "units": 8,
            "layers": 2,
            "dropout": dropout,
            "initializer": {"name": "uniform", "limit": 0.3},
        }
    )
    fit = make_fit(**{"num_steps": 5, "clip_norm": 5.0, "learning_rate": 0.5} | keys)
    tokens = np.tile(np.arange(7, dtype=np.uint8), 60) if tokens is None else tokens
    data = {"tokens": tokens}
    spec = Spec((5,), 7)
    return trained(recurrent_lm.build, net, spec, language_modeling, fit, data, data)


# --- schedules and optimizers --------------------------------------------------------------


def rates(schedule, count, steps_per_epoch):
    from modelmill.training.schedules import learning_rates

    return learning_rates(
        make_fit(learning_rate=1.0, schedule=schedule), 0, count, steps_per_epoch
    ).tolist()


def test_constant_rate():
    assert rates({"name": "constant"}, 3, 2) == [1, 1, 1]


def test_rate_halved_each_epoch_after_the_second():
    schedule = {"name": "decay_after", "epoch": 2, "decay": 0.5}
    assert rates(schedule, 8, 2) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_exponential_rate_in_stairs_and_smooth():
    stairs = {"name": "exponential", "decay": 0.25, "every": "1 epoch"}
    assert rates(stairs, 5, 2) == [1, 1, 0.25, 0.25, 0.0625]
    assert rates(stairs | {"staircase": False}, 3, 2) == [1, 0.5, 0.25]
    assert rates(stairs | {"every": "1 step"}, 3, 2) == [1, 0.25, 0.0625]


def applied(settings, start, gradients, rate):
    """The variable after each of `gradients` is applied to it."""
    import tensorflow as tf

    from modelmill.training import optimizers

    variable = tf.Variable(np.float32(start))
    update, _ = optimizers.build(settings, [variable])
    values = []
    for gradient in gradients:
        rate_ = tf.constant(np.float32(rate))
        update([tf.constant(np.float32(gradient))], rate_, tf.constant(1.0))
        values.append(float(variable.numpy()))
    return values


def test_gradient_descent():
    assert applied(optimizer(name="sgd"), 1.0, [2.0, -1.0], 0.1) == pytest.approx([0.8, 0.9])


def test_adam_follows_the_paper():
    mean = square = 0.0
    value, expected = 1.0, []
    for t, gradient in enumerate([0.5, -2.0, 0.1], start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        value -= rate * mean / (math.sqrt(square) + 1e-8)
        expected.append(value)
    found = applied(optimizer(name="adam"), 1.0, [0.5, -2.0, 0.1], 0.01)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("initial", [1.0, 0.0])
def test_rmsprop_follows_tensorflow_1(initial):
    square, value, expected = initial, 1.0, []
    for gradient in [0.5, -2.0, 0.1]:
        square = 0.9 * square + 0.1 * gradient**2
        value -= 0.01 * gradient / math.sqrt(square + 1e-10)
        expected.append(value)
    settings = optimizer(name="rmsprop", initial_accumulator=initial)
    assert applied(settings, 1.0, [0.5, -2.0, 0.1], 0.01) == pytest.approx(expected, rel=1e-5)


def test_clipping_scales_all_gradients_by_their_joint_norm():
    import tensorflow as tf

    from modelmill.training import optimizers

    gradients = [tf.constant([3.0]), tf.constant([4.0])]
    assert optimizers.clipping(gradients, 2.5) == 0.5
    assert optimizers.clipping(gradients, 9.0) == 1.0
    variable = tf.Variable(1.0)
    update, _ = optimizers.build(optimizer(name="sgd"), [variable])
    update([tf.constant(4.0)], tf.constant(0.1), tf.constant(0.5))
    assert variable.numpy() == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_rows_of_an_embedding_are_updated_as_the_whole_would_be(name):
    import tensorflow as tf

    from modelmill.training import optimizers

    values = np.float32([[1, 2], [3, 4], [5, 6], [7, 8]])
    parts = [
        tf.IndexedSlices(tf.constant(values[:2]), tf.constant([4, 1]), tf.constant([6, 2])),
        tf.IndexedSlices(tf.constant(values[2:]), tf.constant([1, 0]), tf.constant([6, 2])),
    ]
    rows = optimizers.total(parts)
    whole = optimizers.total([tf.convert_to_tensor(part) for part in parts])
    np.testing.assert_array_equal(whole[1], values[1] + values[2])
    norms = [tf.linalg.global_norm([gradient]).numpy() for gradient in (rows, whole)]
    assert norms[0] == pytest.approx(norms[1])
    updated = []
    for gradient in (rows, whole):
        variable = tf.Variable(np.ones((6, 2), np.float32))
        update, _ = optimizers.build(optimizer(name=name), [variable])
        update([gradient], tf.constant(0.1), tf.constant(0.5))
        updated.append(variable.numpy())
    np.testing.assert_array_equal(*updated)


# --- batches -------------------------------------------------------------------------------


def collect(batches, epoch):
    import tensorflow as tf

    loaded = batches.load(epoch, 0, batches.steps)
    pairs = [batches.batch(loaded, tf.constant(i)) for i in range(batches.steps)]
    return [[tensor.numpy() for tensor in pair] for pair in pairs]


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    from modelmill.training.batches import Examples

    x = np.arange(20, dtype=np.uint8)
    batches = Examples(x, x, 0.5, 4, seed=3, shuffle=True, keep_rest=False)
    orders = []
    for epoch in (0, 1, 0):
        pairs = collect(batches, epoch)
        assert all(xs.tolist() == (ys / 2).tolist() for xs, ys in pairs)
        orders.append(np.concatenate([ys for _, ys in pairs]).tolist())
    assert sorted(orders[0]) == sorted(orders[1]) == x.tolist()
    assert orders[0] == orders[2] != orders[1] != x.tolist()


@pytest.mark.parametrize("count", [7, 8, 9])
def test_measuring_keeps_the_rest_and_training_drops_it(count):
    from modelmill.training.batches import Examples

    x = np.arange(count, dtype=np.uint8)
    measured = Examples(x, x, 1.0, 4, seed=3, shuffle=False, keep_rest=True)
    found = np.concatenate([ys for _, ys in collect(measured, 0)])
    assert found.tolist() == x.tolist()
    assert measured.predictions == count
    assert Examples(x, x, 1.0, 4, 3, False, keep_rest=False).predictions == count // 4 * 4


def test_too_few_examples_are_an_error_with_the_numbers():
    from modelmill.training.batches import Examples

    with pytest.raises(ModelmillError, match="3 examples do not fill one batch of 4"):
        Examples(np.zeros(3), np.zeros(3), 1.0, 4, 1, True, keep_rest=False)


def test_inputs_that_are_their_own_targets_lose_the_share_that_is_to_be_corrupted():
    from modelmill.training.batches import Examples

    x = np.full((200, 50), 200, np.uint8)

    def inputs(seed, epoch):
        batches = Examples(x, None, 1 / 200, 100, seed, False, keep_rest=False, corruption=0.3)
        pairs = collect(batches, epoch)
        assert all((target == 1).all() for _, target in pairs)
        return np.concatenate([inputs for inputs, _ in pairs])

    first = inputs(1, 0)
    assert set(np.unique(first)) == {0, 1}
    assert np.mean(first == 0) == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(first, inputs(1, 0))
    for other in (inputs(1, 1), inputs(2, 0), first[::-1]):
        assert np.mean(first != other) == pytest.approx(2 * 0.3 * 0.7, abs=0.03)


def test_windows_are_those_of_the_streams():
    from modelmill.training.batches import Windows

    tokens = np.arange(100, dtype=np.uint8)
    streams = Streams(tokens, 3, 4)
    for window, (x, y) in enumerate(collect(Windows(tokens, 3, 4), 0)):
        assert x.tolist() == streams.block(window)[:, :-1].tolist()
        assert (y == x + 1).all()


def test_a_corpus_larger_than_memory_is_read_only_where_it_is_needed(tmp_path):
    from modelmill.training.batches import Windows

    count = 2 * psutil.virtual_memory().total  # a sparse file: nothing but its end is stored
    tokens = np.lib.format.open_memmap(tmp_path / "tokens.npy", "w+", np.uint8, (count,))
    tokens[-1] = 7
    before = psutil.Process().memory_info().rss
    windows = Windows(np.load(tmp_path / "tokens.npy", mmap_mode="r"), 64, 50)
    for first in (0, windows.steps // 2, windows.steps - 4):
        loaded = windows.load(0, first, 4)
        assert loaded.shape == (64, 4 * 50 + 1)
    assert windows.predictions > count - 64 * 51
    assert psutil.Process().memory_info().rss - before < 50e6


# --- the loop ------------------------------------------------------------------------------


def test_one_step_of_least_squares_by_hand():
    net = linear.Net.model_validate({"bias": False, "initializer": ZERO})
    data = {"x": np.array([[1.0], [2.0]], np.float32), "y": np.array([[2.0], [3.0]], np.float32)}
    fit = make_fit(batch_size=2, length="1 step", learning_rate=0.01)
    model, rows = trained(linear.build, net, Spec((1,), 1), regression, fit, data)
    # d/dw of the mean of (y - wx)^2 at w = 0 is -(2 * 1 * 2 + 2 * 2 * 3) / 2 = -8.
    assert model.weights[0].numpy().item() == pytest.approx(0.08)
    assert rows[0]["loss"] == pytest.approx((4 + 9) / 2)


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 2), ("sum_over_steps", 1)])
def test_reductions_scale_the_gradient(reduction, factor):
    net = linear.Net.model_validate({"bias": False, "initializer": ZERO})
    data = {"x": np.array([[1.0], [2.0]], np.float32), "y": np.array([[2.0], [3.0]], np.float32)}
    fit = make_fit(batch_size=2, length="1 step", learning_rate=0.01, reduction=reduction)
    model, _ = trained(linear.build, net, Spec((1,), 1), regression, fit, data)
    assert model.weights[0].numpy().item() == pytest.approx(0.08 * factor)


def test_a_classifier_learns_and_its_history_says_so():
    _, rows = train_classifier(length="6 epochs", validate_every="10 steps")
    assert [row["step"] for row in rows[:3]] == [10, 16, 26]
    assert rows[0]["epoch"] == 10 / 16
    assert rows[-1]["validation_accuracy"] == 1.0
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]


def test_half_the_squared_error_of_sigmoids_by_hand():
    import tensorflow as tf

    logits = tf.math.log([[1.0, 3.0, 1 / 3], [1.0, 1.0, 1.0]])  # sigmoids 1/2, 3/4, 1/4; all 1/2
    score = classification.score(logits, tf.constant([1, 0]), "half_squared_error")
    first = (0.5**2 + 0.25**2 + 0.25**2) / 2
    np.testing.assert_allclose(score, [first + 3 * 0.5**2 / 2, 2], rtol=1e-6)


def test_a_reconstruction_is_held_against_its_input():
    import tensorflow as tf

    spec = reconstruction.spec({"input_shape": [2, 3]}, make_fit())
    assert spec == Spec((2, 3), 6)
    score = reconstruction.score(tf.fill([4, 2, 3], 0.5), tf.zeros([4, 2, 3]), "squared_error")
    np.testing.assert_allclose(score, [4 * 6 * 0.25])


def test_laps_of_several_epochs():
    _, rows = train_classifier(length="7 epochs", validate_every="3 epochs")
    assert [row["epoch"] for row in rows] == [3, 6, 7]


def test_a_training_that_no_longer_improves_ends():
    stop = {"metric": "loss", "min_change": 0.05, "patience": 2}
    _, rows = train_classifier(length="50 epochs", stop=stop)
    losses = [row["loss"] for row in rows]
    assert 3 < len(rows) < 50
    best = np.minimum.accumulate(losses)[:-1]
    improved = best - losses[1:] >= 0.05
    assert improved[:-2].any()
    assert not improved[-2:].any()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_language_model_learns_a_repeating_text(cell):
    _, rows = train_language_model(
        cell, length="40 epochs", optimizer={"name": "adam"}, learning_rate=0.01
    )
    assert rows[0]["perplexity"] > 4
    assert rows[-1]["validation_perplexity"] < 1.5
    assert rows[-1]["validation_perplexity"] == pytest.approx(math.exp(rows[-1]["validation_loss"]))


def train_with_dropout():
    return train_language_model(dropout=0.3, shards=2)


@pytest.mark.parametrize("train", [train_classifier, train_language_model, train_with_dropout])
def test_training_again_gives_the_same_bytes_however_steps_are_divided(train, monkeypatch):
    from modelmill.training import loop

    model, rows = train()
    monkeypatch.setattr(loop, "CALL_SECONDS", 0.0)  # one step a call
    again, rows_again = train()
    assert rows == rows_again
    for one, other in zip(model.weights, again.weights, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("train", [train_classifier, train_language_model])
def test_shards_add_up_to_the_whole_batch(train):
    whole, rows = train(shards=1)
    parts, rows_of_parts = train(shards=3)
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-3, atol=1e-5)
    assert rows[-1]["validation_loss"] == pytest.approx(
        rows_of_parts[-1]["validation_loss"], rel=1e-3
    )


def test_a_loss_that_is_no_number_stops_with_the_step():
    net = linear.Net.model_validate({"bias": True, "initializer": ZERO})
    x = np.linspace(1, 9, 16, dtype=np.float32)[:, None]
    fit = make_fit(length="50 epochs", learning_rate=1e3)
    with pytest.raises(ModelmillError, match=r"loss became (nan|inf) at step \d+: try a smaller"):
        trained(linear.build, net, Spec((1,), 1), regression, fit, {"x": x, "y": x})
