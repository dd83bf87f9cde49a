"""Evaluation and generation: exact over the whole split, and in the way that was asked for."""

import math

import numpy as np
import pytest

from modelmill.evaluation.classification import confusion, log_probabilities
from modelmill.models import Spec, linear, recurrent_lm
from modelmill.tasks.language_modeling import windows_of

pytestmark = pytest.mark.usefixtures("tensorflow")
NET = recurrent_lm.Net.model_validate(
    {
        "cell": "lstm",
        "embedding": 4,
        "units": 5,
        "layers": 2,
        "initializer": {"name": "uniform", "limit": 0.9},
    }
)


def language_model(steps, vocabulary=6):
    import keras

    keras.utils.set_random_seed(2)
    return recurrent_lm.build(NET, windows_of(steps, vocabulary))


def test_losses_do_not_depend_on_how_the_text_is_cut():
    from modelmill.trained.inference import token_losses

    tokens = np.random.default_rng(0).integers(0, 6, 53).astype(np.uint8)
    one_by_one = token_losses(language_model(1), tokens, before=2)
    assert one_by_one.shape == (53,)
    for steps in (7, 53, 60):
        found = token_losses(language_model(steps), tokens, before=2)
        np.testing.assert_allclose(found, one_by_one, rtol=1e-4)


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    from modelmill.trained.inference import token_losses

    model = language_model(5)
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    losses = token_losses(model, np.arange(6).repeat(4), before=0)
    assert math.exp(losses.mean()) == pytest.approx(6)


def test_predictions_cover_every_example_whatever_the_batch():
    from modelmill.trained import inference

    net = linear.Net.model_validate(
        {"bias": False, "initializer": {"name": "normal", "stddev": 1.0}}
    )
    model = linear.build(net, Spec.examples((2, 2), 3))
    x = np.random.default_rng(0).integers(0, 256, (2 * inference.BATCH + 7, 2, 2)).astype(np.uint8)
    expected = (x.reshape(len(x), 4) / 255).astype(np.float32) @ model.weights[0].numpy().T
    np.testing.assert_allclose(inference.predict(model, x, 1 / 255), expected, atol=1e-5)


def generate(pick, length=40, seed=1, temperature=1.0, space=0):
    from modelmill.trained.inference import generator

    return generator(language_model(1), length, pick, temperature, space)([1, 2], seed)


def test_argmax_needs_no_luck_and_draws_do():
    assert generate("argmax", seed=1) == generate("argmax", seed=2)
    assert generate("weighted", seed=1) == generate("weighted", seed=1)
    assert generate("weighted", seed=1) != generate("weighted", seed=2)
    assert len(generate("weighted")) == 40


def test_a_cold_draw_is_the_most_probable_token():
    assert generate("weighted", temperature=1e-4) == generate("argmax")


def test_a_draw_on_space_only_is_the_most_probable_elsewhere():
    never = generate("weighted-on-space", space=99)
    assert never == generate("argmax")
    always = generate("argmax")[0]
    assert generate("weighted-on-space", space=always) != never


def test_log_probabilities_and_confusion_by_hand():
    logits = np.array([[0.0, math.log(3)], [1000.0, 0.0]], np.float32)
    np.testing.assert_allclose(np.exp(log_probabilities(logits)), [[0.25, 0.75], [1, 0]], atol=1e-6)
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
