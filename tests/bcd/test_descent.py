"""The objective never rises, from block to block."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Network
from layermilp.bcd.blocks import best_preactivations
from layermilp.bcd.descent import Descent
from layermilp.bcd.options import Penalties

NETS = ("5-3", "5-4-3", "5-4-3-2", "4x4-conv2-3", "4x4-conv2b-3-2", "4x4-mean2-3-2")


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(NETS),
    st.integers(0, 10**6),
    st.floats(0.05, 5.0),
    st.floats(0.05, 5.0),
    st.sampled_from([0.5, 1.0, 1.5, 1.9]),
)
def test_the_objective_never_rises(
    net: str, seed: int, tau: float, rho: float, relaxation: float
) -> None:
    rng = np.random.default_rng(seed)
    network = Network.from_notation(net, seed=seed).with_decision("argmax")
    X, targets = rng.normal(size=(12, network.n_inputs)), rng.normal(size=(12, network.n_outputs))
    descent = Descent(
        network, X, targets, Penalties(tau=tau, rho=rho, relaxation=relaxation, ridge=0.01)
    )
    point = descent.begin(network)
    values = [descent.objective(point)]
    for _ in range(6):
        point = descent.sweep(point)
        values.append(descent.objective(point))
    assert all(b <= a * (1.0 + 1e-9) for a, b in itertools.pairwise(values))


def test_the_objective_is_that_of_its_formula() -> None:
    rng = np.random.default_rng(1)
    network = Network.from_notation("4-3-2").with_decision("argmax")
    X, targets = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    descent = Descent(network, X, targets, Penalties(tau=0.7, rho=1.3, ridge=0.1))
    (v,) = descent.sweep(descent.begin(network)).activations
    point = descent.point(network, [v])
    first, last = network.blocks
    z = X @ first.weights.T + first.bias
    u = best_preactivations(z, v, 0.7, 1.3)
    expected = ((targets - v @ last.weights.T - last.bias) ** 2).sum()
    expected += 0.7 * ((u - z) ** 2).sum() + 1.3 * ((v - np.maximum(u, 0.0)) ** 2).sum()
    expected += 0.1 * 5 * ((first.weights**2).sum() + (last.weights**2).sum())
    assert descent.objective(point) == pytest.approx(expected)
    np.testing.assert_allclose(descent.outputs(point), network.forward(X))


def test_one_layer_is_a_ridge_regression_after_a_sweep() -> None:
    rng = np.random.default_rng(2)
    network = Network.from_notation("4-2").with_decision("argmax")
    X, targets = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    descent = Descent(network, X, targets, Penalties(ridge=0.05))
    once = descent.sweep(descent.begin(network))
    centred, means = X - X.mean(axis=0), targets.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + np.eye(4), centred.T @ (targets - means))
    np.testing.assert_allclose(once.network.blocks[0].weights, expected.T, atol=1e-10)
