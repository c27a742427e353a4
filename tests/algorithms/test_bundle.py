"""The minimization over many rows against one LP of all rows and pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.datasets import load_digits

from layermilp.algorithms.bundle import minimize
from layermilp.algorithms.options import SolveOptions
from layermilp.errors import SolverError
from layermilp.formulations import HingeRegression
from layermilp.formulations.margin import MarginPieces
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.networks.layers import Dense
from layermilp.program import FloatArray, IntArray, Limits, Status
from tests.algorithms.pieces import hinges, margins, optimum

SETUP = SolveOptions(solver="highs")


def assert_solved(problem: PiecewiseLinear) -> None:
    """The fit is optimal, in the box, no worse than the start, and its claims hold."""
    fit, best = minimize(problem, SETUP), optimum(problem)
    tolerance = 1e-6 * max(abs(best), 1e-2)
    assert fit.status is Status.OPTIMAL
    assert fit.objective == pytest.approx(best, abs=tolerance)
    assert fit.bound <= min(best + tolerance, fit.objective)
    assert fit.objective == problem.loss(fit.parameters)
    assert fit.objective <= fit.start_objective == problem.loss(problem.start)
    assert np.all((problem.lower <= fit.parameters) & (fit.parameters <= problem.upper))


def digits(n_features: int, n_rows: int = 2000) -> tuple[FloatArray, IntArray]:
    """Outputs of random ReLU neurons on the digits, with a little noise where images are used
    again."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    rows = np.arange(n_rows) % len(images)
    x = images[rows] / 16.0 + 0.01 * rng.random((n_rows, images.shape[1]))
    return np.maximum(x @ rng.normal(0.0, 0.2, (images.shape[1], n_features)), 0.0), labels[
        rows
    ].astype(np.int64)


def digits_hinge(n_features: int, weight: float = 1.0, n_rows: int = 2000) -> HingeRegression:
    """The output neuron of the digit three."""
    x, labels = digits(n_features, n_rows)
    size, is_target = n_features + 1, labels == 3
    box = np.ones(size)
    start = np.random.default_rng(1).uniform(-1.0, 1.0, size)
    weights = np.where(is_target, weight, 1.0)
    return HingeRegression(
        np.column_stack([x, np.ones(n_rows)]),
        np.zeros(n_rows),
        -box,
        box,
        start,
        is_target,
        weights,
        0.49,
    )


def digits_margin(n_features: int, n_rows: int) -> MarginPieces:
    """A dense output layer."""
    x, labels = digits(n_features, n_rows)
    parameters = Dense(n_features, 10).parameters
    box = np.ones(parameters.n_parameters)
    return MarginPieces(parameters, x, labels, -box, box, 0.1 * box, np.ones(n_rows))


@settings(max_examples=60, deadline=None)
@given(hinges())
def test_hinge_equals_the_complete_lp(problem: HingeRegression) -> None:
    assert_solved(problem)


@settings(max_examples=60, deadline=None)
@given(margins())
def test_margin_equals_the_complete_lp(problem: MarginPieces) -> None:
    assert_solved(problem)


@pytest.mark.parametrize("solver", ["highs", "cbc", "cplex"])
@pytest.mark.parametrize(
    "problem", [digits_hinge(6, n_rows=150), digits_margin(4, 100)], ids=["hinge", "margin"]
)
def test_every_solver_confirms_the_optimum(problem: PiecewiseLinear, solver: str) -> None:
    """Interior points ask no solver, but every solver has to find their optimum in the complete
    LP."""
    try:
        best = optimum(problem, solver)
    except SolverError as error:
        pytest.skip(str(error))
    assert minimize(problem, SETUP).objective == pytest.approx(best, rel=1e-6)


def test_classes_that_are_hardly_told_apart() -> None:
    """Inputs that hardly differ, so that many samples are near a kink at the optimum."""
    x, labels = digits(8, 400)
    problem = digits_margin(8, 400)
    assert_solved(replace(problem, inputs=x.mean() + 0.01 * x, labels=labels))


@pytest.mark.parametrize(("n_features", "weight"), [(8, 1.0), (8, 9.0), (25, 1.0), (25, 9.0)])
def test_hinge_on_digits(n_features: int, weight: float) -> None:
    assert_solved(digits_hinge(n_features, weight))


def test_margin_on_digits() -> None:
    assert_solved(digits_margin(8, 400))


def test_parts_of_the_rows_come_first_and_nothing_depends_on_chance() -> None:
    problem = digits_hinge(8, 9.0, n_rows=8000)
    first, second = minimize(problem, SETUP), minimize(problem, SETUP)
    assert first.status is Status.OPTIMAL
    assert np.array_equal(first.parameters, second.parameters)
    assert (first.objective, first.bound) == (second.objective, second.bound)


def test_gap_ends_the_search_early() -> None:
    problem = digits_hinge(25, 9.0)
    loose = minimize(problem, replace(SETUP, limits=Limits(gap=0.1)))
    assert loose.status in (Status.OPTIMAL, Status.OPTIMAL_WITHIN_GAP)
    assert loose.objective - loose.bound <= 0.1 * loose.objective
    assert sum(loose.solver_calls.values()) < sum(minimize(problem, SETUP).solver_calls.values())


def test_time_limit_returns_the_start_or_better() -> None:
    problem = digits_hinge(25, 9.0)
    fit = minimize(problem, replace(SETUP, limits=Limits(time_limit=0.001)))
    assert fit.status is Status.FEASIBLE_AT_LIMIT
    assert fit.bound <= fit.objective <= fit.start_objective
    assert fit.objective == problem.loss(fit.parameters)


def test_a_perfect_start_needs_no_solver() -> None:
    x = np.eye(3)
    problem = HingeRegression(
        x, np.zeros(3), -np.ones(3), np.ones(3), x[0], np.array([True, False, False]), np.ones(3)
    )
    fit = minimize(problem, SETUP)
    assert fit.status is Status.OPTIMAL
    assert fit.objective == fit.bound == 0.0
    assert not fit.solver_calls
    assert np.array_equal(fit.parameters, problem.start)
