"""Which of several optima: the rules of the tie-break, and the fit that meets every target
exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layermilp.algorithms import search as solving
from layermilp.algorithms.fit import solve_linear, solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tie_break import TIE_BREAKS, nearest, project_onto
from layermilp.formulations import (
    HingeRegression,
    MarginRegression,
    ReluRegression,
)
from layermilp.formulations.loss import Box
from layermilp.formulations.margin import Margin
from layermilp.networks.network import Block
from layermilp.program import Status, check
from layermilp.solvers import solve
from tests.formulations.regressions import (
    hinge_problems,
    point_of,
    relu_problems,
)


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
        and (fit.kind, dict(fit.solver_calls)) == ("qp", {"daqp": 1})
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


@settings(deadline=None, max_examples=40)
@given(st.one_of(relu_problems(), hinge_problems()), st.integers(0, 2**32 - 1))
def test_nearest_is_no_worse_and_no_farther(
    problem: ReluRegression | HingeRegression, seed: int
) -> None:
    theta = point_of(problem, seed)
    program = nearest(problem, theta)
    up, down = np.maximum(theta - problem.start, 0.0), np.maximum(problem.start - theta, 0.0)
    assert check(program, np.concatenate([up, down])).holds(1e-9)
    result = solve(program)
    assert result.status is Status.OPTIMAL and result.x is not None
    rule = TIE_BREAKS["l1"]
    assert rule is not None
    found = rule(problem, theta, lambda other: solve(other).x)
    assert found is not None
    assert np.all(found >= problem.lower - 1e-9) and np.all(found <= problem.upper + 1e-9)
    assert np.all(problem.losses(found) <= problem.losses(theta) + 1e-6)
    assert problem.loss(found) <= problem.loss(theta) + 1e-6
    assert np.abs(found - problem.start).sum() <= np.abs(theta - problem.start).sum() + 1e-6
    assert result.objective == pytest.approx(np.abs(found - problem.start).sum(), abs=1e-6)
