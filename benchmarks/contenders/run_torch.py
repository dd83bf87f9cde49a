"""PyTorch, eager: the modules it has and the loop of its tutorials, the data kept as tensors."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from protocol import Train, images, serve, vectors, windows
from torch import nn


class RowRecurrent(nn.Module):
    def __init__(self, net: dict[str, Any], outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, net["units"], batch_first=True)
        self.out = nn.Linear(net["units"], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(x)[0][:, -1])


class LanguageModel(nn.Module):
    def __init__(self, net: dict[str, Any], outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(outputs, net["embedding"])
        cells = {"rnn": nn.RNN, "lstm": nn.LSTM}[net["cell"]]
        self.cells = cells(net["embedding"], net["units"], net["layers"])
        self.out = nn.Linear(net["units"], outputs)

    def forward(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        x, state = self.cells(self.embedding(tokens), state)
        return self.out(x), state


class Rbm(nn.Module):
    """A Boltzmann machine of ones and zeros; answers with gradients, by one step of CD."""

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def hidden(self, v: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(v @ self.kernel + self.hidden_bias)

    def visible(self, h: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(h @ self.kernel.T + self.visible_bias)

    def forward(self, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h = self.hidden(v)
        dreamt = torch.bernoulli(self.visible(torch.bernoulli(h)))
        h_of_dream = self.hidden(dreamt)
        kernel = (dreamt.T @ h_of_dream - v.T @ h) / len(v)
        return kernel, (dreamt - v).mean(0), (h_of_dream - h).mean(0)


def build(arch: str, net: dict[str, Any], outputs: int) -> nn.Module:
    if arch == "recurrent_lm":
        return LanguageModel(net, outputs)
    if arch == "row_recurrent":
        return RowRecurrent(net, outputs)
    if arch == "rbm":
        return Rbm(784, net["hidden_units"])
    layers: list[nn.Module] = []
    width, hidden = 784, net.get("hidden_units", [])
    if arch == "convnet":
        layers.append(nn.Unflatten(1, (1, 28)))
        channels, side = 1, 28
        for block in net["blocks"]:
            layers += [
                nn.Conv2d(channels, block["filters"], block["kernel"], padding="same",
                          bias=net["bias"]),
                nn.ReLU(),
                nn.MaxPool2d(block["pool"], ceil_mode=True),
                nn.Dropout(block["dropout"]),
            ]  # fmt: skip
            channels, side = block["filters"], -(-side // block["pool"])
        width, hidden = channels * side * side, [net["hidden_units"]]
    layers.append(nn.Flatten())
    for units in hidden:
        activation = nn.ReLU if net.get("activation", "relu") == "relu" else nn.Sigmoid
        layers += [nn.Linear(width, units, bias=net["bias"]), activation()]
        layers += [nn.Dropout(net["dropout"])] if net.get("dropout") else []
        width = units
    return nn.Sequential(*layers, nn.Linear(width, outputs, bias=net.get("bias", True)))


def optimizer(fit: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    match fit["optimizer"]["name"]:
        case "sgd":
            keys = {key: fit["optimizer"][key] for key in ("momentum", "weight_decay")}
            return torch.optim.SGD(model.parameters(), fit["learning_rate"], **keys)
        case "rmsprop":
            return torch.optim.RMSprop(model.parameters(), fit["learning_rate"], alpha=0.9)
        case _:
            return torch.optim.Adam(model.parameters(), fit["learning_rate"])


def places(count: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Of the examples of each batch, without end."""
    while True:
        yield from torch.randperm(count)[: count - count % batch_size].split(batch_size)


def prepare(
    workload: dict[str, Any], wrap: Callable[[nn.Module], nn.Module] = lambda model: model
) -> Train:
    fit = workload["model"]["fit"]
    model = build(workload["model"]["arch"], workload["model"]["net"], workload["outputs"])
    update, model = optimizer(fit, model), wrap(model)
    loss_of = nn.CrossEntropyLoss()

    def step(logits: torch.Tensor, targets: torch.Tensor) -> float:
        update.zero_grad()
        loss = loss_of(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        if fit["clip_norm"]:
            nn.utils.clip_grad_norm_(model.parameters(), fit["clip_norm"])
        update.step()
        return loss.item()

    if workload["model"]["arch"] == "rbm":
        x = torch.from_numpy(vectors(workload))
        batches = places(len(x), fit["batch_size"])

        @torch.no_grad()
        def train(steps: int) -> None:
            for rows in islice(batches, steps):
                gradients = model(x[rows])
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter.grad = gradient
                update.step()

    elif workload["unit"] == "examples":
        x, y = map(torch.from_numpy, images(workload))
        batches = places(len(x), fit["batch_size"])

        def train(steps: int) -> None:
            for rows in islice(batches, steps):
                step(model(x[rows]), y[rows])

    else:
        inputs, targets = (
            torch.from_numpy(part).long().mT.contiguous() for part in windows(workload)
        )
        state: Any = None
        place = 0

        def train(steps: int) -> None:
            nonlocal state, place
            for _ in range(steps):
                if state is not None:
                    detached = [
                        part.detach() for part in (state if isinstance(state, tuple) else [state])
                    ]
                    state = tuple(detached) if len(detached) > 1 else detached[0]
                logits, state = model(inputs[place], state)
                step(logits, targets[place])
                place = (place + 1) % len(inputs)

    return train


if __name__ == "__main__":
    torch.manual_seed(0)
    serve(prepare)
