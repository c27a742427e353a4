"""Fits near the present weights: the loss written out, the program against scipy's and against all
choices, the search, and the way back to the weights."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from layermilp.algorithms.fit import solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.formulations import ReluRegression, reference_big_m
from layermilp.formulations.envelope import FIRES, OPEN, SILENT
from layermilp.formulations.firing_rows import square
from layermilp.formulations.proximal import (
    CHANGE_KNOTS,
    LOSS_KNOTS,
    SILENCE,
    Proximity,
    choosing_rows,
    proximal,
)
from layermilp.program import Program, Status, check
from layermilp.solvers import solve

SEEDS = st.integers(0, 2**32 - 1)


def regression(seed: int) -> ReluRegression:
    """Draw a fit of a neuron, with more or fewer unknowns than samples, some targets of zero."""
    rng = np.random.default_rng(seed)
    m, d = int(rng.integers(1, 7)), int(rng.integers(0, 9))
    x = rng.random((m, d))
    targets = np.maximum(rng.normal(0.3, 0.6, m), 0.0)
    lower, upper = np.full(d + 1, -1.0), np.full(d + 1, 1.0)
    start = rng.uniform(-0.6, 0.6, d + 1)
    h = sparse.csr_array(np.column_stack([x, np.ones(m)]))
    big_m = reference_big_m(x, np.append(lower, upper))
    return ReluRegression(h, np.zeros(m), lower, upper, start, targets, big_m)


def near(seed: int, *, by_axes: bool = True) -> Proximity:
    """Return the problem of a drawn fit."""
    return Proximity.of(regression(seed), 0.3, 0.05, by_axes=by_axes)


def interpolated(e: float, scale: float, knots: tuple[float, ...]) -> float:
    """Interpolate the square at multiples of a scale, from knot to knot."""
    x = abs(e) / scale
    points = [0.0, *knots]
    for a, b in itertools.pairwise(points):
        if x <= b or b == points[-1]:
            return scale**2 * (a**2 + (x - a) * (a + b))
    raise AssertionError


def reference(program: Program) -> float:
    """Return the optimum that scipy's interface of HiGHS finds."""
    rows = LinearConstraint(program.matrix, program.row_lower, program.row_upper)
    box = Bounds(program.col_lower, program.col_upper)
    options = {"mip_rel_gap": 0.0}
    found = milp(
        program.costs,
        integrality=program.integrality,
        bounds=box,
        constraints=rows,
        options=options,
    )
    assert found.success
    return float(found.fun) + program.offset


@given(st.floats(-9.0, 9.0), st.floats(0.01, 3.0), st.sampled_from([LOSS_KNOTS, CHANGE_KNOTS]))
def test_the_square_is_interpolated(e: float, scale: float, knots: tuple[float, ...]) -> None:
    slopes, kinks = square(knots)
    ends = np.concatenate([[min(e, -20.0)], scale * kinks, [max(e, 20.0)]])
    total = sum(
        scale * slope * (np.clip(e, a, b) - np.clip(0.0, a, b))
        for slope, (a, b) in zip(slopes, itertools.pairwise(ends), strict=True)
    )
    assert total == pytest.approx(interpolated(e, scale, knots), rel=1e-9, abs=1e-9)
    if abs(e) <= scale * knots[-1]:
        assert total >= e**2 - 1e-9


@given(SEEDS)
def test_the_loss_is_that_of_a_loop(seed: int) -> None:
    found, fit = near(seed), regression(seed)
    problem, rng = found.problem, np.random.default_rng(seed)
    z = rng.uniform(problem.lower, problem.upper)
    m, p = fit.n_rows, problem.n_unknowns
    # What the library chose of scales and price, read from the pieces; the loss is ours.
    rho = float(problem.pieces.slopes[0, -1]) / (LOSS_KNOTS[0] + LOSS_KNOTS[1])
    scales = problem.pieces.kinks[m:, -1] / CHANGE_KNOTS[1]
    h = fit.coefficients.toarray()
    kappa = 0.3 * (h**2).sum(axis=1).mean()
    total = 0.0
    for a, t in zip(h @ found.weights(z), fit.targets, strict=True):
        if t == 0.0:
            total += interpolated(max(a, 0.0), rho, LOSS_KNOTS)
        else:
            silent = SILENCE * interpolated(t, rho, LOSS_KNOTS)
            fires = interpolated(a - t, rho, LOSS_KNOTS)
            total += min(fires, silent) if a < t else fires
    total += kappa * sum(interpolated(z[j], scales[j], CHANGE_KNOTS) for j in range(p))
    assert problem.loss(z) == pytest.approx(total, rel=1e-7, abs=1e-7)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_the_program_and_the_search_have_the_optimum(seed: int) -> None:
    found = near(seed)
    program = proximal(found.problem)
    assert program.start is not None and check(program, program.start).holds()
    start = found.problem.start
    assert program.objective(program.start) == pytest.approx(found.problem.loss(start), abs=1e-7)
    least = reference(program)
    fixed = [
        program.with_fixed(program.integrality, np.array(choice, dtype=float))
        for choice in itertools.product((0, 1), repeat=choosing_rows(found.problem).size)
    ]
    assert least == pytest.approx(min(map(reference, fixed)), rel=1e-6, abs=1e-6)
    fit = solve_relu(regression(seed), SolveOptions(proximity=0.3, weight_decay=0.05))
    # Where the optimum is outside the box of the weights, these are the unknowns.
    optima = [least, reference(proximal(near(seed, by_axes=False).problem))]
    assert fit.status is Status.OPTIMAL
    assert min(abs(fit.objective - optimum) for optimum in optima) <= 1e-6 * max(1.0, least)
    assert fit.bound <= fit.objective <= fit.start_objective + 1e-9


@pytest.mark.parametrize("solver", ["highs", "cplex", "cbc"])
def test_every_solver_has_the_optimum(solver: str) -> None:
    for seed in range(12):
        options = SolveOptions(proximity=0.3, weight_decay=0.05)
        own = solve_relu(regression(seed), options)
        named = SolveOptions(solver=solver, proximity=0.3, weight_decay=0.05)
        found = solve_relu(regression(seed), named)
        assert found.status is Status.OPTIMAL
        assert found.objective == pytest.approx(own.objective, rel=1e-6, abs=1e-6)


@given(SEEDS)
def test_underestimates_are_below_and_decisions_are_not(seed: int) -> None:
    problem, rng = near(seed).problem, np.random.default_rng(seed)
    pieces = problem.pieces
    lower, upper = np.sort(
        rng.uniform(problem.lower, problem.upper, (2, problem.n_unknowns)), axis=0
    )
    h = problem.coefficients.toarray()
    low = np.maximum(h, 0.0) @ lower + np.minimum(h, 0.0) @ upper + problem.constants
    decided = np.where(pieces.can_choose, rng.choice([OPEN, FIRES, SILENT], problem.n_rows), OPEN)
    envelope = pieces.relaxed(low, decided)
    assert np.all(np.diff(envelope.slopes, axis=1) >= 0.0)
    assert np.all(np.diff(envelope.kinks, axis=1) >= -1e-12)
    fires = rng.random(problem.n_rows) < 0.5
    for _ in range(20):
        a = problem.preactivation(rng.uniform(lower, upper))
        losses = pieces.losses(a)
        below = envelope.at(a)
        assert np.all(below[decided == OPEN] <= losses[decided == OPEN] + 1e-9)
        assert np.all(below[decided != OPEN] >= losses[decided != OPEN] - 1e-9)
        above = pieces.fixed(fires).at(a)
        assert np.all(above >= losses - 1e-9)
        as_fixed = ~pieces.can_choose | ((a > pieces.thresholds) == fires)
        np.testing.assert_allclose(above[as_fixed], losses[as_fixed], atol=1e-9)


@given(SEEDS)
def test_points_of_no_greater_loss_are_within_reach(seed: int) -> None:
    problem, rng = near(seed).problem, np.random.default_rng(seed)
    for share in (1.0, 0.3, 0.05):
        z = share * rng.uniform(problem.lower, problem.upper)
        low, high = problem.reach(problem.loss(z))
        a = problem.preactivation(z)
        assert np.all((low <= a + 1e-9) & (a <= high + 1e-9))


@pytest.mark.parametrize("m", [0, 3])
def test_without_anything_to_go_by_the_centre_is_the_fit(m: int) -> None:
    lower, upper, start = np.full(2, -1.0), np.full(2, 1.0), np.array([0.4, -0.2])
    h, targets = sparse.csr_array((m, 2)), np.full(m, 0.5)
    problem = ReluRegression(h, np.zeros(m), lower, upper, start, targets, 1.0)
    fit = solve_relu(problem, SolveOptions(proximity=0.3, weight_decay=0.5))
    np.testing.assert_allclose(fit.parameters, [0.2, -0.1], atol=1e-9)
    assert fit.status is Status.OPTIMAL


def test_where_the_box_interferes_the_weights_are_the_unknowns() -> None:
    outside = 0
    for seed in range(120):
        drawn = regression(seed)
        drawn = replace(drawn, lower=drawn.start - 0.15, upper=drawn.start + 0.15)
        found = Proximity.of(drawn, 0.3, 0.05, by_axes=True)
        if found.basis is None:
            continue
        own = solve(proximal(found.problem), "highs")
        assert own.x is not None
        weights = found.weights(own.x[: found.problem.n_unknowns])
        if np.all((weights >= drawn.lower - 1e-6) & (weights <= drawn.upper + 1e-6)):
            continue
        outside += 1
        fit = solve_relu(drawn, SolveOptions(proximity=0.3, weight_decay=0.05))
        alone = Proximity.of(drawn, 0.3, 0.05, by_axes=False)
        least = reference(proximal(alone.problem))
        assert fit.objective == pytest.approx(least, rel=1e-6, abs=1e-6)
        assert np.all((fit.parameters >= drawn.lower) & (fit.parameters <= drawn.upper))
    assert outside >= 5
