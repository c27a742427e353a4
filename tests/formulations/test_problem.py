"""The level set of a point, for every loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.formulations import (
    HingeRegression,
    ReluRegression,
)
from tests.formulations.regressions import (
    hinge_problems,
    point_of,
    relu_problems,
)


@settings(deadline=None, max_examples=60)
@given(st.one_of(relu_problems(), hinge_problems()), st.integers(0, 2**32 - 1))
def test_level_holds_the_point_and_nothing_worse(
    problem: ReluRegression | HingeRegression, seed: int
) -> None:
    theta = point_of(problem, seed)
    a, losses = problem.preactivation(theta), problem.losses(theta)
    low, high = problem.level(theta)
    assert np.all(low <= a) and np.all(a <= high)
    for share in (0.0, 0.01, 0.3, 0.5, 0.99, 1.0):
        # Infinite ends are cut off far outside.
        inside = (1 - share) * np.maximum(low, -50.0) + share * np.minimum(high, 50.0)
        moved = replace(problem, coefficients=0.0 * problem.coefficients, constants=inside)
        assert np.all(moved.losses(theta) <= losses + 1e-9)
