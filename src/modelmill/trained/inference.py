"""What trained models compute: outputs for examples, losses of a text, new text."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from modelmill.layers.rbm import Rbm
from modelmill.layers.recurrent import zero_state
from modelmill.layers.softmax_rbm import SoftmaxRbm
from modelmill.models import call
from modelmill.training.evidence import with_evidence
from modelmill.training.task import Tensors

BATCH = 500
ENOUGH = 0.02  # of all users: 19 of MovieLens' 943


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


def ratings(
    model: keras.Model, known: np.ndarray, user: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """The rating of each pair of a user and an item as a model predicts it, float64 [pairs].

    Args:
        known: the stars to predict from, 0 where there are none [users, items].
    """
    complete, unused = with_evidence(known), tf.zeros([2], tf.int32)
    parts = []
    for start in range(0, len(user), BATCH):
        pairs = {"user": user[start : start + BATCH], "item": item[start : start + BATCH]}
        given = {name: tf.constant(ids, tf.int32) for name, ids in pairs.items()}
        parts.append(call(model, complete(given, unused), False).numpy()[:, 0])
    return np.concatenate(parts).astype(np.float64)


def machine(model: keras.Model, row: str) -> keras.Model:
    """Of a model of one or two Boltzmann machines of ratings the one that sees such rows."""
    layer = model.get_layer(f"{row}_rbm")
    return keras.Model(layer.input, layer.output)


def seen(model: keras.Model, known: np.ndarray) -> np.ndarray:
    """How probable it is that each of some users has seen each item [users, items].

    Args:
        model: a Boltzmann machine of what users have seen.
        known: the stars to predict from, 0 where there are none [users, items].
    """
    rbm, x = model.layers[-1], tf.constant(known > 0)
    return rbm.visible(rbm.hidden(tf.cast(x, tf.float32))).numpy()


def well_known(known: np.ndarray) -> np.ndarray:
    """Whether so many have rated an item that more than its mean is learnt of it, bool [items]."""
    return (known > 0).mean(axis=0) >= ENOUGH


def alike(model: keras.Model, known: np.ndarray, asked: Sequence[int]) -> np.ndarray | None:
    """How like each of some items each item is to a recommender, from -1 to 1 [asked, items].

    It is the cosine of the angle between what the two differ in from the mean of the well known,
    and -inf for what is not well known. None where nothing is, or the model is of a kind that has
    no numbers for an item.

    Args:
        known: the stars to predict from, 0 where there are none [users, items].
    """
    features, shown = _item_features(model, known), well_known(known)
    if features is None or not shown.any():
        return None
    above = features - features[shown].mean(axis=0)
    length = np.linalg.norm(above, axis=1)
    rows = [*asked]
    cosines = above[rows] @ above.T / np.maximum(length[rows, None] * length, 1e-12)
    return np.where(shown, cosines, -np.inf)


def _item_features(model: keras.Model, known: np.ndarray) -> np.ndarray | None:
    """An item's factors, or its weights; where users have the weights, the mean over its ratings.

    Returns:
        [items, features].
    """
    layers = {layer.name: layer for layer in model.layers}
    if "item_factors" in layers:
        return layers["item_factors"].embeddings.numpy()
    if "item_rbm" in layers and "user_rbm" not in layers:
        rbm = layers["item_rbm"]
        weights = rbm.inputs(rbm.one_hot(tf.constant(known.T, tf.int32))) - rbm.hidden_bias
        return weights.numpy() / np.maximum((known > 0).sum(axis=0), 1)[:, None]
    rbm = layers.get("user_rbm", model.layers[-1])
    if not isinstance(rbm, Rbm | SoftmaxRbm):
        return None
    return rbm.kernel.numpy().reshape(known.shape[1], -1)


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
    space: int | None = None,
) -> Callable[[list[int], int], list[int]]:
    """Returns what continues a list of token ids by `length` more, with the model's weights then.

    It is told the ids and the seed of the draws.

    Args:
        model: a recurrent model over windows of one step.
        pick: ``argmax`` takes the most probable token, ``weighted`` draws by probability, and
            ``weighted-on-space`` draws after a `space` and takes the most probable otherwise.
        temperature: divides the logits before a draw; below 1 is safer, above 1 is bolder.
    """

    @tf.function(reduce_retracing=True)
    def run(primer: tf.Tensor, seed: tf.Tensor, state: Tensors) -> tf.Tensor:
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

    def continuation(prime: list[int], seed: int) -> list[int]:
        return run(tf.constant(prime), tf.constant(seed), zero_state(model, 1)).numpy().tolist()

    return continuation


def _step(model: keras.Model, tokens: tf.Tensor, state: Tensors) -> tuple[tf.Tensor, Tensors]:
    """Logits of the tokens after `tokens` [batch, steps], and the state after them."""
    outputs = dict(call(model, {"tokens": tokens, **state}, training=False))
    return outputs.pop("logits"), outputs
