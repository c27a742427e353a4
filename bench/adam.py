"""The gradient baseline: PyTorch's Adam on the same network and the same images as ``layermilp
train``.

Prints one JSON object. As in the paper, learning rate 0.001 and batches of 100; the last layer has
a softmax (cross entropy), the images come in the order of the file in the first epoch and
reshuffled in the others."""

from __future__ import annotations

import argparse
import json

import torch
from torch import nn

from layermilp.datasets import Dataset, load
from layermilp.networks.network import Network


def model_of(net: str) -> nn.Module:
    """Return the network in PyTorch: dense layers, or means, one 3 x 3 kernel without offsets, and
    a dense layer."""
    if net == "28x28-mean4-conv3-10":
        image = [
            nn.Unflatten(1, (1, 28, 28)),
            nn.AvgPool2d(4),
            nn.Conv2d(1, 1, 3, bias=False),
            nn.ReLU(),
            nn.Flatten(),
        ]
        return nn.Sequential(*image, nn.Linear(25, 10))
    blocks = Network.from_notation(net).blocks
    layers: list[nn.Module] = []
    for block in blocks:
        layers += [nn.Linear(block.n_inputs, block.n_outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def tensors(data: Dataset) -> dict[str, torch.Tensor]:
    """Return the arrays as tensors; digits have a test part, too."""
    assert data.X_test is not None and data.y_test is not None
    return {
        "X": torch.tensor(data.X_train, dtype=torch.float32),
        "y": torch.tensor(data.y_train),
        "X_test": torch.tensor(data.X_test, dtype=torch.float32),
        "y_test": torch.tensor(data.y_test),
    }


def accuracy(model: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    """Share of right predictions."""
    with torch.no_grad():
        return float((model(X).argmax(dim=1) == y).double().mean())


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="784-8-8-8-10")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    data = tensors(load(arguments.data, n_inputs=784, data_dir=arguments.data_dir))
    X, y = data["X"][: arguments.images], data["y"][: arguments.images]
    model = model_of(arguments.net)
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=0.001), nn.CrossEntropyLoss()
    for epoch in range(arguments.epochs):
        order = torch.randperm(len(X)) if epoch else torch.arange(len(X))
        for part in order.split(100):
            optimizer.zero_grad()
            loss(model(X[part]), y[part]).backward()
            optimizer.step()
    scores = {
        "train_accuracy": accuracy(model, X, y),
        "test_accuracy": accuracy(model, data["X_test"], data["y_test"]),
    }
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
