"""NumPy: a Boltzmann machine of ratings, vectorized over films, users and stars, in float32."""

from typing import Any

import numpy as np
from protocol import Train, serve, split


def films(workload: dict[str, Any]) -> np.ndarray:
    """The stars that users gave to each film, one-hot [films, users, stars], zeros where none."""
    user, item, rating = (split(workload, name) for name in ("user", "item", "rating"))
    stars = int(rating.max())
    v = np.zeros((item.max() + 1, workload["outputs"] // stars, stars), np.float32)
    v[item, user, rating - 1] = 1
    return v[v.any(axis=(1, 2))]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Rbm:
    """A softmax unit for each user; learns by CD of one step, with momentum and weight decay."""

    def __init__(self, users: int, stars: int, net: dict[str, Any], fit: dict[str, Any]) -> None:
        self.shape, hidden, visible = (-1, users, stars), net["hidden_units"], users * stars
        self.rate, self.optimizer = fit["learning_rate"], fit["optimizer"]
        self.random = np.random.default_rng(0)
        self.kernel = self.random.normal(0, 0.01, (visible, hidden)).astype(np.float32)
        self.visible_bias = np.zeros(visible, np.float32)
        self.hidden_bias = np.zeros(hidden, np.float32)
        self.weights = [self.kernel, self.visible_bias, self.hidden_bias]
        self.changes = [np.zeros_like(weight) for weight in self.weights]
        self.one_hot = np.eye(stars, dtype=np.float32)

    def hidden(self, v: np.ndarray) -> np.ndarray:
        return sigmoid(v @ self.kernel + self.hidden_bias)

    def dream(self, v: np.ndarray, h: np.ndarray) -> np.ndarray:
        """What is drawn from h in the place of v [films, users * stars], where v is known."""
        drawn = (self.random.random(h.shape, np.float32) < h).astype(np.float32)
        logits = (drawn @ self.kernel.T + self.visible_bias).reshape(self.shape)
        p = np.exp(logits - logits.max(2, keepdims=True))
        p /= p.sum(2, keepdims=True)
        passed = p.cumsum(2) < self.random.random((*p.shape[:2], 1), np.float32)
        known = v.reshape(self.shape).sum(2, keepdims=True)
        return (self.one_hot[passed[:, :, :-1].sum(2)] * known).reshape(v.shape)

    def learn(self, v: np.ndarray) -> None:
        h = self.hidden(v)
        dreamt = self.dream(v, h)
        h_of_dream = self.hidden(dreamt)
        gradients = [
            (dreamt.T @ h_of_dream - v.T @ h) / len(v)
            + self.optimizer["weight_decay"] * self.kernel,
            (dreamt - v).mean(0),
            (h_of_dream - h).mean(0),
        ]
        for weight, change, gradient in zip(self.weights, self.changes, gradients, strict=True):
            change *= self.optimizer["momentum"]
            change -= self.rate * gradient
            weight += change


def prepare(workload: dict[str, Any]) -> Train:
    data, batch = films(workload), workload["model"]["fit"]["batch_size"]
    rbm = Rbm(*data.shape[1:], workload["model"]["net"], workload["model"]["fit"])
    data = data.reshape(len(data), -1)
    place, order = 0, rbm.random.permutation(len(data))

    def train(steps: int) -> None:
        nonlocal place, order
        for _ in range(steps):
            if place + batch > len(data):
                place, order = 0, rbm.random.permutation(len(data))
            rbm.learn(data[order[place : place + batch]])
            place += batch

    return train


if __name__ == "__main__":
    serve(prepare)
