"""Keras: the layers it has, `compile` and `fit`, as its guides show them."""

from typing import Any

import keras
import numpy as np
from protocol import Train, images, serve, windows

CELLS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}


def build(arch: str, net: dict[str, Any], workload: dict[str, Any]) -> keras.Model:
    layers, batch = keras.layers, workload["model"]["fit"]["batch_size"]
    if arch == "recurrent_lm":
        x = inputs = keras.Input((None,), batch_size=batch, dtype="int32")
        x = layers.Embedding(workload["outputs"], net["embedding"])(x)
        for _ in range(net["layers"]):
            x = CELLS[net["cell"]](net["units"], return_sequences=True, stateful=True)(x)
        return keras.Model(inputs, layers.Dense(workload["outputs"])(x))
    x = inputs = keras.Input((28, 28))
    if arch == "row_recurrent":
        x = CELLS[net["cell"]](net["units"])(x)
    elif arch == "convnet":
        x = layers.Reshape((28, 28, 1))(x)
        for block in net["blocks"]:
            x = layers.Conv2D(
                block["filters"], block["kernel"], padding="same", activation="relu",
                use_bias=net["bias"],
            )(x)  # fmt: skip
            x = layers.MaxPooling2D(block["pool"], padding="same")(x)
            x = layers.Dropout(block["dropout"])(x)
        x = layers.Dense(net["hidden_units"], "relu", use_bias=net["bias"])(layers.Flatten()(x))
        x = layers.Dropout(net["dropout"])(x)
    else:
        x = layers.Flatten()(x)
        for units in net.get("hidden_units", []):
            x = layers.Dense(units, net["activation"], use_bias=net["bias"])(x)
            if "dropout" in net:
                x = layers.Dropout(net["dropout"])(x)
    return keras.Model(inputs, layers.Dense(workload["outputs"], use_bias=net.get("bias", True))(x))


def optimizer(fit: dict[str, Any]) -> keras.optimizers.Optimizer:
    rate = {"learning_rate": fit["learning_rate"], "global_clipnorm": fit["clip_norm"]}
    match fit["optimizer"]["name"]:
        case "sgd":
            return keras.optimizers.SGD(**rate)
        case "rmsprop":
            return keras.optimizers.RMSprop(**rate)
        case _:
            return keras.optimizers.Adam(**rate)


def prepare(workload: dict[str, Any]) -> Train:
    model = build(workload["model"]["arch"], workload["model"]["net"], workload)
    model.compile(
        optimizer(workload["model"]["fit"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"] if workload["unit"] == "examples" else None,
    )
    batch = workload["model"]["fit"]["batch_size"]
    if workload["unit"] == "examples":
        x, y = images(workload)
    else:
        x, y = (part.reshape(-1, part.shape[-1]) for part in windows(workload))
    whole = len(x) // batch

    def train(steps: int) -> None:
        while steps > 0:
            count = min(steps, whole)
            rows = slice(0, count * batch)
            shuffle = workload["unit"] == "examples"
            model.fit(x[rows], y[rows], batch, epochs=1, shuffle=shuffle, verbose=0)
            steps -= count

    return train


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    np.random.seed(0)
    serve(prepare)
