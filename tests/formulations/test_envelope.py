"""The convex envelope of a row, its linear programs and its multipliers, against the loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.formulations import (
    ReluRegression,
    reduced,
)
from layermilp.formulations.envelope import (
    FIRES,
    OPEN,
    SILENT,
    DualLp,
    Envelope,
    EnvelopeLp,
    PrimalLp,
    envelope_lp,
)
from layermilp.program import Status
from layermilp.solvers import solve
from layermilp.solvers.warm_lp import WarmLp
from tests.formulations.regressions import (
    is_close,
    point_of,
    relaxed_losses,
    relu_problems,
)

SEEDS = st.integers(0, 2**32 - 1)


def _decisions(problem: ReluRegression, rng: np.random.Generator) -> np.ndarray:
    """Decide some rows with a positive target at random."""
    decided = rng.choice([OPEN, FIRES, SILENT], problem.n_rows)
    return np.where(problem.targets > 0.0, decided, OPEN)


def _points(problem: ReluRegression, rng: np.random.Generator) -> np.ndarray:
    share = np.clip(rng.uniform(-0.3, 1.3, (20, problem.n_unknowns)), 0.0, 1.0)
    return problem.lower + share * (problem.upper - problem.lower)


@settings(deadline=None, max_examples=200)
@given(relu_problems(), SEEDS)
def test_an_open_row_is_underestimated_and_a_decided_one_is_not(
    problem: ReluRegression, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    decided = _decisions(problem, rng)
    envelope = Envelope.of(
        problem.targets, problem.interval[0], decided, price=float(rng.choice([1.0, 10.0]))
    )
    for theta in _points(problem, rng):
        a, losses = problem.preactivation(theta), problem.losses(theta)
        values = envelope.at(a)
        is_open = decided == OPEN
        assert np.all(values[is_open] <= losses[is_open] + 1e-9)
        assert np.all(values[~is_open] >= losses[~is_open] - 1e-9)
        right = np.where(decided == FIRES, a >= 0.0, a <= 0.0) & ~is_open
        np.testing.assert_allclose(values[right], losses[right], atol=1e-9)
        # Between the loss at the smallest preactivation and the target nothing convex is larger.
        low, high = problem.interval
        for r in np.flatnonzero(is_open & (problem.targets > 0.0) & (high > 0.0)):
            t = problem.targets[r]
            assert values[r] == pytest.approx(
                max(t * (t - a[r]) / (t - min(low[r], 0.0)), a[r] - t), abs=1e-9
            )


@settings(deadline=None, max_examples=100)
@given(relu_problems(), SEEDS)
def test_a_pattern_is_no_less_than_the_loss_and_equals_it_where_it_holds(
    problem: ReluRegression, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pattern = rng.random(problem.n_rows) < 0.5
    envelope = Envelope.of_pattern(problem.targets, pattern)
    for theta in _points(problem, rng):
        a, losses = problem.preactivation(theta), problem.losses(theta)
        assert np.all(envelope.at(a) >= losses - 1e-9)
        holds = (a > 0.0) == pattern
        np.testing.assert_allclose(envelope.at(a)[holds], losses[holds], atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(relu_problems(), SEEDS)
def test_any_multipliers_give_a_linear_function_below(problem: ReluRegression, seed: int) -> None:
    rng = np.random.default_rng(seed)
    envelope = Envelope.of(
        problem.targets, problem.interval[0], _decisions(problem, rng), price=3.0
    )
    multipliers = envelope.clipped(rng.normal(0.0, 2.0, problem.n_rows))
    constant = envelope.constants_of(multipliers, problem.constants).sum()
    slopes = multipliers @ problem.coefficients.toarray()
    for theta in _points(problem, rng):
        assert constant + slopes @ theta <= envelope.at(problem.preactivation(theta)).sum() + 1e-9


@settings(deadline=None, max_examples=60)
@given(relu_problems(), SEEDS)
def test_both_programs_have_the_minimum_and_prove_it(problem: ReluRegression, seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, g = problem.coefficients.toarray(), problem.constants
    programs: list[EnvelopeLp] = [PrimalLp(h, g), DualLp(h, g)]
    solvers = [WarmLp(program.matrix) for program in programs]
    # The second turn starts from the basis of the first.
    for _ in range(2):
        envelope = Envelope.of(
            problem.targets, problem.interval[0], _decisions(problem, rng), price=2.0
        )
        for program, solver in zip(programs, solvers, strict=True):
            answer = solver.solve(*program.numbers(envelope, problem.lower, problem.upper))
            assert answer is not None
            multipliers, theta = program.multipliers(envelope, *answer)
            slopes = multipliers @ h
            least = np.minimum(problem.lower * slopes, problem.upper * slopes).sum()
            bound = envelope.constants_of(multipliers, g).sum() + least
            value = envelope.at(
                problem.preactivation(np.clip(theta, problem.lower, problem.upper))
            ).sum()
            assert is_close(bound, value), (type(program), bound, value)


def test_the_program_with_fewer_rows_is_taken() -> None:
    assert envelope_lp(np.ones((5, 3)), np.zeros(5)).matrix.shape[0] == 3
    assert envelope_lp(np.ones((3, 5)), np.zeros(3)).matrix.shape[0] == 3


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_envelope_is_convex_and_below_the_loss(
    problem: ReluRegression, one: int, other: int
) -> None:
    a, b = point_of(problem, one), point_of(problem, other)
    below, above = relaxed_losses(problem, a), problem.losses(a)
    assert np.all(below <= above + 1e-9) and np.all(below >= -1e-9)
    middle = relaxed_losses(problem, (a + b) / 2)
    assert np.all(middle <= (below + relaxed_losses(problem, b)) / 2 + 1e-9)


@settings(deadline=None, max_examples=40)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_envelope_is_the_relaxation_of_the_reduced_form(problem: ReluRegression, seed: int) -> None:
    relaxation = reduced(problem).relaxed()
    best = solve(relaxation)
    assert best.status is Status.OPTIMAL and best.x is not None
    at_best = relaxed_losses(
        problem, np.clip(best.x[: problem.n_unknowns], problem.lower, problem.upper)
    )
    assert is_close(at_best.sum(), best.objective)
    theta = point_of(problem, seed)
    there = solve(relaxation.with_fixed(np.arange(problem.n_unknowns), theta))
    assert is_close(there.objective, relaxed_losses(problem, theta).sum())
