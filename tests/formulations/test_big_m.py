"""The reference form and its big-M bounds, as the paper writes them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.formulations import (
    ReluRegression,
    paper,
)
from tests.formulations.regressions import (
    drawn_example,
    point_of,
    relu_problems,
)


def test_reference_form_is_the_one_of_the_report() -> None:
    problem = drawn_example()
    program = paper(problem)
    assert (program.n_columns, program.n_rows, int(program.integrality.sum())) == (4 + 50, 60, 10)
    assert [name for name, _ in program.column_groups] == ["theta", "a", "o", "b", "dp", "dm"]
    theta = program.column_names().index("theta_0")
    assert theta == 0
    x = problem.coefficients.toarray()[:, :-1]
    assert problem.big_m == pytest.approx(3 * (1.1 * x.max() + 0.1) + 1)
    assert program.costs.sum() == 20 and program.costs[-20:].all()
    assert program.col_lower[4:14] == pytest.approx(np.full(10, -problem.big_m))
    assert program.col_upper[14:24] == pytest.approx(np.full(10, problem.big_m))


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_intervals_and_big_m_bound_the_preactivations(problem: ReluRegression, seed: int) -> None:
    low, high = problem.interval
    a = problem.preactivation(point_of(problem, seed))
    assert np.all(low <= a + 1e-9) and np.all(a <= high + 1e-9)
    assert np.all(np.abs(np.concatenate([low, high])) <= problem.big_m + 1e-9)
    corners = np.array(list(product(*zip(problem.lower, problem.upper, strict=True))))
    reached = problem.coefficients.toarray() @ corners.T + problem.constants[:, None]
    np.testing.assert_allclose(low, reached.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(high, reached.max(axis=1), atol=1e-9)
