"""The training loop, its optimizers and schedules, against values known by hand or from Keras."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from pydantic import TypeAdapter

from modelmill.datasets.processed import Processed
from modelmill.datasets.streams import Streams
from modelmill.errors import ModelmillError
from modelmill.models import Spec, linear, recurrent_lm
from modelmill.schema import validate
from modelmill.tasks import classification, language_modeling, reconstruction, regression
from modelmill.training import settings as schema
from modelmill.training import supervised
from modelmill.training.task import Score

pytestmark = pytest.mark.usefixtures("tensorflow")
ZERO = {"name": "constant", "value": 0.0}


def make_fit(task=classification, **keys):
    defaults = {
        "length": "2 epochs",
        "batch_size": 4,
        "optimizer": {"name": "sgd"},
        "learning_rate": 0.1,
    }
    return validate(task.Fit, defaults | keys, "fit")


def optimizer(**keys):
    return TypeAdapter(schema.Optimizer).validate_python(keys)


def trained(build, net, spec, task, fit, arrays, validation=None):
    """A fresh model trained from seed 1, and its history."""
    import keras

    from modelmill.training.loop import Trainer

    keras.utils.set_random_seed(1)
    model = build(net, spec)
    data = both(arrays, validation)
    train = task.batches(data, "train", fit, 1)
    held_out = task.batches(data, "validation", fit, 1) if validation else None
    trainer = Trainer(model, task, fit, train, held_out)
    return model, list(trainer.run(lambda metrics: None))


def both(train, validation=None):
    """A data set of these arrays, in a split each."""
    count, parts = len(next(iter(train.values()))), [train, *[validation] * bool(validation)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in train}
    splits = {"train": [0, count]}
    if validation:
        splits["validation"] = [count, len(next(iter(arrays.values())))]
    return Processed(Path(), {"splits": splits}, arrays)


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
    spec = Spec.examples((2,), 3)
    return trained(linear.build, net, spec, classification, fit, data, data)


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
    fit = make_fit(
        language_modeling, **{"num_steps": 5, "clip_norm": 5.0, "learning_rate": 0.5} | keys
    )
    tokens = np.tile(np.arange(7, dtype=np.uint8), 60) if tokens is None else tokens
    data = {"tokens": tokens}
    spec = language_modeling.windows_of(5, 7)
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
        values.append(variable.numpy().item())
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
    found = [batches.batch(loaded, tf.constant(i)) for i in range(batches.steps)]
    return [[tensor.numpy() for tensor in batch.values()] for batch in found]


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    from modelmill.training.batches import Examples

    x = np.arange(20, dtype=np.uint8)
    arrays = {"x": x, "y": x, "z": x.astype(np.float64)}
    batches = Examples(arrays, {"x": 0.5}, 4, 3, shuffle=True, keep_rest=False)
    orders = []
    for epoch in (0, 1, 0):
        pairs = collect(batches, epoch)
        assert all(xs.tolist() == (ys / 2).tolist() for xs, ys, _ in pairs)
        assert all(zs.dtype == np.float32 and zs.tolist() == ys.tolist() for _, ys, zs in pairs)
        orders.append(np.concatenate([ys for _, ys, _ in pairs]).tolist())
    assert sorted(orders[0]) == sorted(orders[1]) == x.tolist()
    assert orders[0] == orders[2] != orders[1] != x.tolist()


@pytest.mark.parametrize("count", [7, 8, 9])
def test_measuring_keeps_the_rest_and_training_drops_it(count):
    from modelmill.training.batches import Examples

    x = np.arange(count, dtype=np.uint8)
    measured = Examples({"x": x, "y": x}, {}, 4, 3, shuffle=False, keep_rest=True)
    found = np.concatenate([ys for _, ys in collect(measured, 0)])
    assert found.tolist() == x.tolist()
    trained_on = Examples({"x": x, "y": x}, {}, 4, 3, False, keep_rest=False)
    assert sum(len(ys) for _, ys in collect(trained_on, 0)) == count // 4 * 4


def test_too_few_examples_are_an_error_with_the_numbers():
    from modelmill.training.batches import Examples

    with pytest.raises(ModelmillError, match="3 examples do not fill one batch of 4"):
        Examples({"x": np.zeros(3)}, {}, 4, 1, True, keep_rest=False)


def test_inputs_that_are_their_own_targets_lose_the_share_that_is_to_be_corrupted():
    x = np.full((200, 50), 200, np.uint8)
    data = Processed(Path(), {"splits": {"train": [0, 200]}, "scale": 1 / 200}, {"x": x})
    fit = make_fit(reconstruction, batch_size=100, shuffle=False, corruption=0.3)

    def inputs(seed, epoch):
        batches = reconstruction.batches(data, "train", fit, seed)
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
    assert windows.steps * 64 * 50 > count - 64 * 51
    assert psutil.Process().memory_info().rss - before < 50e6


# --- the loop ------------------------------------------------------------------------------


def test_one_step_of_least_squares_by_hand():
    net = linear.Net.model_validate({"bias": False, "initializer": ZERO})
    data = {"x": np.array([[1.0], [2.0]], np.float32), "y": np.array([[2.0], [3.0]], np.float32)}
    fit = make_fit(regression, batch_size=2, length="1 step", learning_rate=0.01)
    model, rows = trained(linear.build, net, Spec.examples((1,), 1), regression, fit, data)
    # d/dw of the mean of (y - wx)^2 at w = 0 is -(2 * 1 * 2 + 2 * 2 * 3) / 2 = -8.
    assert model.weights[0].numpy().item() == pytest.approx(0.08)
    assert rows[0]["loss"] == pytest.approx((4 + 9) / 2)
    data["y"] = data["y"].astype(np.uint8)
    whole, _ = trained(linear.build, net, Spec.examples((1,), 1), regression, fit, data)
    assert whole.weights[0].numpy().item() == model.weights[0].numpy().item()


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 2), ("mean", 1)])
def test_reductions_scale_the_gradient(reduction, factor):
    net = linear.Net.model_validate({"bias": False, "initializer": ZERO})
    data = {"x": np.array([[1.0], [2.0]], np.float32), "y": np.array([[2.0], [3.0]], np.float32)}
    fit = make_fit(
        regression, batch_size=2, length="1 step", learning_rate=0.01, reduction=reduction
    )
    model, _ = trained(linear.build, net, Spec.examples((1,), 1), regression, fit, data)
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
    score, _ = classification.score(logits, tf.constant([1, 0]), "half_squared_error")
    first = (0.5**2 + 0.25**2 + 0.25**2) / 2
    np.testing.assert_allclose(score, [first + 3 * 0.5**2 / 2, 2], rtol=1e-6)


def test_a_reconstruction_is_held_against_its_input():
    import tensorflow as tf

    spec = reconstruction.spec({"input_shape": [2, 3]}, make_fit(reconstruction))
    assert spec == Spec.examples((2, 3), 6)
    score = supervised.squared_error(tf.fill([4, 2, 3], 0.5), tf.zeros([4, 2, 3]))
    np.testing.assert_allclose(score.sums, [4 * 6 * 0.25])
    assert score.predictions == 4


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
    from modelmill.training import pace

    model, rows = train()
    monkeypatch.setattr(pace, "CALL_SECONDS", 0.0)  # one step a call
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
    fit = make_fit(regression, length="50 epochs", learning_rate=1e3)
    with pytest.raises(ModelmillError, match=r"loss became (nan|inf) at step \d+: try a smaller"):
        trained(linear.build, net, Spec.examples((1,), 1), regression, fit, {"x": x, "y": x})


# --- what would otherwise be silently wrong ------------------------------------------------


def with_layer(layer):
    """A model of two inputs whose first layer is `layer()`, and three logits."""
    import keras

    def build(net, spec):
        inputs = keras.Input((2,))
        inputs.name = "x"
        return keras.Model([inputs], keras.layers.Dense(3)(layer()(inputs)))

    return build


def train_layer(layer, **keys):
    data = clusters()
    return trained(
        with_layer(layer),
        None,
        Spec.examples((2,), 3),
        classification,
        make_fit(**keys),
        data,
        data,
    )


def test_a_constraint_holds_after_every_update():
    import keras

    free, _ = train_layer(lambda: keras.layers.Dense(5, "tanh"), learning_rate=1.0)
    held, _ = train_layer(
        lambda: keras.layers.Dense(5, "tanh", kernel_constraint=keras.constraints.MaxNorm(0.5)),
        learning_rate=1.0,
    )
    norms = [np.linalg.norm(model.layers[1].kernel.numpy(), axis=0) for model in (free, held)]
    assert norms[0].max() > 0.6
    assert norms[1].max() <= 0.5 + 1e-6


@pytest.mark.parametrize("shards", [1, 2])
def test_a_regularizer_adds_to_the_loss_and_pulls_at_the_weights(shards):
    import keras

    def layer(rate):
        return lambda: keras.layers.Dense(
            5, "tanh", kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(rate)
        )

    keys = {"length": "1 step", "batch_size": 64, "learning_rate": 0.1, "shards": shards}
    (without, (plain,)), (pulled, (penalised,)) = (train_layer(layer(r), **keys) for r in (0, 0.3))
    # 0.3 * the sum of squares of ten ones; its gradient is 2 * 0.3 each.
    assert penalised["loss"] - plain["loss"] == pytest.approx(0.3 * 10, rel=1e-5)
    kernels = [model.layers[1].kernel.numpy() for model in (without, pulled)]
    np.testing.assert_allclose(kernels[0] - kernels[1], 0.1 * 2 * 0.3, rtol=1e-4)
    assert penalised["validation_loss"] > plain["validation_loss"] + 0.3 * 10 * 0.8


def test_what_a_layer_adds_counts_no_shard_without_examples(tensorflow):
    """Of the last examples for validation there may be fewer than shards."""
    tf = tensorflow
    mean_of_none = tf.reduce_mean(tf.zeros([0]))
    empty = Score(tf.zeros([2]), tf.constant(0.0))
    found = supervised.penalised(SimpleNamespace(losses=[mean_of_none]), empty)
    assert found.sums.numpy().tolist() == [0, 0]


def test_momentum_and_weight_decay_follow_their_papers():
    gradients, value, velocity, expected = [2.0, -1.0, 0.5], 1.0, 0.0, []
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        value -= 0.1 * velocity
        expected.append(value)
    found = applied(optimizer(name="sgd", momentum=0.9), 1.0, gradients, 0.1)
    assert found == pytest.approx(expected)

    value, velocity, expected = 1.0, 0.0, []
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        value -= 0.1 * (gradient + 0.9 * velocity)
        expected.append(value)
    nesterov = optimizer(name="sgd", momentum=0.9, nesterov=True)
    assert applied(nesterov, 1.0, gradients, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize("keys", [{"name": "sgd"}, {"name": "sgd", "momentum": 0.5}])
def test_decay_is_part_of_the_gradient_of_matrices_alone(keys):
    decayed = optimizer(**keys, weight_decay=0.2)
    # The first step of momentum is one of plain descent: 3 - 0.1 * (1 + 0.2 * 3).
    assert applied(decayed, [[3.0]], [[[1.0]]], 0.1) == pytest.approx([2.84])
    assert applied(decayed, 3.0, [1.0], 0.1) == pytest.approx([2.9])


def test_adam_decays_beside_the_gradient():
    plain, decayed = optimizer(name="adam"), optimizer(name="adam", weight_decay=0.2)
    without, with_it = (applied(o, [[3.0]], [[[1.0]]], 0.1)[0] for o in (plain, decayed))
    assert without - with_it == pytest.approx(0.1 * 0.2 * 3.0)


def test_rates_along_half_a_cosine_and_a_line_after_a_warmup():
    cosine = {"name": "cosine", "floor": 0.2}  # of 2 epochs of 2 steps
    assert rates(cosine, 4, 2) == pytest.approx(
        [0.2 + 0.8 * (1 + math.cos(math.pi * done)) / 2 for done in (0, 0.25, 0.5, 0.75)]
    )
    assert rates({"name": "linear"}, 4, 2) == pytest.approx([1, 0.75, 0.5, 0.25])
    warm = {"name": "constant", "warmup": "4 steps"}
    assert rates(warm, 6, 2) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_a_training_may_wait_for_a_metric_to_rise_no_more():
    stop = {"metric": "validation_accuracy", "patience": 2}
    _, rows = train_classifier(length="50 epochs", stop=stop)
    accuracies = [row["validation_accuracy"] for row in rows]
    assert len(rows) < 50
    assert accuracies[-3] == max(accuracies)


def two_outputs(inputs):
    import keras

    return [keras.layers.Dense(1)(inputs) for _ in range(2)]


def beside_an_unused_weight(inputs):
    import keras

    class Idle(keras.layers.Layer):
        def build(self, shape):
            self.add_weight(shape=(2,), name="unused")

        def call(self, inputs):
            return inputs

    return keras.layers.Dense(1)(Idle(name="idle")(inputs))


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (two_outputs, "the model has 2 outputs, and the task asks for one"),
        (beside_an_unused_weight, "the loss does not depend on the model's idle/unused"),
    ],
)
def test_a_model_that_cannot_learn_the_task_is_refused_in_one_line(outputs, problem):
    import keras

    def build(net, spec):
        inputs = keras.Input((1,), name="x")
        return keras.Model([inputs], outputs(inputs))

    data = {name: np.ones((4, 1), np.float32) for name in "xy"}
    fit = make_fit(regression, batch_size=2, length="1 step", learning_rate=0.01)
    with pytest.raises(ModelmillError, match=f"^{problem}$"):
        trained(build, None, Spec.examples((1,), 1), regression, fit, data)


def test_integers_to_be_predicted_are_numbers_of_any_size():
    import tensorflow as tf

    data = both({"x": np.ones((2, 1), np.float32), "y": np.array([[3 * 10**9], [-7]])})
    batches = regression.batches(data, "train", make_fit(regression, batch_size=2), 1)
    batch = batches.batch(batches.load(0, 0, 1), tf.constant(0))
    assert sorted(batch["y"].numpy().ravel().tolist()) == [-7, 3e9]


def test_targets_of_another_shape_are_refused_where_they_meet_the_outputs():
    net = linear.Net.model_validate({"bias": False, "initializer": ZERO})
    data = {"x": np.ones((8, 1), np.float32), "y": np.ones(8, np.float32)}
    with pytest.raises(
        ModelmillError, match=r"^the model's outputs have shape \(1,\), their targets \(\)$"
    ):
        trained(linear.build, net, Spec.examples((1,), 1), regression, make_fit(regression), data)


@pytest.mark.parametrize(
    ("task", "y", "problem"),
    [
        (regression, {"shape": [8], "dtype": "float32"}, r"array y: examples of shape \(\), where"),
        (classification, {"shape": [8], "dtype": "float32"}, "float32 numbers are no classes"),
        (classification, {"shape": [8, 3], "dtype": "uint8"}, r"examples of shape \(3,\)"),
    ],
)
def test_arrays_that_a_task_has_no_use_for_are_refused_before_anything_starts(task, y, problem):
    meta = {"input_shape": [2], "outputs": 1, "arrays": {"y": y}}
    with pytest.raises(ModelmillError, match=problem):
        task.spec(meta, make_fit(task))


def test_statistics_of_whole_batches_are_refused_with_shards_and_kept_without():
    import keras

    from modelmill.training.session import Training

    data = both(clusters())
    data.meta["class_names"] = ["a", "b", "c"]
    spec = Spec.examples((2,), 3)

    def training(shards):
        entry = SimpleNamespace(
            task="classification", arch="linear", net=None, fit=make_fit(shards=shards)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(linear, "build", with_layer(keras.layers.BatchNormalization))
            return Training("m", entry, spec, data, 1)

    with pytest.raises(ModelmillError, match=r"m\.fit\.shards: layer 'batch_norm.*only 1 shard"):
        training(2)
    one = training(1)
    one.run()
    assert np.abs(one.model.layers[1].moving_mean.numpy()).max() > 0.01
