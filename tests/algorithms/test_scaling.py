"""Problems of any size: the same fit, in units of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.fit import solve_linear, solve_problem, solve_relu, weight_program
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.scaling import Scaling
from layermilp.algorithms.search import Fit
from layermilp.algorithms.tolerances import FAR
from layermilp.formulations import HingeRegression, ReluRegression, reference_big_m
from layermilp.formulations.margin import Margin
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import IntArray, Limits, Status
from layermilp.solvers import SOLVERS
from tests.formulations.regressions import brute_force, hinge_problems, relu_problems

SIZES = [1e-9, 1e-6, 2.0**-25, 1e-3, 1.0, 1e3, 1e6, 2.0**25, 1e9]

KINDS = {
    "reduced": SolveOptions(),
    "paper": SolveOptions("paper"),
    "proximal": SolveOptions(proximity=0.2, weight_decay=0.05),
    "ridge": SolveOptions(ridge=0.2, weight_decay=0.05),
    "nearest in the l1 norm": SolveOptions(tie_break="l1"),
    "any optimum": SolveOptions(tie_break="none"),
}


def sized(problem: ReluRegression, targets: float, inputs: float) -> ReluRegression:
    """Return a problem with its targets and inputs times numbers, and the box accordingly."""
    return problem.scaled(1.0 / targets, inputs / targets)


def is_same(found: Fit, known: Fit, size: float) -> bool:
    """Whether a fit is another one in units of a size, within what tolerances leave open."""
    pairs = (
        (found.objective, known.objective),
        (found.bound, known.bound),
        (found.start_objective, known.start_objective),
        (found.scale, known.scale),
    )
    return found.status is known.status and all(
        value / size == pytest.approx(wanted, rel=1e-5, abs=2e-5) for value, wanted in pairs
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(relu_problems(), st.sampled_from(SIZES), st.sampled_from(SIZES))
def test_a_fit_of_any_size_is_that_of_the_usual_size(
    kind: str, problem: ReluRegression, targets: float, inputs: float
) -> None:
    known = solve_relu(problem, KINDS[kind])
    found = solve_relu(sized(problem, targets, inputs), KINDS[kind])
    sizes = {"proximal": targets**2, "ridge": (targets / inputs) ** 2}
    assert is_same(found, known, sizes.get(kind, targets))


@settings(deadline=None, max_examples=20)
@given(hinge_problems(), st.sampled_from(SIZES))
def test_outputs_of_inputs_of_any_size_are_fitted(problem: HingeRegression, inputs: float) -> None:
    known = solve_linear(problem, SolveOptions())
    assert is_same(solve_linear(problem.scaled(1.0, inputs), SolveOptions()), known, 1.0)


@pytest.mark.parametrize("penalty", [0.0, 0.02])
@pytest.mark.parametrize("inputs", SIZES)
def test_margins_of_inputs_of_any_size_are_fitted(penalty: float, inputs: float) -> None:
    rng = np.random.default_rng(3)
    weights, bias, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.random((5, 4))
    problem = Margin(penalty).of_inputs(weights, bias, x, rng.integers(3, size=5))
    known = solve_linear(problem, SolveOptions())
    assert is_same(solve_linear(problem.scaled(1.0, inputs), SolveOptions()), known, 1.0)


def large(samples: int, inputs: int, size: float) -> ReluRegression:
    """Return a fit of inputs and targets of a size, with weights and a bias within [-1, 1]."""
    rng = np.random.default_rng(2)
    x = size * rng.random((samples, inputs))
    deviations = size * rng.normal(scale=0.1, size=samples)
    targets = np.maximum(0.0, x @ rng.uniform(-0.3, 0.9, size=inputs) + deviations)
    box = np.ones(inputs + 1)
    h = sparse.csr_array(np.column_stack([x, np.ones(samples)]))
    big_m = reference_big_m(x, box)
    return ReluRegression(h, np.zeros(samples), -box, box, 0.1 * box, targets=targets, big_m=big_m)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", [name for name, each in SOLVERS.items() if each.is_available()])
def test_large_inputs_are_no_failure(solver: str, kind: str) -> None:
    for samples, inputs in ((4, 6), (8, 2)):
        problem = large(samples, inputs, 1e7)
        fit = solve_problem(problem, replace(KINDS[kind], solver=solver))
        assert fit.status is Status.OPTIMAL and fit.gap <= 1e-6 and not fit.message
        assert np.all((problem.lower <= fit.parameters) & (fit.parameters <= problem.upper))
        if kind not in ("proximal", "ridge"):
            assert fit.objective == problem.loss(fit.parameters)
            assert problem.scale > 0.0
            assert fit.objective <= brute_force(problem) + 1e-6 * problem.scale


@pytest.mark.parametrize("tie_break", ["l2", "l1", "none"])
def test_small_targets_are_fitted(tie_break: str) -> None:
    usual = large(8, 2, 1.0)
    problem = replace(usual, targets=1e-9 * usual.targets, start=0.0 * usual.start)
    fit = solve_relu(problem, SolveOptions(tie_break=tie_break))
    assert fit.status is Status.OPTIMAL and fit.objective < 0.5 * problem.scale
    # The box reaches beyond 1e5 times the targets, so the tolerances are not as small beside them.
    assert fit.objective <= 1e-9 * brute_force(replace(usual, start=problem.start)) + 1e-12
    assert fit.needs_solver


def test_usual_numbers_stay_and_units_are_powers_of_two() -> None:
    for size in (8.0 / FAR, 1.0, FAR / 8.0):
        problem = large(5, 2, size)
        scaling = Scaling.of(problem)
        assert scaling.is_identity and scaling.problem(problem) is problem
    problem = large(5, 2, 1e7)
    scaling = Scaling.of(problem)
    for unit in (scaling.outputs, scaling.losses, scaling.unknowns):
        assert np.frexp(unit)[0] == 0.5
    assert scaling.outputs > 1e6
    inside = scaling.problem(problem)
    theta = problem.lower + 0.3 * (problem.upper - problem.lower)
    assert inside.loss(theta / scaling.unknowns) * scaling.losses == problem.loss(theta)
    # A program for other solvers is in the problem's own numbers.
    program = weight_program(problem, SolveOptions())
    assert program.col_lower[: problem.n_unknowns].tolist() == problem.lower.tolist()


def test_limits_are_in_units_of_the_losses() -> None:
    limits = Limits(absolute_gap=1e6, objective_target=2e6)
    scaling = Scaling.of(large(5, 2, 1e7))
    found = scaling.options(SolveOptions(limits=limits)).limits
    assert found.absolute_gap == 1e6 / scaling.losses
    assert found.objective_target == 2e6 / scaling.losses


@pytest.mark.parametrize("formulation", ["reduced", "paper"])
@pytest.mark.parametrize("solver", ["auto", "cbc"])
@pytest.mark.parametrize(("outputs", "inputs"), [(1e7, 1.0), (1e-9, 1.0), (1.0, 1e7), (1e7, 1e7)])
def test_inputs_of_any_size_are_proposed(
    outputs: float, inputs: float, solver: str, formulation: str
) -> None:
    rng = np.random.default_rng(4)
    weights, bias, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.random((6, 4))
    targets = np.maximum(0.0, x @ weights.T + bias + 0.2 * rng.normal(size=(6, 3)))
    options = SolveOptions(formulation, solver=solver)

    def usual(part: slice | IntArray) -> ReluRegression:
        return ReluL1().of_inputs(weights, bias, x[part], targets[part])

    known = propose(x, usual, options)
    found = propose(
        inputs * x, lambda part: usual(part).scaled(1.0 / outputs, 1.0 / inputs), options
    )
    assert found.statistics.optimal == known.statistics.optimal == 6
    losses = [
        usual(slice(None)).loss(each.reshape(-1)) for each in (known.inputs, found.inputs / inputs)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
