"""The l1 loss of an output against the program of the paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.formulations import (
    HingeRegression,
)
from layermilp.program import Status, check
from layermilp.solvers import solve
from tests.formulations.regressions import (
    hinge_problems,
    is_close,
    point_of,
    report_output_optimum,
)


@settings(deadline=None, max_examples=60)
@given(hinge_problems())
def test_output_program_is_that_of_the_report(problem: HingeRegression) -> None:
    expected = report_output_optimum(problem)
    program = problem.program()
    assert not program.is_mip
    result = solve(program)
    assert result.status is Status.OPTIMAL and result.x is not None
    assert is_close(result.objective, expected)
    assert is_close(
        problem.loss(np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)),
        expected,
    )


@settings(deadline=None, max_examples=60)
@given(hinge_problems(), st.integers(0, 2**32 - 1))
def test_output_start_and_losses(problem: HingeRegression, seed: int) -> None:
    problem = replace(problem, start=point_of(problem, seed))
    program = problem.program()
    n_ones = int(problem.is_target.sum())
    assert (program.n_columns, program.n_rows) == (
        problem.n_unknowns + problem.n_rows,
        problem.n_rows + n_ones,
    )
    a, s = problem.preactivation(problem.start), problem.tolerance
    factors = problem.row_weights
    expected = [
        factor * max(0.0, abs(value - 1.0) - s) if one else max(0.0, value - s)
        for value, one, factor in zip(a, problem.is_target, factors, strict=True)
    ]
    assert problem.scale == pytest.approx(factors[problem.is_target].sum())
    np.testing.assert_allclose(problem.losses(problem.start), expected, atol=1e-12)
    assert program.start is not None
    found = check(program, program.start)
    assert found.holds(1e-9)
    assert found.objective == pytest.approx(sum(expected), abs=1e-9)
