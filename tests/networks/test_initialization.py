"""Initial weights: their range, their scale, the same from version to version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block, Network
from layermilp.errors import NetworkError
from layermilp.networks.initialization import INITIALIZERS, initialize
from layermilp.networks.parameters import ParameterMap
from tests.networks.examples import SEEDS, parameter_maps


@settings(deadline=None, max_examples=40)
@given(parameter_maps(), SEEDS, st.sampled_from(sorted(INITIALIZERS)))
def test_initial_parameters_are_bounded_and_repeatable(
    parameters: ParameterMap, seed: int, init: str
) -> None:
    theta = initialize(parameters, init, np.random.default_rng(seed))
    assert theta.shape == (parameters.n_parameters,)
    assert np.all(np.abs(theta) <= 1.0)
    assert theta.tobytes() == initialize(parameters, init, np.random.default_rng(seed)).tobytes()


def test_uniform_covers_the_box() -> None:
    block = Block.dense(50, 20, init="uniform", seed=3)
    assert block.theta.min() < -0.9 and block.theta.max() > 0.9
    assert abs(block.theta.mean()) < 0.1
    assert block.bias.any()


def test_positive_covers_the_unit_interval() -> None:
    block = Block.dense(50, 20, init="positive", seed=3)
    assert 0.0 <= block.theta.min() < 0.05 and 0.95 < block.theta.max() <= 1.0
    assert abs(block.theta.mean() - 0.5) < 0.05


def test_paper_draws_kernels_positive_and_all_else_uniform() -> None:
    drawn = Network.from_notation("8x8-mean2-conv3b-10", init="paper", seed=3)
    positive = Network.from_notation("8x8-mean2-conv3b-10", init="positive", seed=3)
    uniform = Network.from_notation("8x8-mean2-conv3b-10", init="uniform", seed=3)
    np.testing.assert_allclose(drawn.blocks[1].theta, positive.blocks[1].theta, rtol=1e-12)
    assert drawn.blocks[2].theta.tobytes() == uniform.blocks[2].theta.tobytes()


def test_initial_weights_do_not_change_from_version_to_version() -> None:
    for network in (
        Network.dense([5, 4, 3], seed=1),
        Network.from_notation("5-4-3", seed=1),
    ):
        first, second = network.blocks
        np.testing.assert_allclose(
            first.theta[:4], [0.218567, 0.519637, 0.208987, -0.824189], atol=1e-6
        )
        np.testing.assert_allclose(second.theta[:4], [1.0, 1.0, 0.123583, 0.298534], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_inputs", [64, 784])
def test_he_neurons_are_scaled_and_alive(n_inputs: int, seed: int) -> None:
    block = Block.dense(n_inputs, 8, init="he", seed=seed)
    assert np.all(block.weights.sum(axis=1) >= 0.0)
    assert not block.bias.any()
    assert block.weights.std() == pytest.approx(np.sqrt(2.0 / n_inputs), rel=0.25)


@pytest.mark.parametrize("n_inputs", [1, 2, 3, 8])
def test_he_neurons_with_few_inputs_are_alive_too(n_inputs: int) -> None:
    sums = [
        Block.dense(n_inputs, 8, init="he", seed=seed).weights.sum(axis=1).min()
        for seed in range(100)
    ]
    assert min(sums) >= 0.0


def test_he_kernels_are_alive_and_without_bias() -> None:
    for seed in range(20):
        block = Block.conv2d(7, 7, 3, free_bias=True, init="he", seed=seed)
        assert block.weights.sum() >= 0.0
        assert not block.bias.any()


@pytest.mark.parametrize("init", sorted(INITIALIZERS))
def test_seeds_are_repeatable_and_different(init: str) -> None:
    one, same, other = (Network.dense([5, 4, 3], init=init, seed=seed) for seed in (1, 1, 2))
    for a, b, c in zip(one.blocks, same.blocks, other.blocks, strict=True):
        assert a.theta.tobytes() == b.theta.tobytes() != c.theta.tobytes()
    dense = [Block.dense(4, 4, init=init, seed=seed).theta.tobytes() for seed in (7, 7, 8)]
    conv = [Block.conv2d(4, 4, 2, init=init, seed=seed).theta.tobytes() for seed in (7, 7, 8)]
    assert dense[0] == dense[1] != dense[2]
    assert conv[0] == conv[1] != conv[2]


def test_unknown_initialization_is_named() -> None:
    with pytest.raises(NetworkError, match=r"'glorot' is unknown; choose he, uniform, positive"):
        Network.dense([3, 2], init="glorot")
