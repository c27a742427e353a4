"""Ridge regressions of a layer's weights by their normal equations, sums over the samples.

With extended inputs ``x~ = (x, 1)`` and targets `u` of the preactivations, the weights of a layer
minimize ``sum_k |u_k - W x~_k|^2`` and a price of their squares. All that this needs of the samples
is ``G = sum_k x~_k x~_k^T`` and ``C = sum_k x~_k u_k^T``: also where weights are tied or fixed, as
in a convolution. Neurons whose free weights see the same inputs have the same matrix, so a dense
layer is one Cholesky factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from layermilp.networks.parameters import Group, ParameterMap
from layermilp.program import FloatArray, IntArray

SAMPLES_AT_ONCE = 4096
"""Samples of a summand: its copies of the inputs stay small."""


def parts(n_samples: int) -> Iterator[slice]:
    """Yield the samples in blocks."""
    for first in range(0, n_samples, SAMPLES_AT_ONCE):
        yield slice(first, first + SAMPLES_AT_ONCE)


def extended(inputs: FloatArray) -> FloatArray:
    """Return inputs with a column of ones, shape ``(m, d + 1)``."""
    return np.column_stack([inputs, np.ones(len(inputs))])


def gram(inputs: FloatArray) -> FloatArray:
    """Return `G`, shape ``(d + 1, d + 1)``, of inputs of shape ``(m, d)``."""
    blocks = (extended(inputs[part]) for part in parts(len(inputs)))
    return np.asarray(sum(block.T @ block for block in blocks))


def moments(inputs: FloatArray, targets: FloatArray) -> FloatArray:
    """Return `C`, shape ``(d + 1, n)``, of inputs and targets of shape ``(m, n)``."""
    return np.asarray(sum(extended(inputs[part]).T @ targets[part] for part in parts(len(inputs))))


@dataclass(frozen=True, eq=False)
class _Shared:
    """Groups of neurons that have the same matrix: their free weights, numbered within the group,
    are at the same inputs.

    Parameters
    ----------
    selections : list of (p, d + 1) sparse arrays
        For every neuron of a group, which input each of the `p` parameters multiplies.
    groups : list of Group
        The groups.
    is_dense : bool
        Whether a group is a neuron with all its weights free.
    """

    selections: list[Any]
    groups: list[Group]
    is_dense: bool

    def matrix(self, gram: FloatArray) -> FloatArray:
        """Return the matrix of the normal equations, shape ``(p, p)``."""
        if self.is_dense:
            return gram
        return np.asarray(sum(s @ (s @ gram).T for s in self.selections))

    def right_hand_sides(self, moments: FloatArray) -> FloatArray:
        """Return those of all groups, shape ``(p, groups)``."""
        neurons = np.array([group.neurons for group in self.groups])
        if self.is_dense:
            return moments[:, neurons[:, 0]]
        pairs = zip(self.selections, neurons.T, strict=True)
        return np.asarray(sum(s @ moments[:, place] for s, place in pairs))


@dataclass(frozen=True, eq=False)
class Factors:
    """What the ridge regressions of a layer have in common for the same inputs.

    Parameters
    ----------
    gram : (d + 1, d + 1) array
        `G`.
    factors : tuple
        Cholesky factor of every matrix.
    """

    gram: FloatArray
    factors: tuple[Any, ...]


class WeightFit:
    """The ridge regressions of a layer, for all its inputs and targets.

    Parameters
    ----------
    ties : ParameterMap
        Which weights are free, tied or fixed.
    """

    def __init__(self, ties: ParameterMap) -> None:
        self.ties = ties
        self.is_offset = np.zeros(ties.n_parameters, dtype=bool)
        self.is_offset[ties.index[ties.index[:, -1] >= 0, -1]] = True
        self._shared: dict[bytes, _Shared] = {}
        for group in ties.groups:
            index = ties.index[group.neurons]
            places = np.where(index >= 0, np.searchsorted(group.parameters, index), -1)
            key = places.astype(np.int32).tobytes()
            if key not in self._shared:
                is_dense = len(places) == 1 and np.array_equal(
                    places[0], np.arange(places.shape[1])
                )
                selections = (
                    [] if is_dense else [_selection(row, group.parameters.size) for row in places]
                )
                self._shared[key] = _Shared(selections, [], is_dense)
            self._shared[key].groups.append(group)

    def factored(self, gram: FloatArray, ridge: float) -> Factors:
        """Return the factors for `G` and a price of the squared weights above 0; offsets are
        free."""
        found = []
        for shared in self._shared.values():
            matrix = np.array(shared.matrix(gram))
            is_offset = self.is_offset[shared.groups[0].parameters]
            matrix[np.diag_indices(len(matrix))] += np.where(is_offset, 0.0, ridge)
            found.append(cho_factor(matrix, overwrite_a=True))
        return Factors(gram, tuple(found))

    def best(self, factors: Factors, moments: FloatArray) -> FloatArray:
        """Return the parameters, shape ``(p,)``, that minimize the sum of squared deviations and
        the price, for `C`."""
        theta = np.zeros(self.ties.n_parameters)
        rest = moments - factors.gram @ self.ties.fixed.T
        for shared, factor in zip(self._shared.values(), factors.factors, strict=True):
            solved = cho_solve(factor, shared.right_hand_sides(rest))
            for group, part in zip(shared.groups, solved.T, strict=True):
                theta[group.parameters] = part
        return theta

    def price(self, theta: FloatArray) -> float:
        """Sum of the squared weights, each parameter counted once, without offsets."""
        return float((theta[~self.is_offset] ** 2).sum())


def _selection(places: IntArray, n_parameters: int) -> Any:
    """Return the input that each parameter of a neuron multiplies, as a sparse matrix."""
    entries = np.flatnonzero(places >= 0)
    shape = (n_parameters, len(places))
    return sparse.csr_array((np.ones(entries.size), (places[entries], entries)), shape=shape)
