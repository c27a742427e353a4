"""The interior-point method: its bound and its point enclose the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.algorithms.interior_point import interior_point
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.program import Limits
from tests.algorithms.pieces import hinges, margins, optimum


@settings(max_examples=60, deadline=None)
@given(st.one_of(hinges(), margins()))
def test_interior_points_enclose_the_optimum(problem: PiecewiseLinear) -> None:
    best = optimum(problem)
    limits = Limits(gap=1e-8, absolute_gap=1e-10)
    found = Search(problem, SolveOptions(limits=limits), rounding=0.0)
    interior_point(found)
    assert found.loss == problem.loss(found.theta)
    assert np.all((problem.lower <= found.theta) & (found.theta <= problem.upper))
    assert found.loss == pytest.approx(best, abs=1e-6 * max(best, 1e-2))
    assert found.bound == pytest.approx(best, abs=1e-6 * max(best, 1e-2))
