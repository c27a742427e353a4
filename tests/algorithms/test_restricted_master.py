"""The restricted master against the complete LP and its dual."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.algorithms.bundle import nearest_pieces
from layermilp.algorithms.restricted_master import Cut, dual_program, recover, restricted_master
from layermilp.formulations import HingeRegression
from layermilp.program import check
from layermilp.solvers import solve
from tests.algorithms.pieces import hinges, optimum


@settings(max_examples=60, deadline=None)
@given(hinges(), st.integers(0, 60), st.integers(1, 3))
def test_restricted_master_underestimates_and_its_dual_agrees(
    problem: HingeRegression, count: int, n_cuts: int
) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(problem.lower, problem.upper, (n_cuts, problem.n_unknowns))
    cuts = [Cut.of(problem, problem.values(point).argmax(axis=1)) for point in points]
    program = restricted_master(
        problem,
        nearest_pieces(problem.values(points[0]), count),
        cuts,
        problem.lower,
        problem.upper,
    )
    result, dual = solve(program, "highs"), solve(dual_program(program), "highs")
    assert result.objective <= optimum(problem) + 1e-6
    assert result.objective == pytest.approx(-dual.objective, abs=1e-6)
    assert dual.x is not None
    point = recover(program, dual.x)
    assert check(program, point).holds()
    assert program.costs @ point + program.offset >= result.objective - 1e-6
