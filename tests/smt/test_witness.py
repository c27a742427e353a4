"""Last layers by programs, and random layers below them."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp.program import Limits
from layermilp.smt.problem import Domain, Problem, leads, outputs
from layermilp.smt.witness import last_layer, random_layers, widest_margin
from tests.smt.samples import every_network


def test_the_last_layer_has_the_widest_margin_or_none() -> None:
    features = np.column_stack([[0.0, 1.0, 3.0, 4.0], np.ones(4)])
    theta = widest_margin(features, np.array([0, 0, 1, 1]), 2, Limits())
    assert theta is not None
    # Weights of difference (w, c) in [-1, 1]: w + c <= -t and 3 w + c >= t, best at w = 2/3 + ...,
    # c = -1.
    assert leads(features @ theta.T, np.array([0, 0, 1, 1])).min() == pytest.approx(0.5)
    assert widest_margin(features, np.array([0, 1, 0, 1]), 2, Limits()) is None


def test_a_last_layer_on_a_grid_is_solved_by_a_program() -> None:
    """Weights from -1 to 1 in whole steps, where rounding the real ones fails."""
    rng, count = np.random.default_rng(0), 0
    for _ in range(10):
        X, labels = rng.integers(-3, 4, (5, 3)).astype(float), rng.integers(0, 2, 5)
        problem = Problem(X, labels, (3, 2), Domain(1.0, 1.0))
        possible = any(
            leads(outputs(weights, X), labels).min() > 0.0 for weights in every_network((3, 2))
        )
        found = last_layer(problem, (), Limits())
        assert (found is not None) == possible
        count += possible
    assert 0 < count < 10


def test_neurons_bend_among_the_samples() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3)) + 100.0
    (layer,) = random_layers(X, (3, 20), np.random.default_rng(0))
    fires = (X @ layer[:, :-1].T + layer[:, -1] > 0.0).mean(axis=0)
    assert np.all(fires > 0.0) and np.all(fires < 1.0)
