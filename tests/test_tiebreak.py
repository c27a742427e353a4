"""Which of several optima: projections, the rules of the tie-break, and the fit that meets every
target exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog, minimize

from layermilp.algorithms import search as solving
from layermilp.algorithms.fit import solve_linear, solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tie_break import TIE_BREAKS, project_onto
from layermilp.formulations import HingeRegression, MarginRegression, ReluRegression
from layermilp.formulations.loss import Box
from layermilp.formulations.margin import Margin
from layermilp.networks.network import Block
from layermilp.program import Status
from layermilp.solvers import solve
from layermilp.solvers.quadratic import project

SEEDS = st.integers(0, 2**32 - 1)


def _polyhedron(seed: int, n: int, m: int, *, is_feasible: bool) -> tuple[np.ndarray, ...]:
    """Return a point, rows with bounds of every kind, and a box; feasible ones hold a known point
    of the box."""
    rng = np.random.default_rng(seed)
    point, matrix = (
        rng.uniform(-2.0, 2.0, n),
        rng.choice([0.0, 1.0, 1.0, 1.0], (m, n)) * rng.normal(size=(m, n)),
    )
    lower, upper = -rng.random(n), rng.random(n)
    at = matrix @ rng.uniform(lower, upper) if is_feasible else 4.0 * rng.normal(size=m)
    kinds = rng.integers(0, 4, m)
    row_lower = np.select([kinds == 0, kinds == 1], [at, -np.inf], at - 0.2 * rng.random(m))
    row_upper = np.select([kinds == 0, kinds == 2], [at, np.inf], at + 0.2 * rng.random(m))
    return point, matrix, row_lower, row_upper, lower, upper


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_projection_is_the_nearest_point(seed: int, n: int, m: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, n, m, is_feasible=True)
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    assert found is not None
    rows = matrix @ found
    assert np.all(found >= lower) and np.all(found <= upper)
    assert np.all(rows >= row_lower - 1e-7) and np.all(rows <= row_upper + 1e-7)
    # x is the nearest point of a convex set if no point z of it has (p - x) . (z - x) > 0: an LP.
    is_upper, is_lower = np.isfinite(row_upper), np.isfinite(row_lower)
    left = np.vstack([matrix[is_upper], -matrix[is_lower]])
    right = np.concatenate(
        [np.maximum(row_upper, rows)[is_upper], -np.minimum(row_lower, rows)[is_lower]]
    )
    toward = point - found
    answer = linprog(
        -toward, left, right, bounds=list(zip(lower, upper, strict=True)), method="highs"
    )
    assert answer.status == 0
    assert toward @ (answer.x - found) <= 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_projection_agrees_with_another_solver(seed: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, 4, 3, is_feasible=True)
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    assert found is not None
    sides = [
        {"type": "ineq", "fun": lambda x, k=k, end=end, sign=sign: sign * (matrix[k] @ x - end)}
        for ends, sign in ((row_lower, 1.0), (row_upper, -1.0))
        for k, end in enumerate(ends)
        if np.isfinite(end)
    ]
    answer = minimize(
        lambda x: ((x - point) ** 2).sum(),
        found + 0.01,
        jac=lambda x: 2.0 * (x - point),
        bounds=list(zip(lower, upper, strict=True)),
        constraints=sides,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert answer.success, answer.message
    np.testing.assert_allclose(found, answer.x, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 4), st.integers(1, 6))
def test_projection_onto_nothing_is_none(seed: int, n: int, m: int) -> None:
    point, matrix, row_lower, row_upper, lower, upper = _polyhedron(seed, n, m, is_feasible=False)
    is_upper, is_lower = np.isfinite(row_upper), np.isfinite(row_lower)
    # The least violation, by an LP.
    left = np.column_stack(
        [
            np.vstack([matrix[is_upper], -matrix[is_lower]]),
            -np.ones(is_upper.sum() + is_lower.sum()),
        ]
    )
    right = np.concatenate([row_upper[is_upper], -row_lower[is_lower]])
    ends = [*zip(lower, upper, strict=True), (0.0, None)]
    violation = linprog(np.append(np.zeros(n), 1.0), left, right, bounds=ends, method="highs").fun
    found = project(point, matrix, row_lower, row_upper, lower, upper)
    if violation > 1e-6:
        assert found is None
    elif violation == 0.0:
        assert found is not None


def test_projection_of_a_point_inside_is_itself() -> None:
    point = np.array([0.3, -0.2])
    none = np.full(1, np.inf)
    box = np.ones(2)
    found = project(point, np.ones((1, 2)), -none, none, -box, box)
    assert found is not None and found.tolist() == point.tolist()
    clipped = project(np.array([3.0, -0.2]), np.zeros((0, 2)), np.zeros(0), np.zeros(0), -box, box)
    assert clipped is not None and clipped.tolist() == [1.0, -0.2]


def _relu(seed: int, samples: int = 4, inputs: int = 8) -> ReluRegression:
    """Return a fit with more weights than samples, and columns that all differ."""
    rng = np.random.default_rng(seed)
    h = sparse.csr_array(np.column_stack([rng.random((samples, inputs)), np.ones(samples)]))
    size, targets = inputs + 1, np.where(rng.random(samples) < 0.3, 0.0, rng.random(samples))
    start = rng.uniform(-0.5, 0.5, size)
    return ReluRegression(
        h, np.zeros(samples), -np.ones(size), np.ones(size), start, targets=targets, big_m=20.0
    )


def _tight(seed: int) -> ReluRegression:
    """Return a fit whose targets cannot all be met."""
    rng = np.random.default_rng(seed)
    problem = _relu(seed, 6, 3)
    reach = rng.uniform(0.1, 0.3, problem.n_unknowns)
    return replace(problem, lower=problem.start - reach, upper=problem.start + reach)


def _hinge(seed: int) -> HingeRegression:
    rng = np.random.default_rng(seed)
    problem = _relu(seed, 6, 7)
    parts = (problem.coefficients, problem.constants, problem.lower, problem.upper, problem.start)
    is_target = rng.random(6) < 0.4
    return HingeRegression(
        *parts, is_target, np.where(is_target, rng.choice([0.5, 1.0, 3.0], 6), 1.0)
    )


def _margin(seed: int) -> MarginRegression:
    rng = np.random.default_rng(seed)
    block = Block.dense(5, 3, init="uniform", seed=seed)
    ends = np.ones(block.theta.size)
    objective = Margin(0.0)
    (group,) = objective.groups(block)
    inputs, labels = rng.random((5, 5)), rng.integers(0, 3, 5)
    return objective.of_weights(block, group, inputs, labels, Box(-ends, ends))


MAKERS = {"relu": _relu, "relu without exact fit": _tight, "hinge": _hinge, "margin": _margin}


def _solved(problem: Any, tie_break: str) -> Any:
    setup = SolveOptions(tie_break=tie_break)
    return (
        solve_relu(problem, setup)
        if isinstance(problem, ReluRegression)
        else solve_linear(problem, setup)
    )


def test_rules_by_name() -> None:
    assert list(TIE_BREAKS) == ["l2", "l1", "none"] and TIE_BREAKS["none"] is None


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", range(6))
def test_each_rule_is_optimal_and_the_nearest_in_its_norm(make: str, seed: int) -> None:
    problem = MAKERS[make](seed)
    fits = {name: _solved(problem, name) for name in TIE_BREAKS}
    far = {
        name: {p: np.linalg.norm(fit.parameters - problem.start, p) for p in (1, 2)}
        for name, fit in fits.items()
    }
    for fit in fits.values():
        assert fit.status is Status.OPTIMAL
        assert fit.objective == pytest.approx(fits["none"].objective, abs=1e-6)
        assert fit.objective == pytest.approx(problem.loss(fit.parameters), abs=1e-12)
        assert np.all(fit.parameters >= problem.lower) and np.all(fit.parameters <= problem.upper)
    assert far["l2"][2] <= min(far["none"][2], far["l1"][2]) + 1e-6
    assert far["l1"][1] <= far["none"][1] + 1e-6
    # An exact fit chooses among more points: those on other pieces of the loss too.
    if make != "relu":
        assert far["l1"][1] <= far["l2"][1] + 1e-6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("norm", [1, 2])
def test_each_rule_is_a_projection_onto_what_is_as_good(make: str, norm: int) -> None:
    problem = MAKERS[make](11)
    theta = _solved(problem, "none").parameters
    rule = TIE_BREAKS[f"l{norm}"]
    assert rule is not None
    found = rule(problem, theta, lambda program: solve(program).x)
    assert found is not None
    low, high = problem.level(theta)
    a = problem.preactivation(found)
    assert np.all(a >= low - 1e-6) and np.all(a <= high + 1e-6)
    assert (
        np.linalg.norm(found - problem.start, norm)
        <= np.linalg.norm(theta - problem.start, norm) + 1e-9
    )
    # No random point of the same level between the two is nearer.
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = np.clip(found + 0.1 * rng.normal(size=found.size), problem.lower, problem.upper)
        at = problem.preactivation(other)
        if np.all(at >= low) and np.all(at <= high):
            assert (
                np.linalg.norm(other - problem.start, norm)
                >= np.linalg.norm(found - problem.start, norm) - 1e-6
            )


def test_without_a_rule_the_solution_is_that_of_the_solver() -> None:
    problem = _hinge(3)
    fits = [_solved(problem, "none") for _ in range(2)]
    assert fits[0].parameters.tobytes() == fits[1].parameters.tobytes()
    assert sum(fits[0].solver_calls.values()) == 1
    assert sum(_solved(problem, "l2").solver_calls.values()) == 1
    assert sum(_solved(problem, "l1").solver_calls.values()) == 2


@pytest.mark.parametrize("tie_break", list(TIE_BREAKS))
def test_an_optimal_start_stays(tie_break: str) -> None:
    for make in MAKERS.values():
        problem = make(2)
        best = replace(problem, start=_solved(problem, "none").parameters)
        fit = _solved(best, tie_break)
        assert fit.objective == pytest.approx(best.loss(best.start), abs=1e-6)
        np.testing.assert_allclose(fit.parameters, best.start, atol=1e-6)


def _forbidden(*arguments: Any) -> Any:
    raise AssertionError("an exact fit takes no program")


@pytest.mark.parametrize("seed", range(8))
def test_targets_that_can_be_met_are_met_by_the_nearest_weights(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = _relu(seed)
    vertex = _solved(problem, "none")
    assert vertex.objective <= 1e-9
    monkeypatch.setattr(solving, "solve", _forbidden)
    fit = _solved(problem, "l2")
    assert (
        fit.status is Status.OPTIMAL
        and fit.objective <= 1e-7
        and not sum(fit.solver_calls.values())
    )
    outputs = np.maximum(problem.coefficients @ fit.parameters, 0.0)
    np.testing.assert_allclose(outputs, problem.targets, atol=1e-7)
    low = np.where(problem.targets > 0.0, problem.targets, -np.inf)
    expected = project_onto(problem, low, problem.targets)
    assert expected is not None
    np.testing.assert_allclose(fit.parameters, expected, atol=1e-8)
    assert (
        np.linalg.norm(fit.parameters - problem.start)
        <= np.linalg.norm(vertex.parameters - problem.start) + 1e-7
    )


def test_silent_targets_may_be_met_from_below() -> None:
    h = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 1.0]]))
    box = np.ones(2)
    problem = ReluRegression(
        h, np.zeros(2), -box, box, np.array([-0.75, 0.5]), targets=np.array([0.0, 0.25]), big_m=5.0
    )
    fit = _solved(problem, "l2")
    np.testing.assert_allclose(fit.parameters, [-0.75, 0.25], atol=1e-8)


def test_the_reference_form_is_never_changed() -> None:
    problem = _relu(1)
    fits = [solve_relu(problem, SolveOptions("paper", tie_break=name)) for name in TIE_BREAKS]
    assert len({fit.parameters.tobytes() for fit in fits}) == 1
    assert sum(fits[0].solver_calls.values()) >= 1


@pytest.mark.parametrize("tie_break", ["l1", "l2"])
def test_inputs_that_no_sample_has_keep_their_weights(tie_break: str) -> None:
    problem = _relu(4)
    h = problem.coefficients.toarray()
    h[:, 2] = 0.0
    fit = _solved(replace(problem, coefficients=sparse.csr_array(h)), tie_break)
    assert fit.parameters[2] == problem.start[2]


@pytest.mark.parametrize(("tie_break", "norm"), [("l1", 1), ("l2", 2)])
def test_equal_inputs_do_not_change_what_is_nearest(tie_break: str, norm: int) -> None:
    box = np.ones(4)
    h = sparse.csr_array(np.array([[0.5, 0.5, 0.5, 1.0]]))
    start = np.array([0.9, -0.9, 0.0, 0.0])
    problem = ReluRegression(h, np.zeros(1), -box, box, start, targets=np.array([0.6]), big_m=5.0)
    fit = _solved(problem, tie_break)
    assert fit.objective == pytest.approx(0.0, abs=1e-7)
    rule = TIE_BREAKS[tie_break]
    assert rule is not None
    expected = rule(problem, fit.parameters, lambda program: solve(program).x)
    assert (
        np.linalg.norm(fit.parameters - start, norm)
        <= np.linalg.norm(expected - start, norm) + 1e-6
    )
