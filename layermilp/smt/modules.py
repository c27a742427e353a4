"""PyTorch's `Sequential` networks, without importing PyTorch: who has one has it imported."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layermilp.errors import DataError, NetworkError
from layermilp.networks.network import Network
from layermilp.program import FloatArray, IntArray
from layermilp.smt.problem import leads


def is_module(network: Any) -> bool:
    """Whether something is a PyTorch module."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(network, torch.nn.Module)


class Sequential:
    """A `torch.nn.Sequential` of `Linear` layers with biases and `ReLU` between them, perhaps after
    a `Flatten`.

    Parameters
    ----------
    module : torch.nn.Sequential
        The module.

    Raises
    ------
    NetworkError
        If it has other layers, or its weights are no float32 or float64.
    """

    def __init__(self, module: Any) -> None:
        self.torch = sys.modules["torch"]
        nn = self.torch.nn
        if not isinstance(module, nn.Sequential):
            raise NetworkError(
                f"smt takes a Sequential of Linear and ReLU, not a {type(module).__name__}"
            )
        layers = [layer for layer in module if not isinstance(layer, nn.Flatten)]
        kinds = [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(len(layers))]
        for layer, kind in zip(layers, kinds, strict=True):
            if not isinstance(layer, kind) or (kind is nn.Linear and layer.bias is None):
                wanted = "Linear with a bias" if kind is nn.Linear else "ReLU"
                raise NetworkError(f"{layer} is where a {wanted} must be")
        if len(layers) % 2 == 0:
            raise NetworkError(
                "a Sequential must end with a Linear layer, whose outputs are compared"
            )
        self.module, self.linear = module, layers[::2]
        self.dtype = str(self.linear[0].weight.dtype).removeprefix("torch.")
        if self.dtype not in ("float32", "float64"):
            raise NetworkError(
                f"the module has weights of type {self.dtype}; smt needs float32 or float64"
            )

    @property
    def network(self) -> Network:
        """A network with the same layers."""
        for i, (before, after) in enumerate(itertools.pairwise(self.linear), start=1):
            if before.out_features != after.in_features:
                raise NetworkError(
                    f"Linear {i} has {before.out_features} outputs, the next {after.in_features} "
                    "inputs"
                )
        return Network.dense(
            [self.linear[0].in_features, *(layer.out_features for layer in self.linear)]
        )

    def rounded(self, X: ArrayLike) -> FloatArray:
        """Return samples, flattened to shape ``(m, d)``, as the module sees them, in its
        floating-point type."""
        x = np.asarray(X)
        if x.ndim < 2 or not len(x):
            raise DataError(f"X has shape {x.shape}; it needs a sample a row")
        return x.reshape(len(x), -1).astype(self.dtype).astype(np.float64)

    def set(self, network: Network) -> None:
        """Set the weights of a network, which are numbers of the module's type, in the module."""
        with self.torch.no_grad():
            for layer, block in zip(self.linear, network.blocks, strict=True):
                layer.weight.copy_(self.torch.tensor(block.weights))
                layer.bias.copy_(self.torch.tensor(block.bias))

    def holds(self, X: ArrayLike, labels: IntArray) -> bool:
        """Whether the module's own output of every label is above all others."""
        with self.torch.no_grad():
            inputs = self.torch.tensor(np.asarray(X)).to(self.linear[0].weight)
            values = self.module(inputs).cpu().numpy()
        return bool(np.all(leads(values, labels) > 0.0))
