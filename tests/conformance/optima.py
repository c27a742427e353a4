"""Optima of small fits by other ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from layermilp.formulations import (
    FORMULATIONS,
    HingeRegression,
    MarginRegression,
    ReluRegression,
)

formulations = pytest.mark.parametrize("formulation", list(FORMULATIONS))


def relu_optimum(problem: ReluRegression) -> float:
    """Minimize the loss by a formulation of its own (output, binary and deviation per row, big-M by
    row)."""
    h, g, t, (low, high) = (
        problem.coefficients,
        problem.constants,
        problem.targets,
        problem.interval,
    )
    n, p = problem.n_rows, problem.n_unknowns
    up, down = np.maximum(high, 0.0), np.minimum(low, 0.0)
    eye, none = sparse.eye_array(n), None
    # theta, o, b, d:  a <= o <= a - down (1 - b),  0 <= o <= up b,  d >= |o - t|
    matrix = sparse.block_array(
        [
            [-h, eye, none, none],
            [-h, eye, sparse.diags_array(-down), none],
            [none, eye, sparse.diags_array(-up), none],
            [none, -eye, none, eye],
            [none, eye, none, eye],
        ]
    )
    inf = np.full(n, np.inf)
    rows = LinearConstraint(
        matrix,
        np.concatenate([g, -inf, -inf, -t, t]),
        np.concatenate([inf, g - down, np.zeros(n), inf, inf]),
    )
    answer = milp(
        np.repeat([0.0, 1.0], [p + 2 * n, n]),
        integrality=np.repeat([0, 1, 0], [p + n, n, n]),
        bounds=Bounds(
            np.concatenate([problem.lower, np.zeros(3 * n)]),
            np.concatenate([problem.upper, up, np.ones(n), inf]),
        ),
        constraints=rows,
        options={"mip_rel_gap": 0.0},
    )
    assert answer.status == 0, answer.message
    return float(answer.fun)


def hinge_optimum(problem: HingeRegression) -> float:
    """Minimize the output layer's loss with explicit deviations and slacks, as (7), (8) and section
    2.3 write it.

    Class weights are factors of its objective.
    """
    n, p, t = problem.n_rows, problem.n_unknowns, problem.is_target.astype(float)
    eye, factors = sparse.eye_array(n), problem.row_weights
    # theta, d+, d-, s:  a - t = d+ - d-,  s <= d+ (+ d- where the target is one)
    matrix = sparse.block_array(
        [[problem.coefficients, -eye, eye, None], [None, -eye, sparse.diags_array(-t), eye]]
    )
    equal = t - problem.constants
    answer = milp(
        np.concatenate([np.zeros(p), factors, factors * t, -factors]),
        bounds=Bounds(
            np.concatenate([problem.lower, np.zeros(3 * n)]),
            np.concatenate([problem.upper, np.full(2 * n, np.inf), np.full(n, problem.tolerance)]),
        ),
        constraints=LinearConstraint(
            matrix,
            np.concatenate([equal, np.full(n, -np.inf)]),
            np.concatenate([equal, np.zeros(n)]),
        ),
    )
    assert answer.status == 0, answer.message
    return float(answer.fun)


def margin_optimum(problem: MarginRegression) -> float:
    """Minimize the multi-class hinge loss with a slack per sample, and a price per change of an
    unknown."""
    n, p, m = problem.n_rows, problem.n_unknowns, problem.n_rows // problem.n_rivals
    own = sparse.csr_array(
        (np.ones(n), (np.arange(n), np.arange(n) // problem.n_rivals)), shape=(n, m)
    )
    eye, at = sparse.eye_array(p), problem.start
    # theta, xi, c:  a + xi >= 1,  c >= theta - start,  c >= start - theta
    matrix = sparse.block_array(
        [[problem.coefficients, own, None], [-eye, None, eye], [eye, None, eye]]
    )
    answer = milp(
        np.repeat([0.0, 1.0, problem.penalty], [p, m, p]),
        bounds=Bounds(
            np.concatenate([problem.lower, np.zeros(m + p)]),
            np.append(problem.upper, np.full(m + p, np.inf)),
        ),
        constraints=LinearConstraint(
            matrix, np.concatenate([1.0 - problem.constants, -at, at]), np.inf
        ),
    )
    assert answer.status == 0, answer.message
    return float(answer.fun)


def margin_loss(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Add up what every sample's own output lacks of a lead of one."""
    loss = 0.0
    for row, own in zip(outputs, labels, strict=True):
        loss += max(0.0, max(1.0 - (row[own] - row[j]) for j in range(row.size) if j != own))
    return loss


X, T = np.full((3, 2), 0.5), np.array([0.0, 1.0, 0.5])
NAN = np.array([[0.5, 0.5], [0.5, np.nan], [0.5, 0.5]])
