"""Smaller programs with the same optimum: fixed unknowns, zero and equal columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layermilp.algorithms.presolve import Aggregation, nonzero_columns, restricted
from layermilp.formulations import (
    ReluRegression,
)
from tests.formulations.regressions import (
    drawn_example,
    point_of,
    relu_problems,
)


@settings(deadline=None, max_examples=40)
@given(relu_problems(), st.data())
def test_restriction_keeps_the_rest_at_the_start(
    problem: ReluRegression, data: st.DataObject
) -> None:
    size = problem.n_unknowns
    which = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    part = restricted(problem, which)
    assert part.n_unknowns == which.sum()
    inner = point_of(part, 3)
    theta = problem.start.copy()
    theta[which] = inner
    np.testing.assert_allclose(part.preactivation(inner), problem.preactivation(theta), atol=1e-12)
    assert part.loss(inner) == pytest.approx(problem.loss(theta), abs=1e-9)


def test_unknowns_that_occur_in_no_row_are_found() -> None:
    problem = drawn_example()
    h = problem.coefficients.toarray()
    h[:, 1] = 0.0
    explicit = sparse.csr_array(problem.coefficients)
    explicit.data[explicit.indices == 1] = 0.0
    for matrix in (sparse.csr_array(h), explicit):
        assert nonzero_columns(matrix).tolist() == [True, False, True, True]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_equal_columns_become_one_unknown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = rng.random((5, 3))
    h = sparse.csr_array(distinct[:, rng.integers(0, 3, 7)])
    lower, upper = -rng.random(7), rng.random(7)
    start = rng.uniform(lower, upper)
    problem = ReluRegression(h, np.zeros(5), lower, upper, start, targets=rng.random(5), big_m=10.0)
    aggregation = Aggregation.of(h)
    aggregated = aggregation.apply(problem)
    assert aggregated.n_unknowns == len(np.unique(h.toarray(), axis=1).T)
    sums = rng.uniform(aggregated.lower, aggregated.upper)
    theta = aggregation.spread(sums, problem)
    assert np.all(lower <= theta) and np.all(theta <= upper)
    assert aggregation.sums(theta) == pytest.approx(sums)
    assert problem.losses(theta) == pytest.approx(aggregated.losses(sums))
    assert np.abs(theta - start).sum() == pytest.approx(np.abs(sums - aggregated.start).sum())
    assert np.array_equal(aggregation.spread(aggregated.start, problem), start)
