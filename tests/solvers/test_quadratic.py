"""Projections onto polyhedra against the definition of the nearest point and another solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from layermilp.solvers.quadratic import project

SEEDS = st.integers(0, 2**32 - 1)


def _polyhedron(seed: int, n: int, m: int, *, is_feasible: bool) -> tuple[np.ndarray, ...]:
    """Return a point, rows with bounds of every kind, and a box; feasible ones hold a known point
    of the box."""
    rng = np.random.default_rng(seed)
    point, matrix = (
        rng.uniform(-2.0, 2.0, n),
        rng.choice([0.0, 1.0, 1.0, 1.0], (m, n)) * rng.normal(size=(m, n)),
    )
    lower, upper = -rng.random(n), rng.random(n)
    at = matrix @ rng.uniform(lower, upper) if is_feasible else 4.0 * rng.normal(size=m)
    kinds = rng.integers(0, 4, m)
    row_lower = np.select([kinds == 0, kinds == 1], [at, -np.inf], at - 0.2 * rng.random(m))
    row_upper = np.select([kinds == 0, kinds == 2], [at, np.inf], at + 0.2 * rng.random(m))
    return point, matrix, row_lower, row_upper, lower, upper


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_projection_is_the_nearest_point(seed: int, n: int, m: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, n, m, is_feasible=True)
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    assert found is not None
    rows = matrix @ found
    assert np.all(found >= lower) and np.all(found <= upper)
    assert np.all(rows >= row_lower - 1e-7) and np.all(rows <= row_upper + 1e-7)
    # x is the nearest point of a convex set if no point z of it has (p - x) . (z - x) > 0: an LP.
    is_upper, is_lower = np.isfinite(row_upper), np.isfinite(row_lower)
    left = np.vstack([matrix[is_upper], -matrix[is_lower]])
    right = np.concatenate(
        [np.maximum(row_upper, rows)[is_upper], -np.minimum(row_lower, rows)[is_lower]]
    )
    toward = point - found
    answer = linprog(
        -toward, left, right, bounds=list(zip(lower, upper, strict=True)), method="highs"
    )
    assert answer.status == 0
    assert toward @ (answer.x - found) <= 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_projection_agrees_with_another_solver(seed: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, 4, 3, is_feasible=True)
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    assert found is not None
    sides = [
        {"type": "ineq", "fun": lambda x, k=k, end=end, sign=sign: sign * (matrix[k] @ x - end)}
        for ends, sign in ((row_lower, 1.0), (row_upper, -1.0))
        for k, end in enumerate(ends)
        if np.isfinite(end)
    ]
    answer = minimize(
        lambda x: ((x - point) ** 2).sum(),
        found + 0.01,
        jac=lambda x: 2.0 * (x - point),
        bounds=list(zip(lower, upper, strict=True)),
        constraints=sides,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert answer.success, answer.message
    np.testing.assert_allclose(found, answer.x, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 4), st.integers(1, 6))
def test_projection_onto_nothing_is_none(seed: int, n: int, m: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, n, m, is_feasible=False)
    is_upper, is_lower = np.isfinite(row_upper), np.isfinite(row_lower)
    # The least violation, by an LP.
    left = np.column_stack(
        [
            np.vstack([matrix[is_upper], -matrix[is_lower]]),
            -np.ones(is_upper.sum() + is_lower.sum()),
        ]
    )
    right = np.concatenate([row_upper[is_upper], -row_lower[is_lower]])
    ends = [*zip(lower, upper, strict=True), (0.0, None)]
    violation = linprog(np.append(np.zeros(n), 1.0), left, right, bounds=ends, method="highs").fun
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    if violation > 1e-6:
        assert found is None
    elif violation == 0.0:
        assert found is not None


def test_projection_of_a_point_inside_is_itself() -> None:
    point = np.array([0.3, -0.2])
    none = np.full(1, np.inf)
    box = np.ones(2)
    found = project(point, np.ones((1, 2)), -none, none, -box, box)
    assert found is not None and found.tolist() == point.tolist()
    clipped = project(np.array([3.0, -0.2]), np.zeros((0, 2)), np.zeros(0), np.zeros(0), -box, box)
    assert clipped is not None and clipped.tolist() == [1.0, -0.2]
