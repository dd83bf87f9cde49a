"""PyTorch, eager: the modules it has and the loop of its tutorials, the data kept as tensors."""

from collections.abc import Callable
from typing import Any

import torch
from protocol import Train, images, serve, windows
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


def build(arch: str, net: dict[str, Any], outputs: int) -> nn.Module:
    if arch == "recurrent_lm":
        return LanguageModel(net, outputs)
    if arch == "row_recurrent":
        return RowRecurrent(net, outputs)
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
            return torch.optim.SGD(model.parameters(), fit["learning_rate"])
        case "rmsprop":
            return torch.optim.RMSprop(model.parameters(), fit["learning_rate"], alpha=0.9)
        case _:
            return torch.optim.Adam(model.parameters(), fit["learning_rate"])


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

    if workload["unit"] == "examples":
        x, y = map(torch.from_numpy, images(workload))

        def train(steps: int) -> None:
            order = torch.empty(0, dtype=torch.int64)
            for _ in range(steps):
                if len(order) < fit["batch_size"]:
                    order = torch.randperm(len(x))
                rows, order = order[: fit["batch_size"]], order[fit["batch_size"] :]
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
