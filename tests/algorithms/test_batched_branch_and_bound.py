"""Proposed inputs are optimal for every sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.options import SolveOptions
from layermilp.formulations import (
    FORMULATIONS,
    HingeRegression,
    ReluRegression,
)
from layermilp.formulations.l1 import hinge_of_inputs
from layermilp.formulations.loss import input_bounds
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import IntArray
from tests.formulations.regressions import (
    FLOATS,
    GRID,
    NON_NEGATIVE,
    brute_force,
    draw_array,
    is_close,
    report_output_optimum,
)


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw weights, biases and inputs of a small layer."""
    n, d, m = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return (
        draw_array(draw, FLOATS, n, d),
        draw_array(draw, GRID, n),
        draw_array(draw, NON_NEGATIVE, m, d),
    )


def _alone(problem: ReluRegression, k: int, n: int, d: int) -> dict[str, Any]:
    rows, columns = slice(k * n, (k + 1) * n), slice(k * d, (k + 1) * d)
    return {
        "coefficients": problem.coefficients[rows, columns],
        "constants": problem.constants[rows],
        "lower": problem.lower[columns],
        "upper": problem.upper[columns],
        "start": problem.start[columns],
    }


@settings(deadline=None, max_examples=25)
@given(layers(), st.data())
def test_hidden_proposals_are_optimal_for_every_sample(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weights, bias, inputs = layer
    (n, d), m = weights.shape, len(inputs)
    targets = draw_array(data.draw, NON_NEGATIVE, m, n)
    problem = ReluL1().of_inputs(weights, bias, inputs, targets)
    assert np.all(np.abs(np.concatenate(problem.interval)) <= problem.big_m)
    expected = np.array(
        [
            brute_force(replace(problem, targets=targets[k], **_alone(problem, k, n, d)))
            for k in range(m)
        ]
    )
    for name in FORMULATIONS:
        proposed = propose(
            inputs,
            lambda part: ReluL1().of_inputs(weights, bias, inputs[part], targets[part]),
            SolveOptions(name),
        ).inputs
        low, high = np.maximum(0.0, 0.9 * inputs - 0.1), 1.1 * inputs + 0.1
        assert np.all(proposed >= low) and np.all(proposed <= high)
        found = np.abs(np.maximum(proposed @ weights.T + bias, 0.0) - targets).sum(axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=name)


@settings(deadline=None, max_examples=30)
@given(layers(), st.data())
def test_last_proposals_are_optimal_for_every_sample(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weights, bias, inputs = layer
    n, m = len(weights), len(inputs)
    targets = np.eye(n)[data.draw(st.lists(st.integers(0, n - 1), min_size=m, max_size=m))]
    one_weights: Any = data.draw(st.sampled_from([1.0, np.arange(1.0, n + 1.0), np.full(n, 0.3)]))

    def problem_of(part: slice | IntArray) -> HingeRegression:
        return hinge_of_inputs(weights, bias, inputs[part], targets[part] > 0.5, one_weights)

    proposed = propose(inputs, problem_of, SolveOptions()).inputs
    assert np.all(proposed >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        proposed <= 1.1 * inputs + 0.1
    )
    for k in range(m):
        alone = problem_of(slice(k, k + 1))
        assert is_close(alone.loss(proposed[k]), report_output_optimum(alone))


def test_proposal_bounds_are_those_of_the_report() -> None:
    low, high = input_bounds(np.array([[0.0, 0.1, 1.0, 10.0]]))
    np.testing.assert_allclose(low, [[0.0, 0.0, 0.8, 8.9]])
    np.testing.assert_allclose(high, [[0.1, 0.21, 1.2, 11.1]])


@settings(deadline=None, max_examples=40)
@given(layers(), st.integers(0, 2**32 - 1))
def test_rows_of_a_proposal_are_the_neurons_of_the_samples(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    weights, bias, inputs = layer
    problem = ReluL1().of_inputs(weights, bias, inputs, np.zeros((len(inputs), len(weights))))
    moved = np.random.default_rng(seed).random(inputs.shape)
    np.testing.assert_allclose(
        problem.preactivation(moved.reshape(-1)), (moved @ weights.T + bias).reshape(-1), atol=1e-12
    )
    np.testing.assert_array_equal(problem.start, inputs.reshape(-1))
