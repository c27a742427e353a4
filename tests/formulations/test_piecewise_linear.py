"""Pieces, their values, slopes and groups, are what the loss says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.algorithms.restricted_master import Cut
from layermilp.formulations import HingeRegression
from layermilp.formulations.margin import MarginPieces
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from tests.algorithms.pieces import hinges, margins


@settings(max_examples=60, deadline=None)
@given(st.one_of(hinges(), margins()), st.integers(0, 2**32 - 1))
def test_pieces_are_what_they_say(problem: PiecewiseLinear, seed: int) -> None:
    """Values, coefficients, constants, combinations and parts agree; so do a Crammer-Singer loss
    written out and `loss`."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(problem.lower, problem.upper)
    values = problem.values(theta)
    every = np.arange(problem.n_rows)
    exists = np.isfinite(values)
    rises = values[exists] - problem.values(np.zeros(theta.size))[exists]
    np.testing.assert_allclose(problem.linear(theta)[exists], rises, atol=1e-9)
    weights = np.where(exists, rng.uniform(0.1, 2.0, values.shape), 0.0)
    gradients = np.stack([problem.linear(unit) for unit in np.eye(theta.size)], axis=-1)
    np.testing.assert_allclose(
        problem.adjoint(weights), np.einsum("rp,rpi->i", weights, gradients), atol=1e-9
    )
    joint = np.einsum("rp,rpi->ri", weights, gradients)
    expected = np.einsum("rp,rpi,rpj->ij", weights, gradients, gradients)
    expected -= (joint / weights.sum(axis=1)[:, None]).T @ joint
    np.testing.assert_allclose(problem.curvature(weights), expected, atol=1e-8)
    if isinstance(problem, HingeRegression):
        rows, pieces = np.nonzero(np.ones_like(values, dtype=bool))
        rebuilt = problem.gradients(rows, pieces) @ theta + problem.intercepts(rows, pieces)
        np.testing.assert_allclose(rebuilt.reshape(values.shape), values, atol=1e-9)
        cut = Cut.of(problem, values.argmax(axis=1))
        assert cut.costs @ theta + cut.constant == pytest.approx(problem.loss(theta), abs=1e-8)
        assert cut.minimum(problem.lower, problem.upper) <= problem.loss(problem.start) + 1e-8
        halves = problem.part(every[::2]).loss(theta) + problem.part(every[1::2]).loss(theta)
        assert halves == pytest.approx(problem.loss(theta), abs=1e-8)
    if isinstance(problem, MarginPieces):
        outputs = (
            np.column_stack([problem.inputs, np.ones(problem.n_rows)])
            @ problem.parameters.expand(theta).T
        )
        raised = outputs + 1.0 - np.eye(outputs.shape[1])[problem.labels]
        losses = raised.max(axis=1) - outputs[every, problem.labels]
        assert problem.loss(theta) == pytest.approx(float(problem.row_weights @ losses), abs=1e-8)
