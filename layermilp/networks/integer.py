"""Networks of integer weights with sign activations, evaluated in integer arithmetic: equations (1)
to (12).

The source is Thorbjarnarson and Yorke-Smith 2020, "On Training Neural Networks with Mixed Integer
Programming". Inputs lie in [0, 1] and are rounded to multiples of 1/1024. So every sum is a whole
number of 1/1024, a sign is never a matter of rounding, and a neuron that does not fire stays below
zero by 1/1024 at least, where the paper's (3) asks for 1e-5."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import DataError, NetworkError
from layermilp.networks.classifier import Classifier, checked_samples, decide
from layermilp.networks.files import Arrays
from layermilp.networks.parameters import check_chain, check_size, n_weights
from layermilp.program import FloatArray, IntArray

GRID = 1024
"""Inputs are multiples of one over this: a power of two, so that they are exact in binary floating
point."""

LARGEST = 2**53
"""Below this sums of whole numbers in float64 are exact."""


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Integer weights of shape ``(n, d)`` and biases of shape ``(n,)``."""

    weights: IntArray
    bias: IntArray

    def __post_init__(self) -> None:
        for name in ("weights", "bias"):
            array = np.array(getattr(self, name), dtype=np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        is_matrix = self.weights.ndim == 2 and self.weights.size > 0
        if not is_matrix or self.bias.shape != self.weights.shape[:1]:
            raise NetworkError(
                f"weights {self.weights.shape} and biases {self.bias.shape} do not fit together"
            )

    @property
    def n_inputs(self) -> int:
        """Number of inputs `d`."""
        return int(self.weights.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of neurons `n`."""
        return int(self.weights.shape[0])

    @property
    def theta(self) -> IntArray:
        """Weights and bias of every neuron, shape ``(n, d + 1)``."""
        return np.column_stack([self.weights, self.bias])

    @classmethod
    def of(cls, theta: ArrayLike) -> IntegerLayer:
        """Return the layer of given `theta`."""
        values = np.asarray(theta)
        return cls(values[:, :-1], values[:, -1])

    def with_neuron(self, j: int, theta: ArrayLike) -> IntegerLayer:
        """Return the layer with other weights and bias of one neuron."""
        values = self.theta
        values[j] = theta
        return IntegerLayer.of(values)


class IntegerNetwork(Classifier):
    """Layers of integer weights; sign activations between them, none after the last.

    Networks are values: training returns a new one.

    Parameters
    ----------
    layers : iterable of IntegerLayer
        First hidden layer to output layer.
    bound : int
        `P`: weights and biases lie in ``-P, ..., P``.
    classes : (n_outputs,) array of int or str, optional
        Label of each output. Default: 0, 1, ...

    Raises
    ------
    NetworkError
        If layers do not fit together, there is no hidden layer, a value exceeds the bound, or sums
        could be too large for exact arithmetic.
    """

    decision: ClassVar[str] = "argmax"

    FORMAT = "layermilp.integer"
    VERSIONS = (1,)

    def __init__(
        self, layers: Iterable[IntegerLayer], bound: int, classes: ArrayLike | None = None
    ) -> None:
        self.layers, self.bound = tuple(layers), bound
        if isinstance(bound, bool) or not isinstance(bound, (int, np.integer)) or bound < 1:
            raise NetworkError(f"bound is {bound!r}; it must be a whole number of at least 1")
        if len(self.layers) < 2:
            raise NetworkError(
                "an integer network needs a hidden layer and an output layer, such as 108-16-2"
            )
        check_chain(self.layers, "layer")
        for i, layer in enumerate(self.layers, start=1):
            largest = max(int(layer.theta.max()), -int(layer.theta.min()))
            if largest > bound:
                raise NetworkError(f"layer {i} has a weight of {largest}, above the bound {bound}")
            if GRID * bound * (layer.n_inputs + 1) >= LARGEST:
                raise NetworkError(
                    f"bound {bound} is too large for {layer.n_inputs} inputs: sums would not be "
                    "exact"
                )
        self.n_inputs, self.n_outputs = self.layers[0].n_inputs, self.layers[-1].n_outputs
        self.classes = np.arange(self.n_outputs) if classes is None else np.asarray(classes)
        if not self.classes.shape == np.unique(self.classes).shape == (self.n_outputs,):
            raise NetworkError(
                f"{self.n_outputs} outputs need as many different classes, got "
                f"{self.classes.tolist()}"
            )

    @classmethod
    def zeros(
        cls, sizes: Iterable[int], bound: int, classes: ArrayLike | None = None
    ) -> IntegerNetwork:
        """Return the network of all weights zero, with inputs, hidden layers and outputs of given
        sizes."""
        sizes = list(sizes)
        check_size(len(sizes) - 1, n_weights(sizes))
        layers = [IntegerLayer.of(np.zeros((n, d + 1))) for d, n in itertools.pairwise(sizes)]
        return cls(layers, bound, classes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden layers, outputs."""
        return (self.n_inputs, *(layer.n_outputs for layer in self.layers))

    @property
    def notation(self) -> str:
        """The sizes joined by dashes, such as ``108-16-2``."""
        return "-".join(map(str, self.sizes))

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return sum(self.sizes[1:-1])

    @property
    def scale(self) -> float:
        """Factor of (1) from a sum to an output: ``2 / (P (N + 1))`` with `N` neurons in the last
        hidden layer."""
        return 2.0 / (self.bound * (self.layers[-1].n_inputs + 1))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest signed integer type that holds the bound."""
        return np.dtype(np.min_scalar_type(-self.bound - 1))

    @property
    def n_bytes(self) -> int:
        """Bytes of all weights and biases in that type."""
        return self.dtype.itemsize * sum(layer.theta.size for layer in self.layers)

    @cached_property
    def _thetas(self) -> tuple[FloatArray, ...]:
        return tuple(layer.theta.astype(np.float64) for layer in self.layers)

    def with_layer(self, i: int, layer: IntegerLayer) -> IntegerNetwork:
        """Return the network with another layer `i`."""
        layers = (*self.layers[:i], layer, *self.layers[i + 1 :])
        return IntegerNetwork(layers, self.bound, self.classes)

    def activations_of_rounded(self, inputs: FloatArray, first: int = 0) -> list[FloatArray]:
        """Return the inputs of layer `first`, as given, and of those after it: signs of -1 and 1
        (2) (3); each ``(m, d_i)``. Inputs of the network must be `rounded`."""
        found = [inputs]
        for i in range(first, len(self.layers) - 1):
            found.append(np.where(self.sums(i, found[-1]) >= 0.0, 1.0, -1.0))
        return found

    def sums(self, i: int, inputs: FloatArray) -> FloatArray:
        """Return the weighted sums with biases of layer `i`, exact, shape ``(m, n_i)``."""
        theta = self._thetas[i]
        return np.asarray(inputs @ theta[:, :-1].T + theta[:, -1])

    def output_sums(self, X: ArrayLike) -> FloatArray:
        """Return the sums of the output layer, whole numbers, shape ``(m, n_outputs)``."""
        return self.output_sums_of_rounded(rounded(X, self.n_inputs))

    def output_sums_of_rounded(self, inputs: FloatArray, first: int = 0) -> FloatArray:
        """Return the same for inputs of layer `first`; those of the network are `rounded`."""
        return self.sums(len(self.layers) - 1, self.activations_of_rounded(inputs, first)[-1])

    def forward(self, X: ArrayLike) -> FloatArray:
        """Return the normalized outputs of (1), shape ``(m, n_outputs)``, for samples of shape
        ``(m, n_inputs)``."""
        return self.output_sums(X) * self.scale

    def choices(self, X: ArrayLike) -> IntArray:
        """Index of the largest output, shape ``(m,)``; of several largest ones the first."""
        return decide(self.output_sums(X), self.decision)

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of samples whose own output is larger than all others: ties count as errors."""
        labels = self.class_indices(y)
        return float(correct(self.output_sums(X), labels).mean())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that makes the network, as arrays by name; weights in the smallest type that holds
        the bound."""
        arrays = {"bound": np.array(self.bound), "classes": self.classes}
        for i, layer in enumerate(self.layers):
            arrays[f"theta{i}"] = layer.theta.astype(self.dtype)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, version: int) -> IntegerNetwork:
        """Return the network of the arrays of a version of the format, see `arrays`."""
        count = sum(name.startswith("theta") for name in arrays)
        names = ["bound", *(f"theta{i}" for i in range(count))]
        for name, kinds in (*((name, "iu") for name in names), ("classes", "iuU")):
            if arrays[name].dtype.kind not in kinds:
                raise ValueError(f"{name} holds values of type {arrays[name].dtype}")
        layers = [IntegerLayer.of(arrays[name]) for name in names[1:]]
        return cls(layers, int(arrays["bound"]), arrays["classes"])


def correct(sums: FloatArray, labels: IntArray) -> NDArray[np.bool_]:
    """Whether the own output of every sample is larger than all others, shape ``(m,)``."""
    rows = np.arange(len(sums))
    others = sums.copy()
    others[rows, labels] = -np.inf
    return np.asarray(sums[rows, labels] > others.max(axis=1))


def rounded(X: ArrayLike, n_inputs: int) -> FloatArray:
    """Return inputs in [0, 1] as the nearest multiples of 1/1024; raise `DataError` if shape or
    values do not fit."""
    x = checked_samples(X, n_inputs)
    if np.any(x < 0.0) or np.any(x > 1.0):
        row, column = np.argwhere((x < 0.0) | (x > 1.0))[0]
        raise DataError(
            f"sample {row} has the value {x[row, column]:g} at input {column}; integer networks "
            "need inputs scaled to [0, 1]"
        )
    return np.asarray(np.rint(x * GRID) / GRID)
