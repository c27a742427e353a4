"""Every block at its exact minimum: against all pieces, and against another solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from layermilp.bcd.blocks import best_activations, best_preactivations
from layermilp.networks.network import Block

NUMBERS = st.floats(-10.0, 10.0)
PRICES = st.floats(0.01, 10.0)


@given(NUMBERS, NUMBERS, PRICES, PRICES)
def test_a_preactivation_is_the_better_of_both_pieces(
    z: float, v: float, tau: float, rho: float
) -> None:
    """Of each piece of the ReLU the least value, by bounded least squares."""

    def cost(u: float) -> float:
        return float(tau * (u - z) ** 2 + rho * (v - max(0.0, u)) ** 2)

    found = float(best_preactivations(np.array([[z]]), np.array([[v]]), tau, rho)[0, 0])
    roots = np.sqrt([tau, rho])
    firing = lsq_linear(np.c_[roots], roots * [z, v], (0.0, np.inf), tol=1e-12).x[0]
    silent = lsq_linear(np.c_[roots[:1]], roots[:1] * z, (-np.inf, 0.0), tol=1e-12).x[0]
    assert cost(found) <= min(map(cost, (firing, silent, z, v, 0.0))) + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_activations_are_a_least_squares_fit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    block = Block.dense(4, 3, seed=seed).with_theta(rng.normal(size=15))
    targets, u = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    weight, rho = rng.uniform(0.1, 3.0, 2)
    found = best_activations(block, targets, weight, u, rho)
    rows = np.vstack([np.sqrt(weight) * block.weights, np.sqrt(rho) * np.eye(4)])
    for k in range(6):
        wanted = np.append(
            np.sqrt(weight) * (targets[k] - block.bias), np.sqrt(rho) * np.maximum(u[k], 0.0)
        )
        expected = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        np.testing.assert_allclose(found[k], expected, atol=1e-10)
