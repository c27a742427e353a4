"""Maps from parameters to weights: which weights of a block are free, tied or fixed.

The weights of a block with `d` inputs and `n` outputs form an extended matrix of shape ``(n, d +
1)`` whose last column is the bias. Each entry either is a parameter (entries that name the same
parameter are tied) or has a fixed value. A dense block has one parameter per entry; a convolution
ties the entries of its kernel and fixes all others at zero.

For neurons `j` and inputs `x_k` the preactivations are linear in the parameters, ``a_r = H_r .
theta + g_r`` with one row ``r`` per pair ``(k, j)``: that is all the formulations need to know
(`ParameterMap.rows`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from layermilp.checks import memory_bytes, shortened
from layermilp.errors import NetworkError
from layermilp.program import FloatArray, IntArray

MOST_LAYERS = 100
"""Largest number of layers: more than programs can train."""

BYTES_PER_WEIGHT = 64
"""Bytes of memory that training takes per weight, at least: maps, copies, averages."""


@dataclass(frozen=True, eq=False)
class Group:
    """Neurons that share parameters, directly or through others, with the parameters they use; both
    ascending."""

    neurons: IntArray
    parameters: IntArray


@dataclass(frozen=True, eq=False)
class ParameterMap:
    """Map from a parameter vector to the extended weight matrix of a block.

    Parameters
    ----------
    index : (n, d + 1) array of int
        Number of the parameter that an entry is, or -1 where the entry is fixed. Numbers run from 0
        without gaps.
    fixed : (n, d + 1) array
        Values of the fixed entries; zero elsewhere.

    Raises
    ------
    NetworkError
        If the shapes differ, a number is missing, or a fixed value is not finite.
    """

    index: IntArray
    fixed: FloatArray

    def __post_init__(self) -> None:
        index = np.ascontiguousarray(self.index, dtype=np.int64)
        fixed = np.ascontiguousarray(self.fixed, dtype=np.float64)
        is_matrix = index.ndim == 2 and index.shape[0] >= 1 and index.shape[1] >= 2
        if not is_matrix or fixed.shape != index.shape:
            raise NetworkError(
                f"parameter map: index has shape {index.shape} and fixed has shape {fixed.shape}"
            )
        used = np.unique(index[index >= 0])
        if index.min() < -1 or not np.array_equal(used, np.arange(used.size)):
            raise NetworkError(
                "parameter map: parameters must be numbered 0, 1, ... without gaps, fixed entries "
                "-1"
            )
        if not np.all(np.isfinite(fixed)) or np.any(fixed[index >= 0] != 0.0):
            raise NetworkError(
                "parameter map: fixed values must be finite, and zero where an entry is a parameter"
            )
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "fixed", fixed)

    @classmethod
    def of_weights(cls, index: IntArray, extended: FloatArray) -> ParameterMap:
        """Return the map of an index whose fixed values are those of the extended weights."""
        return cls(index, np.where(index >= 0, 0.0, extended))

    def is_same(self, other: ParameterMap) -> bool:
        """Whether two maps have equal indices and fixed values."""
        return np.array_equal(self.index, other.index) and np.array_equal(self.fixed, other.fixed)

    @property
    def n_outputs(self) -> int:
        """Number of neurons."""
        return int(self.index.shape[0])

    @property
    def n_inputs(self) -> int:
        """Number of inputs, the bias not counted."""
        return int(self.index.shape[1]) - 1

    @cached_property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return int(self.index.max()) + 1

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The finest partition of the neurons that have parameters into groups that share none, by
        first neurons."""
        neurons, columns = np.nonzero(self.index >= 0)
        links = sparse.coo_array(
            (np.ones(neurons.size), (neurons, self.n_outputs + self.index[neurons, columns])),
            shape=(self.n_outputs + self.n_parameters,) * 2,
        )
        _, labels = csgraph.connected_components(links, directed=False)
        members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
        parts = (members[label] for label in dict.fromkeys(labels[np.unique(neurons)].tolist()))
        return tuple(
            Group(part[part < self.n_outputs], part[part >= self.n_outputs] - self.n_outputs)
            for part in parts
        )

    def expand(self, theta: FloatArray) -> FloatArray:
        """Return the extended weights, shape ``(n, d + 1)``, of a parameter vector."""
        if theta.shape != (self.n_parameters,):
            raise NetworkError(
                f"expected {self.n_parameters} parameters, got an array of shape {theta.shape}"
            )
        return np.where(self.index >= 0, np.append(theta, 0.0)[self.index], self.fixed)

    def collect(self, extended: FloatArray) -> FloatArray:
        """Return the parameter vector of extended weights; raise `NetworkError` if tied entries
        differ or a fixed entry has another value."""
        theta = np.zeros(self.n_parameters)
        free = self.index >= 0
        theta[self.index[free]] = extended[free]
        if not np.array_equal(self.expand(theta), extended):
            raise NetworkError("the weights break their ties or fixed values")
        return theta

    def rows(self, group: Group, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `H` and `g` of the preactivations ``a_r = H_r . theta[group.parameters] + g_r``.

        Inputs have shape ``(m, d)``, `H` and `g` have ``(m * n, p)`` and ``(m * n,)`` for `n`
        neurons and `p` parameters of the group. Row ``k * n + i`` belongs to sample `k` and neuron
        ``group.neurons[i]``."""
        extended = np.column_stack([inputs, np.ones(len(inputs))])
        coefficients = np.empty((len(inputs), group.neurons.size, group.parameters.size))
        for i, neuron in enumerate(group.neurons):
            entries = np.flatnonzero(self.index[neuron] >= 0)
            if np.array_equal(self.index[neuron], group.parameters):
                # A neuron of a dense layer: nothing is tied or fixed.
                coefficients[:, i] = extended
                continue
            places = np.searchsorted(group.parameters, self.index[neuron, entries])
            ties = sparse.csr_array(
                (np.ones(entries.size), (places, entries)),
                shape=(group.parameters.size, extended.shape[1]),
            )
            coefficients[:, i] = (ties @ extended.T).T
        constants = extended @ self.fixed[group.neurons].T
        n_rows = len(inputs) * group.neurons.size
        return coefficients.reshape(n_rows, group.parameters.size), constants.reshape(n_rows)


def layer_size(value: Any) -> int:
    """Return a size; raise `NetworkError` unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise NetworkError(
            f"{shortened(value)} is not a layer size; sizes are whole numbers of at least 1"
        )
    return int(value)


def check_size(n_layers: int, n_weights: int, what: str = "the network") -> None:
    """Raise `NetworkError` if a network has too many layers, or more weights than there is memory
    for; to be asked before memory is taken."""
    if n_layers > MOST_LAYERS:
        raise NetworkError(
            f"{what} is too large: it has {n_layers:,} layers, {MOST_LAYERS} are the limit"
        )
    needed, memory = n_weights * BYTES_PER_WEIGHT, memory_bytes()
    if needed > memory:
        raise NetworkError(
            f"{what} is too large: {n_weights:,} weights take {needed / 2**30:,.1f} GiB of memory "
            f"to train, there are {memory / 2**30:,.1f} GiB"
        )


def check_chain(parts: Sequence[Any], what: str) -> None:
    """Raise `NetworkError` if there are too many layers, or one does not take as many values as the
    one before gives; the message names them by `what` and their number."""
    check_size(len(parts), 0)
    for i, (before, after) in enumerate(itertools.pairwise(parts), start=1):
        if before.n_outputs != after.n_inputs:
            raise NetworkError(
                f"{what} {i} has {before.n_outputs} outputs, but {what} {i + 1} takes "
                f"{after.n_inputs} inputs"
            )


def n_weights(sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of dense layers."""
    return sum((d + 1) * n for d, n in itertools.pairwise(sizes))
