"""PyTorch modules as trainees: any whose last layer is ``nn.Linear``, convolutional ones too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from layermilp.errors import DataError, NetworkError
from layermilp.program import FloatArray, IntArray

CHUNK = 1000
"""Samples of one forward pass."""

LOSSES = {"classes": nn.CrossEntropyLoss(), "sign": nn.BCEWithLogitsLoss(), "values": nn.MSELoss()}
"""What the epochs reduce, by what the outputs stand for."""


class TorchTrainee:
    """A module that descends by an optimizer of PyTorch's; see `Trainee`.

    Parameters
    ----------
    module : nn.Module
        Trained in place. Its outputs must be those of its last ``nn.Linear``, or ReLUs of them.
    y : array
        Whole numbers for a classification, numbers of another type for a regression.
    seed : int
        Of the order of the samples.
    optimizer : torch.optim.Optimizer, optional
        Default: Adam.
    batch_size : int
        Samples of one step.

    Raises
    ------
    NetworkError
        If no layer is ``nn.Linear``.
    """

    def __init__(
        self, module: nn.Module, y: Any, seed: int, optimizer: Any, batch_size: int
    ) -> None:
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        if not layers:
            raise NetworkError(
                f"{type(module).__name__} has no nn.Linear; the programs are those of a last "
                "layer of this kind"
            )
        self.module, self.last, self.batch_size = module, layers[-1], batch_size
        if self.last.bias is None:
            raise NetworkError("the last nn.Linear has no bias; build it with bias=True")
        values = np.asarray(y)
        self.is_classifier = values.dtype.kind in "iub" and values.ndim == 1
        of_labels = "classes" if self.last.out_features > 1 else "sign"
        self.kind = of_labels if self.is_classifier else "values"
        self.output = "identity"
        self.optimizer = optimizer
        if optimizer is None:
            self.optimizer = torch.optim.Adam(module.parameters())
        self.generator = torch.Generator().manual_seed(seed)

    def epoch(self, X: Any, y: Any) -> None:
        inputs, answers = self._inputs(X), self._answers(y)
        self.module.train()
        order = torch.randperm(len(inputs), generator=self.generator)
        for begin in range(0, len(order), self.batch_size):
            part = order[begin : begin + self.batch_size]
            self.optimizer.zero_grad()
            LOSSES[self.kind](self._shaped(self.module(inputs[part])), answers[part]).backward()
            self.optimizer.step()

    def features(self, X: Any) -> FloatArray:
        """Return what the last layer is given; on the way, find out what the outputs are of its
        sums."""
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        hook = self.last.register_forward_hook(lambda _, given, sums: seen.append((given[0], sums)))
        try:
            outputs = self._forward(X)
        finally:
            hook.remove()
        given, sums = (torch.cat([pair[i] for pair in seen]) for i in (0, 1))
        if given.ndim != 2 or len(given) != len(outputs):
            raise NetworkError(
                f"the last nn.Linear is given a {tuple(given.shape)} tensor; it must be a row for "
                "every sample"
            )
        if torch.equal(sums, outputs):
            self.output = "identity"
        elif torch.equal(torch.relu(sums), outputs):
            self.output = "relu"
        else:
            raise NetworkError(
                "the outputs are not those of the last nn.Linear, nor ReLUs of them; remove what "
                "follows it"
            )
        return np.asarray(given.double().cpu().numpy())

    def last_layer(self) -> tuple[FloatArray, FloatArray]:
        parts = (self.last.weight, self.last.bias)
        weights, offsets = (part.detach().double().cpu().numpy().copy() for part in parts)
        return weights, offsets

    def replace_last_layer(self, weights: FloatArray, offsets: FloatArray) -> None:
        with torch.no_grad():
            self.last.weight.copy_(torch.as_tensor(weights))
            self.last.bias.copy_(torch.as_tensor(offsets))

    def labels(self, y: Any) -> IntArray:
        values, most = np.asarray(y).astype(np.int64), max(self.last.out_features, 2)
        if values.size and not 0 <= values.min() <= values.max() < most:
            raise DataError(
                f"labels go from {values.min()} to {values.max()}; the outputs stand for 0 to "
                f"{most - 1}"
            )
        return values

    def predicted(self, X: Any) -> IntArray:
        outputs = self._forward(X)
        chosen = outputs.argmax(dim=1) if self.kind == "classes" else (outputs[:, 0] > 0.0)
        return np.asarray(chosen.cpu().numpy()).astype(np.int64)

    def loss(self, X: Any, y: Any) -> float:
        return float(LOSSES[self.kind](self._shaped(self._forward(X)), self._answers(y)))

    def state(self) -> Any:
        return {name: value.clone() for name, value in self.module.state_dict().items()}

    def restore(self, state: Any) -> None:
        self.module.load_state_dict(state)

    def _inputs(self, X: Any) -> torch.Tensor:
        return torch.as_tensor(
            X if isinstance(X, torch.Tensor) else np.require(X, requirements="W")
        ).to(self.last.weight)

    def _answers(self, y: Any) -> torch.Tensor:
        if self.kind == "classes":
            return torch.as_tensor(self.labels(y), device=self.last.weight.device)
        values = self.labels(y) if self.kind == "sign" else np.asarray(y, dtype=np.float64)
        return self._shaped(torch.as_tensor(values).to(self.last.weight))

    def _shaped(self, values: torch.Tensor) -> torch.Tensor:
        """Return outputs or answers with a column for every output."""
        return values[:, None] if values.ndim == 1 else values

    def _forward(self, X: Any) -> torch.Tensor:
        self.module.eval()
        with torch.no_grad():
            return torch.cat([self.module(part) for part in self._inputs(X).split(CHUNK)])
