"""Our layers against Keras' own, and random numbers against what chance allows."""

import os

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")
UNITS, FEATURES, STEPS = 3, 2, 5


def normal(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def differentiated(layer, x, state, weights):
    """Outputs and last state, and gradients of a sum of them by inputs, state and weights."""
    import tensorflow as tf

    x, *state = map(tf.constant, (x, *state))
    with tf.GradientTape() as tape:
        tape.watch([x, *state])
        results = layer(x, state)
        loss = sum(tf.reduce_sum(result * normal(*result.shape)) for result in results)
    return results, tape.gradient(loss, [x, *state, *weights])


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_recurrent_cells_and_their_gradients_equal_keras_own(cell):
    import keras

    from modelmill.layers.recurrent import GATES, STATES, Recurrent

    ours = Recurrent(cell, UNITS, forget_bias=1.0, bias_initializer="normal")
    theirs = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
    theirs = theirs[cell](UNITS, return_sequences=True, return_state=True)
    x, state = normal(4, STEPS, FEATURES), [normal(4, UNITS)] * STATES[cell]
    ours.build(x.shape)
    theirs.build(x.shape)
    kernel, bias = (weight.numpy() for weight in ours.weights)
    if cell == "lstm":
        bias = bias + np.repeat(np.float32([0, 1, 0, 0]), UNITS)
    if cell == "gru":  # Keras has a second bias, of the product
        bias = np.stack([bias, np.zeros(GATES[cell] * UNITS, np.float32)])
    theirs.set_weights([kernel[:FEATURES], kernel[FEATURES:], bias])
    found, gradients = differentiated(ours, x, state, [w.value for w in ours.weights])
    expected, (*expected_gradients, of_inputs, of_outputs, of_bias) = differentiated(
        lambda x, state: theirs(x, initial_state=state), x, state, [w.value for w in theirs.weights]
    )
    expected_gradients += [np.concatenate([of_inputs, of_outputs])]
    expected_gradients += [of_bias[0] if cell == "gru" else of_bias]
    for one, other in zip([*found, *gradients], [*expected, *expected_gradients], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_logits_are_those_of_a_dense_layer_with_the_same_initial_values():
    import keras

    from modelmill.layers.logits import Logits

    def initial():
        normals = [keras.initializers.RandomNormal(seed=seed) for seed in (1, 2)]
        return dict(zip(("kernel_initializer", "bias_initializer"), normals, strict=True))

    ours, theirs = Logits(UNITS, use_bias=True, **initial()), keras.layers.Dense(UNITS, **initial())
    for layer in (ours, theirs):
        layer.build((4, FEATURES))
    found, (of_x, of_rows, of_bias) = differentiated(
        lambda x, state: [ours(x)], normal(4, FEATURES), [], [w.value for w in ours.weights]
    )
    expected, (*gradients, of_bias_too) = differentiated(
        lambda x, state: [theirs(x)], normal(4, FEATURES), [], [w.value for w in theirs.weights]
    )
    pairs = zip(
        [*found, of_x, np.transpose(of_rows), of_bias],
        [*expected, *gradients, of_bias_too],
        strict=True,
    )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (4, 5)])
def test_cross_entropy_and_its_gradient_equal_tensorflows(shape):
    import tensorflow as tf

    from modelmill.layers.cross_entropy import cross_entropy

    logits = tf.constant(30 * normal(*shape, 7))
    targets = tf.constant(np.random.default_rng(0).integers(0, 7, shape), tf.int32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        found = cross_entropy(logits, targets)
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        *(tape.gradient(losses, logits, normal(*shape)) for losses in (found, expected)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_cross_entropy_of_logits_too_large_for_an_exponential():
    from modelmill.layers.cross_entropy import cross_entropy

    assert cross_entropy(np.float32([[1000, 0]]), np.int32([1])).numpy() == [1000]


# --- dropout -------------------------------------------------------------------------------


def dropped(layer, x):
    """The outputs of a training call, and how the inputs' gradient was masked."""
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
    return outputs.numpy(), tape.gradient(outputs, x).numpy()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_keeps_the_mean_and_the_gradient_has_the_same_mask(rate):
    from modelmill.layers.dropout import Dropout

    layer, x = Dropout(rate), np.ones((100, 1000), np.float32)
    outputs, gradient = dropped(layer, x)
    np.testing.assert_allclose(np.unique(outputs), [0, 1 / (1 - rate)], rtol=1e-6)
    np.testing.assert_array_equal(outputs, gradient)
    assert np.mean(outputs == 0) == pytest.approx(rate, abs=0.01)
    np.testing.assert_array_equal(layer(x), x)


def test_dropout_of_what_a_rectifier_leaves_teaches_the_same():
    import tensorflow as tf

    from modelmill.layers.dropout import Dropout

    x, wanted = tf.constant(normal(50, 40)), normal(50, 40)
    found = []
    for rectified in (False, True):
        layer = Dropout(0.3, rectified)
        layer.seed_generator.state.assign([7, 0])
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(wanted * layer(tf.nn.relu(x), training=True))
        found.append(tape.gradient(loss, x).numpy())
    assert 0.6 < np.mean(found[0] == 0) < 0.7  # half by the rectifier, of the others 0.3
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_dropout_of_nothing_changes_nothing():
    from modelmill.layers.dropout import Dropout

    x = normal(3, 4)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


def test_masks_of_places_calls_and_layers_are_independent():
    """Correlations stay within what 40 pairs of independent masks of that size show."""
    from modelmill.layers.dropout import hashes

    count = 1 << 20
    masks = {
        (seed, call): hashes(count, np.int32([seed, call])).numpy() < 0.3 * 2**32
        for seed, call in [(77, 0), (77, 1), (77, 2), (77, 64), (78, 0), (2**31 - 1, 0)]
    }
    first = masks[77, 0]
    pairs = [(first, mask) for key, mask in masks.items() if key != (77, 0)]
    pairs += [(first[lag:], first[:-lag]) for lag in (1, 2, 32, 625)]
    pairs.append((masks[77, 1][1:], first[:-1]))
    for one, other in pairs:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(count)
    for mask in masks.values():
        assert mask.mean() == pytest.approx(0.3, abs=4.5 * np.sqrt(0.3 * 0.7 / count))


@pytest.mark.long
@pytest.mark.fault("a race within XLA", "compiled functions are safe to use side by side")
def test_shards_may_begin_to_use_a_compiled_function_at_once(tensorflow, tries):
    from modelmill import runtime

    tf = tensorflow
    assert runtime.SAFE_XLA in os.environ["XLA_FLAGS"]  # without it the race is lost now and then
    x = tf.random.normal([300, 1000])
    for number in range(5 * tries):

        @tf.function(jit_compile=True, autograph=False)
        def compiled(x, number=float(number)):
            return tf.reduce_logsumexp(x + number, axis=-1)

        @tf.function(autograph=False)
        def shards(compiled=compiled):
            return compiled(x) + compiled(x * 2)

        compiled.get_concrete_function(x)
        tf.debugging.assert_all_finite(shards(), "")
