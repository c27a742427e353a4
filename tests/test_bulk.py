"""The minimization over many rows against one LP of all rows and pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

from layermilp.algorithms.bundle import minimize, nearest_pieces
from layermilp.algorithms.interior_point import interior_point
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.restricted_master import Cut, dual_program, recover, restricted_master
from layermilp.algorithms.search import Search
from layermilp.errors import SolverError
from layermilp.formulations import HingeRegression
from layermilp.formulations.margin import MarginPieces
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.networks.layers import Dense
from layermilp.networks.parameters import ParameterMap
from layermilp.program import FloatArray, IntArray, Limits, Status, check
from layermilp.solvers import solve

SETUP = SolveOptions(solver="highs")
TIED = ParameterMap(
    np.array([[0, 1, -1, 4], [1, 0, 2, 4], [-1, 2, 3, -1]]),
    np.array([[0.0, 0.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0], [-0.5, 0.0, 0.0, 0.1]]),
)


def optimum(problem: PiecewiseLinear, solver: str = "highs") -> float:
    """The optimum by one LP of all rows and pieces."""
    if isinstance(problem, HingeRegression):
        program = replace(problem, coefficients=csr_array(problem.coefficients)).program()
    else:
        assert isinstance(problem, MarginPieces)
        costs = np.concatenate([np.zeros(problem.n_unknowns), problem.row_weights])
        program = replace(problem.rows().program(), costs=costs)
    result = solve(program, solver)
    assert result.status is Status.OPTIMAL
    return result.objective


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


@st.composite
def boxes(draw: st.DrawFn, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw lower and upper ends, which may meet, and a start."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = np.sort(rng.integers(-4, 5, (2, size)) / 2.0, axis=0)
    if draw(st.booleans()):
        ends = np.array([np.full(size, -10.0), np.full(size, 10.0)])
    return ends[0], ends[1], ends[0] + rng.random(size) * (ends[1] - ends[0])


@st.composite
def tables(draw: st.DrawFn, n_columns: int) -> tuple[FloatArray, np.random.Generator]:
    """Draw inputs: real or on a grid, with duplicated rows and zero columns; the generator goes on
    for the rest."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(1, 40))
    x = rng.normal(size=(n_rows, n_columns))
    if draw(st.booleans()):
        x = np.round(x)
    if draw(st.booleans()):
        x = x[rng.integers(0, n_rows, n_rows)]
    if draw(st.booleans()):
        x[:, 0] = 0.0
    return x, rng


@st.composite
def hinges(draw: st.DrawFn) -> HingeRegression:
    """Draw an output neuron; all rows may be of one class."""
    size = draw(st.integers(1, 4))
    x, rng = draw(tables(size))
    lower, upper, start = draw(boxes(size))
    is_target = rng.random(len(x)) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    weights = rng.uniform(0.5, 9.0, len(x)) if draw(st.booleans()) else np.ones(len(x))
    offsets = rng.integers(-2, 3, len(x)) / 2.0
    return HingeRegression(
        x,
        offsets,
        lower,
        upper,
        start,
        is_target,
        weights,
        draw(st.sampled_from([0.0, 0.25, 0.49])),
    )


@st.composite
def margins(draw: st.DrawFn) -> MarginPieces:
    """Draw an output layer, dense or tied; all samples may be of one class."""
    parameters = draw(st.sampled_from([TIED, Dense(2, 3).parameters, Dense(1, 2).parameters]))
    x, rng = draw(tables(parameters.n_inputs))
    lower, upper, start = draw(boxes(parameters.n_parameters))
    labels = rng.integers(0, draw(st.integers(1, parameters.n_outputs)), len(x))
    weights = rng.uniform(0.5, 9.0, len(x)) if draw(st.booleans()) else np.ones(len(x))
    return MarginPieces(parameters, x, labels, lower, upper, start, weights)


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


def test_classes_that_are_hardly_told_apart() -> None:
    """Inputs that hardly differ, so that many samples are near a kink at the optimum."""
    x, labels = digits(8, 400)
    problem = digits_margin(8, 400)
    assert_solved(replace(problem, inputs=x.mean() + 0.01 * x, labels=labels))


@settings(max_examples=60, deadline=None)
@given(st.one_of(hinges(), margins()), st.integers(0, 2**32 - 1))
def test_pieces_are_what_they_say(problem: PiecewiseLinear, seed: int) -> None:
    """Values, coefficients, constants, combinations and parts agree; so do a Crammer-Singer loss
    written out and `loss`."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(problem.lower, problem.upper)
    values = problem.values(theta)
    every = np.arange(problem.n_rows)
    exists = np.isfinite(values)
    rises = values[exists] - problem.values(np.zeros(theta.size))[exists]
    np.testing.assert_allclose(problem.linear(theta)[exists], rises, atol=1e-9)
    weights = np.where(exists, rng.uniform(0.1, 2.0, values.shape), 0.0)
    gradients = np.stack([problem.linear(unit) for unit in np.eye(theta.size)], axis=-1)
    np.testing.assert_allclose(
        problem.adjoint(weights), np.einsum("rp,rpi->i", weights, gradients), atol=1e-9
    )
    joint = np.einsum("rp,rpi->ri", weights, gradients)
    expected = np.einsum("rp,rpi,rpj->ij", weights, gradients, gradients)
    expected -= (joint / weights.sum(axis=1)[:, None]).T @ joint
    np.testing.assert_allclose(problem.curvature(weights), expected, atol=1e-8)
    if isinstance(problem, HingeRegression):
        rows, pieces = np.nonzero(np.ones_like(values, dtype=bool))
        rebuilt = problem.gradients(rows, pieces) @ theta + problem.intercepts(rows, pieces)
        np.testing.assert_allclose(rebuilt.reshape(values.shape), values, atol=1e-9)
        cut = Cut.of(problem, values.argmax(axis=1))
        assert cut.costs @ theta + cut.constant == pytest.approx(problem.loss(theta), abs=1e-8)
        assert cut.minimum(problem.lower, problem.upper) <= problem.loss(problem.start) + 1e-8
        halves = problem.part(every[::2]).loss(theta) + problem.part(every[1::2]).loss(theta)
        assert halves == pytest.approx(problem.loss(theta), abs=1e-8)
    if isinstance(problem, MarginPieces):
        outputs = (
            np.column_stack([problem.inputs, np.ones(problem.n_rows)])
            @ problem.parameters.expand(theta).T
        )
        raised = outputs + 1.0 - np.eye(outputs.shape[1])[problem.labels]
        losses = raised.max(axis=1) - outputs[every, problem.labels]
        assert problem.loss(theta) == pytest.approx(float(problem.row_weights @ losses), abs=1e-8)


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
