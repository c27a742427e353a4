"""Every solver, the same fits: equal objectives, honest bounds, starts never made worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from layermilp import Block, Fit, Status, fit_output_neuron, fit_relu_neuron, propose_inputs
from layermilp.algorithms.fit import solve_linear, solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.errors import DataError, LayermilpError, OptionError
from layermilp.formulations import (
    FORMULATIONS,
    HingeRegression,
    ReluRegression,
)
from layermilp.formulations.l1 import L1
from layermilp.formulations.loss import Box
from layermilp.formulations.margin import Margin
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import Limits
from layermilp.solvers import SOLVERS
from tests.conformance.optima import (
    NAN,
    T,
    X,
    formulations,
    hinge_optimum,
    margin_loss,
    margin_optimum,
    relu_optimum,
)


def _holds(
    fit: Fit, expected: float, lower: np.ndarray, upper: np.ndarray, recomputed: float
) -> None:
    """Check what a fit without limits promises."""
    scale = max(1.0, abs(expected))
    assert fit.status is Status.OPTIMAL, fit
    assert abs(fit.objective - expected) <= 1e-6 * scale
    assert fit.objective == pytest.approx(recomputed, rel=1e-12, abs=1e-12)
    assert fit.objective <= fit.start_objective + 1e-9
    assert fit.bound <= fit.objective
    assert fit.bound <= expected + 1e-6 * scale
    assert fit.objective - fit.bound <= 1e-6 * scale
    # Below a difference of 1e-9 per row nothing is proven, whatever the scale.
    assert fit.gap <= 1e-6 or fit.objective - fit.bound <= 1e-8
    assert fit.parameters.shape == lower.shape
    assert np.all(fit.parameters >= lower) and np.all(fit.parameters <= upper)
    assert fit.message == ""


def _regression(
    x: np.ndarray, t: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> ReluRegression:
    h = sparse.csr_array(np.column_stack([x, np.ones(len(x))]))
    return ReluRegression(
        h, np.zeros(len(x)), lower, upper, np.clip(0 * lower, lower, upper), targets=t, big_m=1.0
    )


def _loss(x: np.ndarray, t: np.ndarray, parameters: np.ndarray) -> float:
    return float(np.abs(np.maximum(x @ parameters[:-1] + parameters[-1], 0.0) - t).sum())


def _data(seed: int, samples: int = 10, inputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random((samples, inputs)) * rng.choice([1.0, 3.0])
    return x, np.where(rng.random(samples) < 0.4, 0.0, 2.0 * rng.random(samples))


CASES: dict[str, tuple[int, Any, Any]] = {
    "unit box": (0, -1.0, 1.0),
    "other data": (1, -1.0, 1.0),
    "wide box": (2, -5.0, 5.0),
    "box beside zero": (3, 0.25, 1.0),
    "fixed weight": (4, np.array([-1.0, 0.5, -1.0, -1.0]), np.array([1.0, 0.5, 1.0, 1.0])),
    "silent box": (5, -1.0, -0.125),
    "one point": (6, 0.125, 0.125),
}


@formulations
@pytest.mark.parametrize("case", CASES)
def test_dense_fits_agree(solver: str, formulation: str, case: str) -> None:
    seed, low, high = CASES[case]
    x, t = _data(seed)
    lower, upper = np.broadcast_to(low, 4), np.broadcast_to(high, 4)
    fit = fit_relu_neuron(x, t, low, high, formulation=formulation, solver=solver)
    _holds(
        fit,
        relu_optimum(_regression(x, t, lower, upper)),
        lower,
        upper,
        _loss(x, t, fit.parameters),
    )
    assert fit.start_objective == pytest.approx(_loss(x, t, np.clip(np.zeros(4), lower, upper)))


@formulations
def test_negative_inputs_and_dead_inputs_are_no_matter(solver: str, formulation: str) -> None:
    x = np.random.default_rng(7).normal(size=(10, 4))
    x[:, 2] = 0.0
    t = _data(7)[1]
    box = np.ones(5)
    start = np.array([0.1, -0.2, 0.75, 0.3, 0.0])
    fit = fit_relu_neuron(x, t, -1.0, 1.0, start=start, formulation=formulation, solver=solver)
    _holds(fit, relu_optimum(_regression(x, t, -box, box)), -box, box, _loss(x, t, fit.parameters))
    if not FORMULATIONS[formulation].is_reference:
        assert fit.parameters[2] == 0.75


@formulations
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 100.0])
def test_scale_of_the_targets_is_no_matter(solver: str, formulation: str, scale: float) -> None:
    x, t = _data(8)
    box = np.ones(4)
    fit = fit_relu_neuron(x, scale * t, -1.0, 1.0, formulation=formulation, solver=solver)
    _holds(
        fit,
        relu_optimum(_regression(x, scale * t, -box, box)),
        -box,
        box,
        _loss(x, scale * t, fit.parameters),
    )


@formulations
def test_exact_fits_are_found(solver: str, formulation: str) -> None:
    x = _data(9)[0]
    t = np.maximum(x @ [0.5, -0.75, 0.25] + 0.125, 0.0)
    fit = fit_relu_neuron(x, t, -1.0, 1.0, formulation=formulation, solver=solver)
    assert fit.status is Status.OPTIMAL
    assert fit.objective == pytest.approx(0.0, abs=1e-6)
    assert fit.gap <= 1e-6 or fit.objective - fit.bound <= 1e-6


@formulations
def test_starts_are_never_made_worse(solver: str, formulation: str) -> None:
    x, t = _data(0)
    best = fit_relu_neuron(x, t, -1.0, 1.0, formulation=formulation, solver=solver)
    for start in (best.parameters, -np.ones(4), np.full(4, 9.0)):
        inside = np.clip(start, -1.0, 1.0)
        fit = fit_relu_neuron(x, t, -1.0, 1.0, start=start, formulation=formulation, solver=solver)
        assert fit.start_objective == pytest.approx(_loss(x, t, inside))
        assert fit.objective <= fit.start_objective + 1e-9
        assert fit.objective == pytest.approx(best.objective, abs=1e-6)


@formulations
@pytest.mark.parametrize(
    "limits", [{"time_limit": 1e-6}, {"time_limit": 0.02}, {"node_limit": 1}], ids=repr
)
def test_limits_keep_what_is_known(solver: str, formulation: str, limits: dict[str, Any]) -> None:
    rng = np.random.default_rng(11)
    x, t = rng.random((30, 6)), rng.random(30)
    good = np.append(np.full(6, 0.15), 0.0)
    fit = fit_relu_neuron(
        x, t, -1.0, 1.0, start=good, formulation=formulation, solver=solver, **limits
    )
    assert fit.status in (Status.FEASIBLE_AT_LIMIT, Status.OPTIMAL), fit
    assert fit.objective <= _loss(x, t, good) + 1e-9
    assert fit.objective == pytest.approx(_loss(x, t, fit.parameters))
    assert 0.0 <= fit.bound <= fit.objective
    assert np.all(np.abs(fit.parameters) <= 1.0)


@formulations
def test_gap_is_kept(solver: str, formulation: str) -> None:
    x, t = _data(0)
    expected = relu_optimum(_regression(x, t, -np.ones(4), np.ones(4)))
    fit = fit_relu_neuron(x, t, -1.0, 1.0, gap=0.2, formulation=formulation, solver=solver)
    assert fit.status.is_optimal
    assert fit.gap <= 0.2 + 1e-6
    assert fit.bound <= expected + 1e-6
    assert expected - 1e-6 <= fit.objective <= expected / 0.8 + 1e-6


@formulations
@pytest.mark.parametrize("free_bias", [False, True], ids=["no bias", "free bias"])
def test_convolution_fits_agree(solver: str, formulation: str, free_bias: bool) -> None:
    rng = np.random.default_rng(3)
    block = Block.conv2d(3, 4, 2, free_bias=free_bias, init="uniform", seed=4)
    images = rng.random((3, 12))
    targets = np.where(rng.random((3, 6)) < 0.3, 0.0, rng.random((3, 6)))
    box = Box(-np.ones(block.theta.size), np.ones(block.theta.size))
    (group,) = block.parameters.groups
    problem = ReluL1().of_weights(block, group, images, targets, box)
    assert (problem.n_rows, problem.n_unknowns) == (18, 4 + free_bias)
    fit = solve_relu(problem, SolveOptions(formulation, solver))
    recomputed = np.abs(block.with_theta(fit.parameters).forward(images) - targets).sum()
    _holds(fit, relu_optimum(problem), box.lower, box.upper, float(recomputed))
    assert fit.start_objective == pytest.approx(np.abs(block.forward(images) - targets).sum())


@formulations
def test_black_images_leave_the_kernel_alone(solver: str, formulation: str) -> None:
    block = Block.conv2d(3, 3, 2, seed=1)
    box = Box(-np.ones(4), np.ones(4))
    problem = ReluL1().of_weights(
        block, block.parameters.groups[0], np.zeros((2, 9)), np.full((2, 4), 0.5), box
    )
    fit = solve_relu(problem, SolveOptions(formulation, solver))
    _holds(fit, 4.0, box.lower, box.upper, problem.loss(fit.parameters))


@pytest.mark.parametrize("tolerance", [0.0, 0.49])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 0.3)], ids=["unit box", "narrow box"])
def test_output_fits_agree(solver: str, tolerance: float, low: float, high: float) -> None:
    rng = np.random.default_rng(2)
    x, is_target = rng.random((30, 3)), rng.random(30) < 0.4
    lower, upper = np.full(4, low), np.full(4, high)
    h = sparse.csr_array(np.column_stack([x, np.ones(30)]))
    problem = HingeRegression(
        h, np.zeros(30), lower, upper, lower, is_target, np.ones(30), tolerance
    )
    fit = fit_output_neuron(x, is_target, low, high, tolerance=tolerance, solver=solver)
    a = x @ fit.parameters[:-1] + fit.parameters[-1]
    deviation = np.where(is_target, np.abs(a - 1.0), a)
    recomputed = float(np.maximum(deviation - tolerance, 0.0).sum())
    _holds(fit, hinge_optimum(problem), lower, upper, recomputed)


def test_output_fit_of_a_convolution(solver: str) -> None:
    rng = np.random.default_rng(6)
    block = Block.conv2d(3, 3, 2, free_bias=True, seed=4)
    images, labels = rng.random((5, 9)), rng.integers(0, 4, 5)
    box = Box(-np.ones(5), np.ones(5))
    problem = L1(np.ones(4)).of_weights(block, block.parameters.groups[0], images, labels, box)
    fit = solve_linear(problem, SolveOptions(solver=solver))
    a = block.with_theta(fit.parameters).preactivation(images)
    recomputed = np.where(np.eye(4)[labels] > 0.5, np.abs(a - 1.0), np.maximum(a, 0.0)).sum()
    _holds(fit, hinge_optimum(problem), box.lower, box.upper, float(recomputed))


@pytest.mark.parametrize("tie_break", ["l2", "l1", "none"])
@pytest.mark.parametrize("reach", [1.0, 0.05], ids=["unit box", "narrow box"])
def test_margin_fits_agree(solver: str, tie_break: str, reach: float) -> None:
    rng = np.random.default_rng(4)
    block = Block.dense(3, 4, init="uniform", seed=4)
    inputs, labels = rng.random((30, 3)), rng.integers(0, 4, 30)
    box = Box(np.maximum(block.theta - reach, -1.0), np.minimum(block.theta + reach, 1.0))
    (group,) = Margin(0.0).groups(block)
    problem = Margin(0.0).of_weights(block, group, inputs, labels, box)
    assert (problem.n_rows, problem.n_unknowns) == (90, 16)
    fit = solve_linear(problem, SolveOptions(solver=solver, tie_break=tie_break))
    recomputed = margin_loss(block.with_theta(fit.parameters).preactivation(inputs), labels)
    _holds(fit, margin_optimum(problem), box.lower, box.upper, recomputed)
    assert fit.start_objective == pytest.approx(margin_loss(block.preactivation(inputs), labels))


def test_margin_fit_of_a_convolution(solver: str) -> None:
    rng = np.random.default_rng(6)
    block = Block.conv2d(3, 3, 2, free_bias=True, init="uniform", seed=4)
    images, labels = rng.random((8, 9)), rng.integers(0, 4, 8)
    box = Box(-np.ones(5), np.ones(5))
    (group,) = Margin(0.0).groups(block)
    problem = Margin(0.0).of_weights(block, group, images, labels, box)
    fit = solve_linear(problem, SolveOptions(solver=solver))
    recomputed = margin_loss(block.with_theta(fit.parameters).preactivation(images), labels)
    _holds(fit, margin_optimum(problem), box.lower, box.upper, recomputed)


@pytest.mark.parametrize("one_weight", [0.1, 9.0])
def test_weighted_output_fits_agree(solver: str, one_weight: float) -> None:
    rng = np.random.default_rng(2)
    x, is_target = rng.random((30, 3)), rng.random(30) < 0.2
    box = np.ones(4)
    h = sparse.csr_array(np.column_stack([x, np.ones(30)]))
    weights = np.where(is_target, one_weight, 1.0)
    problem = HingeRegression(h, np.zeros(30), -box, box, 0 * box, is_target, weights, 0.49)
    fit = solve_linear(problem, SolveOptions(solver=solver))
    a = x @ fit.parameters[:-1] + fit.parameters[-1]
    deviation = np.where(is_target, np.abs(a - 1.0), a)
    recomputed = float(weights @ np.maximum(deviation - 0.49, 0.0))
    _holds(fit, hinge_optimum(problem), -box, box, recomputed)


def test_output_start_is_never_made_worse(solver: str) -> None:
    rng = np.random.default_rng(2)
    x, is_target = rng.random((30, 3)), rng.random(30) < 0.4
    best = fit_output_neuron(x, is_target, -1.0, 1.0, solver=solver)
    again = fit_output_neuron(x, is_target, -1.0, 1.0, start=best.parameters, solver=solver)
    assert again.start_objective == best.objective
    assert again.objective <= best.objective + 1e-9
    short = fit_output_neuron(
        x, is_target, -1.0, 1.0, start=best.parameters, solver=solver, time_limit=1e-6
    )
    assert short.status in (Status.FEASIBLE_AT_LIMIT, Status.OPTIMAL)
    assert short.objective <= best.objective + 1e-9


@pytest.mark.parametrize("tie_break", ["l1", "l2"])
def test_tie_break_prefers_the_start(solver: str, tie_break: str) -> None:
    rng = np.random.default_rng(5)
    x, t = rng.random((4, 12)), rng.random(4)
    start = rng.uniform(-0.3, 0.3, 13)
    h = sparse.csr_array(np.column_stack([x, np.ones(4)]))
    problem = replace(_regression(x, t, -np.ones(13), np.ones(13)), coefficients=h, start=start)
    near = solve_relu(problem, SolveOptions(solver=solver, tie_break=tie_break))
    other = solve_relu(problem, SolveOptions(solver=solver, tie_break="none"))
    assert near.objective == pytest.approx(other.objective, abs=1e-6)
    norm = int(tie_break[1])
    assert (
        np.linalg.norm(near.parameters - start, norm)
        <= np.linalg.norm(other.parameters - start, norm) + 1e-6
    )


def test_node_limit_of_one_is_repeatable(solver: str) -> None:
    rng = np.random.default_rng(11)
    x, t = rng.random((25, 5)), rng.random(25)
    fits = [fit_relu_neuron(x, t, -1.0, 1.0, solver=solver, node_limit=1) for _ in range(2)]
    assert fits[0].parameters.tobytes() == fits[1].parameters.tobytes()
    assert Limits(node_limit=1).node_limit == 1


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"inputs": NAN}, DataError, r"inputs\[1, 1\] is nan"),
        ({"inputs": np.full((3, 2), np.inf)}, DataError, r"inputs\[0, 0\] is inf"),
        (
            {"inputs": X[0]},
            DataError,
            r"inputs must be a non-empty matrix, got an array of shape \(2,\)",
        ),
        (
            {"inputs": np.zeros((0, 2)), "targets": []},
            DataError,
            "inputs must be a non-empty matrix",
        ),
        ({"targets": [0.0, np.nan, 1.0]}, DataError, r"targets\[1\] is nan"),
        ({"targets": [0.0, 1.0, -0.5]}, DataError, r"target 2 is -0\.5.*no negative outputs"),
        ({"targets": T[:2]}, DataError, r"targets must have shape \(3,\), got \(2,\)"),
        ({"targets": T[:, None]}, DataError, r"targets must have shape \(3,\)"),
        ({"lower": 2.0}, DataError, r"lower\[0\] is 2, above upper\[0\], which is 1"),
        ({"lower": [-1.0, -1.0, 1.5]}, DataError, r"lower\[2\] is 1\.5, above upper\[2\]"),
        ({"lower": [-1.0, -1.0]}, DataError, r"lower must have shape \(3,\), got \(2,\)"),
        ({"upper": np.inf}, DataError, r"upper\[0\] is inf"),
        ({"upper": np.nan}, DataError, r"upper\[0\] is nan"),
        ({"start": [0.0, 0.0]}, DataError, r"start must have shape \(3,\)"),
        ({"start": [0.0, 0.0, np.nan]}, DataError, r"start\[2\] is nan"),
        ({"formulation": "tight"}, OptionError, "'tight' is unknown; choose reduced, paper"),
        ({"solver": "scip"}, OptionError, "'scip' is unknown; choose auto"),
        ({"time_limit": 0.0}, OptionError, r"time_limit is 0\.0"),
        ({"gap": -1.0}, OptionError, r"gap is -1\.0"),
        ({"node_limit": 0}, OptionError, "node_limit is 0"),
    ],
)
def test_fits_refuse_bad_input(
    changes: dict[str, Any], error: type[LayermilpError], words: str
) -> None:
    arguments: dict[str, Any] = {"inputs": X, "targets": T, "lower": -1.0, "upper": 1.0, **changes}
    with pytest.raises(error, match=words) as caught:
        fit_relu_neuron(**arguments)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"inputs": NAN}, DataError, r"inputs\[1, 1\] is nan"),
        ({"is_target": [0, 1, 2]}, DataError, "is_target must hold one 0 or 1"),
        ({"is_target": [0, 1]}, DataError, "3 in all"),
        ({"lower": 2.0}, DataError, r"lower\[0\] is 2, above upper"),
        ({"tolerance": -0.1}, OptionError, r"tolerance is -0\.1"),
        ({"tolerance": np.nan}, OptionError, "tolerance is nan"),
        ({"solver": "scip"}, OptionError, "scip"),
    ],
)
def test_output_fits_refuse_bad_input(
    changes: dict[str, Any], error: type[LayermilpError], words: str
) -> None:
    arguments: dict[str, Any] = {
        "inputs": X,
        "is_target": [0, 1, 0],
        "lower": -1.0,
        "upper": 1.0,
        **changes,
    }
    with pytest.raises(error, match=words) as caught:
        fit_output_neuron(**arguments)
    assert isinstance(caught.value, ValueError)


def test_fits_that_cplex_takes_are_not_refused_for_their_tie_break_or_bulk() -> None:
    if not SOLVERS["cplex"].is_available():
        pytest.skip("CPLEX IS NOT TESTED: the package cplex is not installed")
    rng = np.random.default_rng(0)
    x, t = rng.random((12, 700)), rng.random(12)
    assert fit_relu_neuron(x, t, -1.0, 1.0, solver="cplex").objective == pytest.approx(
        0.0, abs=1e-6
    )
    fit = solve_relu(
        _regression(x, t, -np.ones(701), np.ones(701)), SolveOptions(solver="cplex", tie_break="l1")
    )
    assert fit.objective == pytest.approx(0.0, abs=1e-6)
    assert fit.solver_calls["cplex"] > 0
    weights, bias, inputs = rng.uniform(-1, 1, (8, 8)), rng.uniform(-1, 1, 8), rng.random((130, 8))
    targets = rng.random((130, 8))
    by_cplex, by_auto = (
        propose_inputs(weights, bias, inputs, targets, solver=solver)
        for solver in ("cplex", "auto")
    )
    losses = [
        np.abs(np.maximum(x @ weights.T + bias, 0) - targets).sum(axis=1)
        for x in (by_cplex, by_auto)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6, abs=1e-7)
    ones = np.eye(8)[rng.integers(0, 8, 130)]
    last = [
        propose_inputs(weights, bias, inputs, ones, last_layer=True, solver=solver)
        for solver in ("cplex", "auto")
    ]
    assert last[0].shape == last[1].shape == inputs.shape
