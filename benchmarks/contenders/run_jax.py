"""JAX with optax: a lap of steps in one jitted `lax.scan`, data and indices on the device.

Recurrent layers are unrolled as far as is fastest here. Convolutions are called step by step:
within a scan, XLA's back end for processors is thirty times slower at them.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from protocol import Train, images, serve, windows

GATES = {"rnn": 1, "lstm": 4}
TRIED = 3  # calls of each choice


def weights(random: np.random.Generator, *shape: int) -> jax.Array:
    limit = np.sqrt(6 / (np.prod(shape[:-1]) + shape[-1]))
    return jnp.asarray(random.uniform(-limit, limit, shape), jnp.float32)


def layer(random: np.random.Generator, *shape: int, bias: bool = True) -> dict[str, jax.Array]:
    found = {"kernel": weights(random, *shape)}
    return found | {"bias": jnp.zeros(shape[-1])} if bias else found


def initial(arch: str, net: dict[str, Any], outputs: int) -> list[dict[str, jax.Array]]:
    """The parameters of each layer, the output layer's last."""
    random, bias = np.random.default_rng(0), net.get("bias", True)
    if arch == "recurrent_lm":
        units, gates = net["units"], GATES[net["cell"]]
        widths = [net["embedding"], *[units] * (net["layers"] - 1)]
        embedding = {"embedding": weights(random, outputs, net["embedding"])}
        cells = [recurrent_layer(random, inputs, units, gates) for inputs in widths]
        return [embedding, *cells, layer(random, units, outputs)]
    if arch == "row_recurrent":
        units = net["units"]
        return [recurrent_layer(random, 28, units, 4), layer(random, units, outputs)]
    found = []
    if arch == "convnet":
        channels, side = 1, 28
        for block in net["blocks"]:
            shape = (block["kernel"], block["kernel"], channels, block["filters"])
            found.append(layer(random, *shape, bias=bias))
            channels, side = block["filters"], -(-side // block["pool"])
        widths = [channels * side * side, net["hidden_units"]]
    else:
        widths = [784, *net.get("hidden_units", [])]
    return found + [layer(random, *shape, bias=bias) for shape in pairwise([*widths, outputs])]


def recurrent_layer(
    random: np.random.Generator, inputs: int, units: int, gates: int
) -> dict[str, jax.Array]:
    recurrent = weights(random, units, gates * units)
    return {**layer(random, inputs, gates * units), "recurrent": recurrent}


def dense(own: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    y = x @ own["kernel"]
    return y + own["bias"] if "bias" in own else y


def dropped(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)


def recurrent(
    cell: str, own: dict[str, jax.Array], x: jax.Array, state: jax.Array, unroll: int
) -> tuple[jax.Array, jax.Array]:
    """Outputs [steps, batch, units] for x [steps, batch, inputs], and the new state."""

    def rnn(state: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jnp.tanh(z + state[0] @ own["recurrent"])
        return h[None], h

    def lstm(state: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        i, j, f, o = jnp.split(z + state[0] @ own["recurrent"], 4, axis=1)
        c = state[1] * jax.nn.sigmoid(f + 1.0) + jax.nn.sigmoid(i) * jnp.tanh(j)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return jnp.stack([h, c]), h

    state, outputs = lax.scan({"rnn": rnn, "lstm": lstm}[cell], state, dense(own, x), unroll=unroll)
    return outputs, state


def logits(
    arch: str, net: dict[str, Any], unroll: int, parameters: Any, x: jax.Array, state: Any, key: Any
) -> tuple[jax.Array, Any]:
    *hidden, last = parameters
    if arch == "recurrent_lm":
        x, states = hidden[0]["embedding"][x.T], []
        for own, before in zip(hidden[1:], state, strict=True):
            x, after = recurrent(net["cell"], own, x, before, unroll)
            states.append(after)
        return dense(last, x.swapaxes(0, 1)), states
    if arch == "row_recurrent":
        zeros = jnp.zeros([2, len(x), net["units"]])
        outputs, _ = recurrent(net["cell"], hidden[0], x.swapaxes(0, 1), zeros, unroll)
        return dense(last, outputs[-1]), state
    keys = iter(jax.random.split(key, len(hidden)) if hidden else [])
    if arch == "convnet":
        x, rates = x[..., None], [*(block["dropout"] for block in net["blocks"]), net["dropout"]]
        for own, block, rate in zip(hidden, net["blocks"], rates, strict=False):
            dimensions = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(
                x, own["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
            )
            window = (1, block["pool"], block["pool"], 1)
            x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, window, window, "SAME")
            x = dropped(x, rate, next(keys))
        hidden, rates = hidden[-1:], rates[-1:]
        activation = jax.nn.relu
    else:
        rates = [net.get("dropout", 0.0)] * len(hidden)
        activation = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[net.get("activation", "relu")]
    x = x.reshape(len(x), -1)
    for own, rate in zip(hidden, rates, strict=True):
        x = activation(dense(own, x))
        x = dropped(x, rate, next(keys)) if rate else x
    return dense(last, x), state


def optimizer(fit: dict[str, Any]) -> optax.GradientTransformation:
    rate = fit["learning_rate"]
    match fit["optimizer"]["name"]:
        case "sgd":
            update = optax.sgd(rate)
        case "rmsprop":
            update = optax.rmsprop(rate, decay=0.9)
        case _:
            update = optax.adam(rate)
    norm = fit["clip_norm"]
    return optax.chain(optax.clip_by_global_norm(norm), update) if norm else update


def prepare(workload: dict[str, Any]) -> Train:
    arch, net, fit = workload["model"]["arch"], workload["model"]["net"], workload["model"]["fit"]
    update, batch, tokens = optimizer(fit), fit["batch_size"], arch == "recurrent_lm"
    if tokens:
        x, y = map(jnp.asarray, windows(workload))
        whole = len(x)
    else:
        x, y = map(jnp.asarray, images(workload))
        whole = len(x) // batch
    count = min(int(fit["validate_every"].split()[0]), whole)

    def loss(parameters: Any, unroll: int, rows: jax.Array, state: Any, key: Any) -> Any:
        found, state = logits(arch, net, unroll, parameters, x[rows], state, key)
        losses = optax.softmax_cross_entropy_with_integer_labels(found, y[rows])
        return losses.mean(), state

    def step(unroll: int, carried: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
        parameters, own, state, key = carried
        key, now = jax.random.split(key)
        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(
            parameters, unroll, rows, state, now
        )
        changes, own = update.update(gradients, own, parameters)
        return (optax.apply_updates(parameters, changes), own, state, key), value

    def scanned(unroll: int) -> Callable[[Any, jax.Array], tuple[Any, jax.Array]]:
        return jax.jit(partial(lax.scan, partial(step, unroll)), donate_argnums=0)

    def called(carried: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
        for index in range(len(rows)):
            carried, value = one(carried, rows[index])
        return carried, value[None]

    one = jax.jit(partial(step, 1), donate_argnums=0)
    choices = [called] if arch == "convnet" else [scanned(1)]
    if tokens or arch == "row_recurrent":
        choices.append(scanned(8))

    parameters = initial(arch, net, workload["outputs"])
    cells = {"rnn": 1, "lstm": 2}[net["cell"]] if tokens else 0
    state = [jnp.zeros([cells, batch, net["units"]]) for _ in range(net["layers"])] if tokens else 0
    carried = (parameters, update.init(parameters), state, jax.random.key(0))
    # The first lap begins an epoch, which is shuffled.
    random, place, order = np.random.default_rng(0), whole, np.arange(whole)

    def lap(run: Callable[[Any, jax.Array], tuple[Any, jax.Array]]) -> None:
        nonlocal carried, place, order
        if place + count > whole:
            place = 0
            if not tokens:
                order = random.permutation(len(x))[: whole * batch].reshape(whole, batch)
        carried, values = run(carried, jnp.asarray(order[place : place + count]))
        place += count
        float(values[-1])

    def seconds(run: Callable[[Any, jax.Array], tuple[Any, jax.Array]]) -> float:
        lap(run)
        began = time.perf_counter()
        for _ in range(TRIED):
            lap(run)
        return time.perf_counter() - began

    fastest = choices[0] if len(choices) == 1 else min(choices, key=seconds)

    def train(steps: int) -> int:
        laps = -(-steps // count)
        for _ in range(laps):
            lap(fastest)
        return laps * count

    return train


if __name__ == "__main__":
    serve(prepare)
