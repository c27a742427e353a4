"""Small networks and samples, and exact arithmetic by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from layermilp import Network
from layermilp.smt import exact
from layermilp.smt.problem import Weights

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(2, 2), (3, 2, 2), (2, 3, 3), (2, 3, 2, 3), (1, 1, 1, 2)])
CORNERS, APART = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 0, 1, 1])


def drawn_weights(rng: np.random.Generator, sizes: tuple[int, ...]) -> Weights:
    return tuple(rng.normal(size=(n, d + 1)) for d, n in itertools.pairwise(sizes))


def exactly(weights: Weights, X: np.ndarray) -> list[list[Fraction]]:
    """Outputs of the library, as fractions."""
    values, denominator = exact.outputs(weights, X)
    return [[Fraction(value, denominator) for value in row] for row in values.tolist()]


def by_hand(weights: Weights, x: np.ndarray) -> list[Fraction]:
    """Forward pass in fractions, a sum at a time."""
    values = [Fraction(float(v)) for v in x]
    for i, layer in enumerate(weights):
        sums = []
        for row in layer:
            terms = [Fraction(float(w)) * v for w, v in zip(row[:-1], values, strict=True)]
            sums.append(sum(terms, Fraction(float(row[-1]))))
        values = sums if i == len(weights) - 1 else [max(total, Fraction(0)) for total in sums]
    return values


def holds(network: Network | None, X: np.ndarray, labels: np.ndarray) -> bool:
    """Whether every label's output is above all others, in fractions and as the network
    predicts."""
    assert network is not None
    weights = tuple(block.extended for block in network.blocks)
    for x, label in zip(X, labels, strict=True):
        values = by_hand(weights, x)
        if any(values[label] <= value for j, value in enumerate(values) if j != label):
            return False
    return network.decision == "argmax" and network.accuracy(X, network.classes[labels]) == 1.0


def planes(m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3))
    return X, np.all(X @ rng.normal(size=(3, 2)) > 0.0, axis=1).astype(int)


def every_network(sizes: tuple[int, ...]) -> Iterator[Weights]:
    """Yield all networks with weights from -1 to 1."""
    shapes = [(n, d + 1) for d, n in itertools.pairwise(sizes)]
    counts = [a * b for a, b in shapes]
    for values in itertools.product((-1.0, 0.0, 1.0), repeat=sum(counts)):
        parts = np.split(np.array(values), np.cumsum(counts)[:-1])
        yield tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
