"""TensorFlow 1's way: a static graph, a Session, a batch through `feed_dict` for every step."""

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from protocol import Train, images, serve, windows


def weights(name: str, *shape: int) -> tf.Tensor:
    return tf.get_variable(name, shape, initializer=tf.glorot_uniform_initializer())


def dense(name: str, x: tf.Tensor, units: int, bias: bool = True) -> tf.Tensor:
    y = tf.matmul(x, weights(f"{name}_kernel", x.shape[-1], units))
    return y + tf.get_variable(f"{name}_bias", units) if bias else y


def recurrent(name: str, cell: str, units: int, x: tf.Tensor, state: Any) -> tuple[list, Any]:
    """`static_rnn` with a BasicRNNCell or BasicLSTMCell."""
    gates = {"rnn": 1, "lstm": 4}[cell]
    kernel = weights(f"{name}_kernel", x.shape[-1] + units, gates * units)
    bias = tf.get_variable(f"{name}_bias", gates * units, initializer=tf.zeros_initializer())
    outputs = []
    for now in tf.unstack(x, axis=1):
        z = tf.nn.bias_add(tf.matmul(tf.concat([now, state[0]], 1), kernel), bias)
        if cell == "rnn":
            state = [tf.tanh(z)]
        else:
            i, j, f, o = tf.split(z, 4, axis=1)
            c = state[1] * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            state = [tf.tanh(c) * tf.sigmoid(o), c]
        outputs.append(state[0])
    return outputs, state


def convnet(net: dict[str, Any], x: tf.Tensor) -> tf.Tensor:
    x = x[..., None]
    for index, block in enumerate(net["blocks"]):
        kernel = weights(
            f"conv{index}", block["kernel"], block["kernel"], x.shape[-1], block["filters"]
        )
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"))
        size = [1, block["pool"], block["pool"], 1]
        x = tf.nn.dropout(tf.nn.max_pool(x, size, size, "SAME"), rate=block["dropout"])
    x = tf.nn.relu(dense("hidden", tf.reshape(x, [-1, np.prod(x.shape[1:])]), net["hidden_units"],
                         bias=net["bias"]))  # fmt: skip
    return tf.nn.dropout(x, rate=net["dropout"])


def optimizer(fit: dict[str, Any]) -> tf.train.Optimizer:
    match fit["optimizer"]["name"]:
        case "sgd":
            return tf.train.GradientDescentOptimizer(fit["learning_rate"])
        case "rmsprop":
            return tf.train.RMSPropOptimizer(fit["learning_rate"], 0.9)
        case _:
            return tf.train.AdamOptimizer(fit["learning_rate"])


def prepare(workload: dict[str, Any]) -> Train:
    arch, net, fit = workload["model"]["arch"], workload["model"]["net"], workload["model"]["fit"]
    batch, outputs = fit["batch_size"], workload["outputs"]
    tokens = arch == "recurrent_lm"
    first, last = [], []
    if tokens:
        x = tf.placeholder(tf.int32, [batch, fit["num_steps"]])
        y = tf.placeholder(tf.int32, [batch, fit["num_steps"]])
        hidden = tf.nn.embedding_lookup(weights("embedding", outputs, net["embedding"]), x)
        for layer in range(net["layers"]):
            state = [tf.placeholder(tf.float32, [batch, net["units"]])
                     for _ in range({"rnn": 1, "lstm": 2}[net["cell"]])]  # fmt: skip
            first += state
            steps, state = recurrent(f"layer{layer}", net["cell"], net["units"], hidden, state)
            hidden, last = tf.stack(steps, axis=1), last + state
        hidden = tf.reshape(hidden, [-1, net["units"]])
    else:
        x = tf.placeholder(tf.float32, [batch, 28, 28])
        y = tf.placeholder(tf.int32, [batch])
        if arch == "row_recurrent":
            zero = [tf.zeros([batch, net["units"]])] * 2
            hidden = recurrent("layer", net["cell"], net["units"], x, zero)[0][-1]
        elif arch == "convnet":
            hidden = convnet(net, x)
        else:
            hidden = tf.reshape(x, [-1, 784])
            for index, units in enumerate(net.get("hidden_units", [])):
                activation = {"relu": tf.nn.relu, "sigmoid": tf.sigmoid}[net["activation"]]
                hidden = activation(dense(f"dense{index}", hidden, units, bias=net["bias"]))
                if "dropout" in net:
                    hidden = tf.nn.dropout(hidden, rate=net["dropout"])
    logits = dense("logits", hidden, outputs, bias=net.get("bias", True))
    labels = tf.reshape(y, [-1])
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    variables = tf.trainable_variables()
    gradients = tf.gradients(loss, variables)
    if fit["clip_norm"]:
        gradients, _ = tf.clip_by_global_norm(gradients, fit["clip_norm"])
    update = optimizer(fit).apply_gradients(zip(gradients, variables, strict=True))
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    xs, ys = windows(workload) if tokens else images(workload)
    random = np.random.default_rng(0)
    values = [np.zeros([batch, net["units"]], np.float32) for _ in first]
    place, order = 0, random.permutation(len(xs))

    def train(steps: int) -> None:
        nonlocal values, place, order
        for _ in range(steps):
            if tokens:
                feed = {x: xs[place], y: ys[place], **dict(zip(first, values, strict=True))}
                place = (place + 1) % len(xs)
            else:
                if place + batch > len(xs):
                    place, order = 0, random.permutation(len(xs))
                rows = order[place : place + batch]
                feed = {x: xs[rows], y: ys[rows]}
                place += batch
            _, _, values = session.run([update, loss, last], feed)

    return train


if __name__ == "__main__":
    tf.disable_v2_behavior()
    serve(prepare)
