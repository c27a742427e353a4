"""Small integer networks, their losses, and enumerations of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from layermilp.integer.losses import OBJECTIVES, MinHinge
from layermilp.integer.neighbourhood import Goal, Samples
from layermilp.networks.integer import (
    IntegerLayer,
    IntegerNetwork,
    rounded,
)

SEEDS = st.integers(0, 2**32 - 1)
NAMES = list(OBJECTIVES)


def drawn_network(rng: np.random.Generator, sizes: tuple[int, ...], bound: int) -> IntegerNetwork:
    layers = [
        IntegerLayer.of(rng.integers(-bound, bound + 1, (n, d + 1)))
        for d, n in itertools.pairwise(sizes)
    ]
    return IntegerNetwork(layers, bound)


def drawn_samples(rng: np.random.Generator, m: int, d: int, n_outputs: int) -> Samples:
    x = rng.integers(0, 4, (m, d)) / 4.0
    return Samples(rounded(x, d), rng.integers(0, n_outputs, m))


def drawn_goal(network: IntegerNetwork, name: str, price: float = 0.0) -> Goal:
    shape = network.bound, network.layers[-1].n_inputs, network.n_outputs
    return Goal(OBJECTIVES[name](*shape), MinHinge(*shape), price)


def loss_of(network: IntegerNetwork, samples: Samples, goal: Goal) -> float:
    sums = network.output_sums_of_rounded(samples.inputs)
    return float(goal.losses(sums, samples.labels).sum())


def every_theta(shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield all weights and biases of a layer from -1 to 1."""
    for values in itertools.product((-1, 0, 1), repeat=shape[0] * shape[1]):
        yield np.array(values).reshape(shape)


def every_activation(values: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Return all different signs of the last hidden layer."""
    if len(sizes) == 1:
        return [values]
    found = {}
    for before in every_activation(values, sizes[:-1]):
        for theta in every_theta((sizes[-1], sizes[-2] + 1)):
            signs = np.where(before @ theta[:, :-1].T + theta[:, -1] >= 0.0, 1.0, -1.0)
            found[signs.tobytes()] = signs
    return list(found.values())


def blobs(m: int = 60, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = np.arange(m) % 2
    return np.clip(rng.random((m, d)) * 0.8 + 0.2 * y[:, None] * (np.arange(d) % 2), 0.0, 1.0), y
