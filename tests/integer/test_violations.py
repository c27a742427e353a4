"""The program of one neuron against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.integer.prove import climbed
from layermilp.integer.violations import Violations, violations
from layermilp.program import Status
from layermilp.solvers import solve
from tests.integer.instances import SEEDS


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.booleans())
def test_the_violations_program_is_solved_to_its_optimum(seed: int, soft: bool) -> None:
    rng = np.random.default_rng(seed)
    m, p, bound = 7, 3, 2
    problem = Violations(
        matrix=rng.integers(-4, 5, (m, p)) / 4.0,
        least=rng.choice([0.0, 0.25, 1.0, -np.inf, 20.0], m),
        prices=rng.integers(1, 4, m).astype(float),
        lower=np.full(p, -float(bound)),
        upper=np.full(p, float(bound)),
        start=rng.integers(-bound, bound + 1, p).astype(float),
        **(
            {
                "slopes": np.array([-1.0, -0.5]),
                "intercepts": np.array([0.0, 1.0]),
                "weights": np.ones(m),
            }
            if soft
            else {}
        ),
    )
    every = itertools.product(range(-bound, bound + 1), repeat=p)
    least = min(problem.loss(np.array(theta, float)) for theta in every)
    found = solve(violations(problem), "highs")
    assert found.status is Status.OPTIMAL and found.x is not None
    assert found.objective == pytest.approx(least, abs=1e-6)
    assert problem.loss(found.x[:p]) == pytest.approx(least, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.sampled_from([1, 2, 7]))
def test_steps_of_single_weights_end_where_none_helps(seed: int, bound: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = np.column_stack([rng.integers(0, 4, (6, 2)) / 4.0, np.ones(6)])
    v = rng.normal(size=6)
    theta = climbed(inputs, v, rng.integers(-bound, bound + 1, 3).astype(float), float(bound))
    assert np.abs(theta).max() <= bound and np.array_equal(theta, np.rint(theta))
    reached = v @ np.where(inputs @ theta >= 0.0, 1.0, -1.0)
    for j, step in itertools.product(range(3), (-1.0, 1.0)):
        other = theta.copy()
        other[j] += step
        if abs(other[j]) <= bound:
            assert v @ np.where(inputs @ other >= 0.0, 1.0, -1.0) <= reached + 1e-6
