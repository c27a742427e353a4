"""Blocks and networks in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block, Network
from layermilp.errors import NetworkError
from layermilp.networks.layers import Dense
from tests.networks.examples import SEEDS


def test_block_is_relu_of_an_affine_map() -> None:
    block = Block(Dense(2, 2), np.array([1.0, -2.0, 0.5, -1.0, 1.0, -0.25]))
    assert block.weights.tolist() == [[1.0, -2.0], [-1.0, 1.0]]
    assert block.bias.tolist() == [0.5, -0.25]
    inputs = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert block.preactivation(inputs).tolist() == [[1.5, -1.25], [-1.5, 0.75]]
    assert block.forward(inputs).tolist() == [[1.5, 0.0], [0.0, 0.75]]


def test_blocks_are_values() -> None:
    theta = np.ones(6)
    block = Block(Dense(2, 2), theta)
    theta[0] = 5.0
    assert block.theta[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        block.theta[0] = 2.0
    other = block.with_theta(np.zeros(6))
    assert block.theta.all() and not other.theta.any()
    assert other.parameters is block.parameters


@pytest.mark.parametrize(
    "theta", [np.zeros(5), np.zeros((1, 6)), [0, 0, 0, 0, 0, np.nan], [0, 0, 0, 0, 0, np.inf]]
)
def test_block_parameters_are_validated(theta: Any) -> None:
    with pytest.raises(NetworkError, match="6 finite parameters"):
        Block(Dense(2, 2), np.asarray(theta))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), SEEDS)
def test_network_is_the_blocks_in_turn(sizes: list[int], seed: int) -> None:
    network = Network.dense(sizes, init="uniform", seed=seed)
    assert network.notation == "-".join(map(str, sizes))
    X = np.random.default_rng(seed).random((4, sizes[0]))
    layers = network.activations(X)
    assert [layer.shape for layer in layers] == [(4, size) for size in sizes]
    expected = X
    for i, block in enumerate(network.blocks):
        expected = np.maximum(np.einsum("ki,ji->kj", expected, block.weights) + block.bias, 0.0)
        np.testing.assert_allclose(layers[i + 1], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(network.forward(X), layers[-1])
    closest = [min(range(sizes[-1]), key=lambda j: abs(row[j] - 1.0)) for row in layers[-1]]
    assert network.predict(X).tolist() == closest


def test_the_last_block_is_linear_when_the_largest_output_decides() -> None:
    network = Network.dense([4, 5, 3], init="uniform", seed=12)
    linear = network.with_decision("argmax")
    X = np.random.default_rng(0).random((50, 4))
    assert (linear.forward(X) < 0.0).all(axis=1).any()
    assert np.maximum(linear.forward(X), 0.0).tobytes() == network.forward(X).tobytes()
    assert [layer.tobytes() for layer in linear.activations(X)[:-1]] == [
        layer.tobytes() for layer in network.activations(X)[:-1]
    ]
    assert linear.activations(X)[-1].tobytes() == linear.forward(X).tobytes()
    assert linear.predict(X).tolist() == [
        max(range(3), key=row.__getitem__) for row in linear.forward(X).tolist()
    ]
    assert linear.accuracy(X, linear.predict(X)) == 1.0
    assert network.predict(X).tolist() != linear.predict(X).tolist()


def test_with_block_replaces_one_block() -> None:
    network = Network.dense([3, 2, 2]).with_classes(["a", "b"])
    other = network.with_block(1, network.blocks[1].with_theta(np.ones(6)))
    assert other.blocks[0] is network.blocks[0] and other.blocks[1].theta.all()
    assert other.classes.tolist() == ["a", "b"]
    assert not np.array_equal(network.blocks[1].theta, other.blocks[1].theta)


@pytest.mark.parametrize("sizes", [[], [3], [3, 0], [3, -1], [3, 2.5], [3, "4"], [True, 2]])
def test_sizes_are_validated(sizes: list[Any]) -> None:
    with pytest.raises(NetworkError):
        Network.dense(sizes)


def test_blocks_must_fit_together() -> None:
    with pytest.raises(NetworkError, match="block 1 has 2 outputs, but block 2 takes 3 inputs"):
        Network([Block.dense(4, 2), Block.dense(3, 2)])
    with pytest.raises(NetworkError, match="at least one block"):
        Network([])
