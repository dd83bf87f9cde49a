"""What trained models compute: outputs for examples, losses of a text, new text."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.recurrent import zero_state
from modelmill.models import call
from modelmill.training.task import Tensors

BATCH = 500


def predict(model: keras.Model, x: np.ndarray, scale: float) -> np.ndarray:
    """The model's outputs [n, ...] for inputs [n, ...], which are scaled if they are integers."""
    return predictor(model, scale)(x)


def predictor(model: keras.Model, scale: float) -> Callable[[np.ndarray], np.ndarray]:
    """Returns `predict` for one model, compiled once."""

    @tf.function(reduce_retracing=True)
    def outputs(batch: tf.Tensor) -> tf.Tensor:
        if not batch.dtype.is_floating:
            batch = tf.cast(batch, tf.float32) * scale
        return model(batch, training=False)

    def run(x: np.ndarray) -> np.ndarray:
        parts = [outputs(tf.constant(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)]
        return np.concatenate(parts)

    return run


def token_losses(model: keras.Model, tokens: np.ndarray, before: int) -> np.ndarray:
    """Negative log-likelihood in nats of every token [n], the state carried from first to last.

    Args:
        model: a recurrent model over windows of any fixed number of steps.
        before: the token that precedes the first.
    """
    window = model.input_shape[0][1]
    count = len(tokens)
    windows = -(-count // window)
    padded = np.zeros(windows * window + 1, np.int32)
    padded[0], padded[1 : count + 1] = before, tokens

    @tf.function
    def run(ids: tf.Tensor, state: Tensors) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, windows)
        for index in tf.range(windows):
            inputs = tf.slice(ids, [index * window], [window])
            targets = tf.slice(ids, [index * window + 1], [window])
            logits, state = _step(model, inputs[None], state)
            found = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits[0])
            losses = losses.write(index, found)
        return losses.concat()

    return run(tf.constant(padded), zero_state(model, 1))[:count].numpy()


def generator(
    model: keras.Model,
    length: int,
    pick: str,
    temperature: float,
    seed: int,
    space: int | None = None,
) -> Callable[[list[int]], list[int]]:
    """Returns what continues a list of token ids by `length` more, with the model's weights then.

    Args:
        model: a recurrent model over windows of one step.
        pick: ``argmax`` takes the most probable token, ``weighted`` draws by probability, and
            ``weighted-on-space`` draws after a `space` and takes the most probable otherwise.
        temperature: divides the logits before a draw; below 1 is safer, above 1 is bolder.
    """

    @tf.function(reduce_retracing=True)
    def run(primer: tf.Tensor, state: Tensors) -> tf.Tensor:
        logits = tf.zeros([1, 1, model.output["logits"].shape[2]])
        for token in primer:
            logits, state = _step(model, token[None, None], state)
        chosen = tf.TensorArray(tf.int32, length)
        token = primer[-1]
        for index in tf.range(length):
            drawn = tf.random.stateless_categorical(
                logits[0] / temperature, 1, tf.stack([seed, index]), tf.int32
            )[0, 0]
            best = tf.argmax(logits[0, 0], output_type=tf.int32)
            if pick == "argmax":
                token = best
            elif pick == "weighted":
                token = drawn
            else:
                token = tf.where(token == space, drawn, best)
            chosen = chosen.write(index, token)
            logits, state = _step(model, token[None, None], state)
        return chosen.stack()

    return lambda prime: run(tf.constant(prime), zero_state(model, 1)).numpy().tolist()


def _step(model: keras.Model, tokens: tf.Tensor, state: Tensors) -> tuple[tf.Tensor, Tensors]:
    """Logits of the tokens after `tokens` [batch, steps], and the state after them."""
    outputs = dict(call(model, {"tokens": tokens, **state}, training=False))
    return outputs.pop("logits"), outputs
