"""The objective with a margin: its loss, its linear program, the margins it is made of, and the
inputs it proposes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.fit import solve_linear
from layermilp.algorithms.options import SolveOptions
from layermilp.formulations import MarginRegression
from layermilp.formulations.loss import Box
from layermilp.formulations.margin import Margin, MarginPieces, rivals
from layermilp.networks.layers import Dense, Tied
from layermilp.networks.network import Block
from layermilp.networks.parameters import ParameterMap
from layermilp.program import Status, check
from layermilp.solvers import solve

SEEDS = st.integers(0, 2**32 - 1)
PENALTIES = st.sampled_from([0.0, 0.02, 0.5])


@st.composite
def maps(draw: st.DrawFn) -> ParameterMap:
    """Draw a last layer: dense, or with ties across outputs and fixed entries."""
    n, d = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        return Dense(d, n).parameters
    rng = np.random.default_rng(draw(SEEDS))
    names = rng.integers(-1, draw(st.integers(1, 6)), (n, d + 1))
    names[rng.integers(n), rng.integers(d + 1)] = 0
    found, index = np.unique(names, return_inverse=True)
    index = index.reshape(names.shape) - (found[0] == -1)
    return ParameterMap(index, np.where(index < 0, rng.choice([0.0, -0.5, 0.75], index.shape), 0.0))


@st.composite
def layers(draw: st.DrawFn) -> tuple[Block, np.ndarray, np.ndarray]:
    """Draw a last block, some inputs of it, and the own outputs of these samples."""
    parameters = draw(maps())
    rng = np.random.default_rng(draw(SEEDS))
    m = draw(st.integers(1, 6))
    inputs = np.where(
        rng.random((m, parameters.n_inputs)) < 0.3, 0.0, 2.0 * rng.random((m, parameters.n_inputs))
    )
    block = Block(Tied(parameters), rng.uniform(-1.0, 1.0, parameters.n_parameters))
    return block, inputs, rng.integers(0, parameters.n_outputs, m)


def _outputs(block: Block, inputs: np.ndarray, theta: np.ndarray) -> list[list[float]]:
    """Return the linear outputs of every sample, by the entries of the extended matrix."""
    index, fixed = block.parameters.index, block.parameters.fixed
    found = []
    for x in [*inputs.tolist()]:
        row = []
        for j in range(len(index)):
            entries = [
                theta[p] if p >= 0 else value for p, value in zip(index[j], fixed[j], strict=True)
            ]
            row.append(sum(w * value for w, value in zip(entries, [*x, 1.0], strict=True)))
        found.append(row)
    return found


def _losses(outputs: list[list[float]], labels: np.ndarray) -> list[float]:
    """Return what every sample's own output lacks of a margin of one over its strongest rival."""
    losses = []
    for row, own in zip(outputs, labels, strict=True):
        lacks = [0.0]
        for j in range(len(row)):
            if j != own:
                lacks.append(1.0 - (row[own] - row[j]))
        losses.append(max(lacks))
    return losses


def _problem(
    block: Block, inputs: np.ndarray, labels: np.ndarray, box: float = 1.0
) -> MarginRegression:
    ends = np.full(block.theta.size, box)
    objective = Margin(0.0)
    (group,) = objective.groups(block)
    return objective.of_weights(block, group, inputs, labels, Box(-ends, ends))


def _optimum(
    margins: np.ndarray, constants: np.ndarray, sample: np.ndarray, problem: MarginRegression
) -> float:
    """Minimize slacks and the price of changes; rows ``margins . theta + constants`` belong to the
    given samples."""
    n, p = margins.shape
    m = sample.max() + 1
    own = np.eye(m)[sample]
    eye = np.eye(p)
    left = np.block(
        [
            [-margins, -own, np.zeros((n, p))],
            [eye, np.zeros((p, m)), -eye],
            [-eye, np.zeros((p, m)), -eye],
        ]
    )
    right = np.concatenate([constants - 1.0, problem.start, -problem.start])
    ends = [*zip(problem.lower, problem.upper, strict=True), *[(0.0, None)] * (m + p)]
    answer = linprog(
        np.repeat([0.0, 1.0, problem.penalty], [p, m, p]), left, right, bounds=ends, method="highs"
    )
    assert answer.status == 0, answer.message
    return float(answer.fun)


def _weight_optimum(
    block: Block, inputs: np.ndarray, labels: np.ndarray, problem: MarginRegression
) -> float:
    """Build the margins from outputs at zero and at unit vectors, in which they are linear."""
    size = block.theta.size
    at_zero = np.array(_outputs(block, inputs, np.zeros(size)))
    slopes = np.array([np.array(_outputs(block, inputs, unit)) - at_zero for unit in np.eye(size)])
    pairs = [(k, j) for k in range(len(inputs)) for j in range(block.n_outputs) if j != labels[k]]
    margins = np.array([slopes[:, k, labels[k]] - slopes[:, k, j] for k, j in pairs])
    constants = np.array([at_zero[k, labels[k]] - at_zero[k, j] for k, j in pairs])
    return _optimum(margins, constants, np.array([k for k, _ in pairs]), problem)


def _input_optimum(block: Block, label: int, problem: MarginRegression) -> float:
    others = [j for j in range(block.n_outputs) if j != label]
    margins = np.array([block.weights[label] - block.weights[j] for j in others])
    constants = np.array([block.bias[label] - block.bias[j] for j in others])
    return _optimum(margins, constants, np.zeros(len(others), dtype=int), problem)


def _close(found: float, expected: float) -> bool:
    return abs(found - expected) <= 1e-6 * max(1.0, abs(expected))


def test_rivals_are_all_other_outputs() -> None:
    assert rivals(np.array([0, 1, 3]), 4).tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 2]]
    assert rivals(np.array([1, 0]), 2).tolist() == [[0], [1]]


@settings(deadline=None, max_examples=60)
@given(layers(), SEEDS)
def test_margins_of_weights_are_differences_of_outputs(
    layer: tuple[Block, np.ndarray, np.ndarray], seed: int
) -> None:
    block, inputs, labels = layer
    theta = np.random.default_rng(seed).uniform(-2.0, 2.0, block.theta.size)
    box = np.ones(theta.size)
    pieces = MarginPieces(block.parameters, inputs, labels, -box, box, box, np.ones(len(labels)))
    problem = pieces.rows()
    outputs = _outputs(block, inputs, theta)
    expected = [
        row[own] - row[j]
        for row, own in zip(outputs, labels, strict=True)
        for j in range(len(row))
        if j != own
    ]
    assert (problem.n_rows, problem.n_unknowns) == (len(expected), theta.size)
    np.testing.assert_allclose(problem.preactivation(theta), expected, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(layers(), SEEDS)
def test_margins_of_inputs_are_differences_of_outputs(
    layer: tuple[Block, np.ndarray, np.ndarray], seed: int
) -> None:
    block, inputs, labels = layer
    moved = np.random.default_rng(seed).random(inputs.shape)
    problem = Margin(0.0).of_inputs(block.weights, block.bias, inputs, labels)
    outputs = _outputs(block, moved, block.theta)
    expected = [
        row[own] - row[j]
        for row, own in zip(outputs, labels, strict=True)
        for j in range(len(row))
        if j != own
    ]
    assert (problem.n_rows, problem.n_unknowns) == (len(expected), moved.size)
    np.testing.assert_allclose(problem.preactivation(moved.reshape(-1)), expected, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(layers(), SEEDS, PENALTIES)
def test_loss_is_that_of_a_loop(
    layer: tuple[Block, np.ndarray, np.ndarray], seed: int, penalty: float
) -> None:
    block, inputs, labels = layer
    problem = replace(_problem(block, inputs, labels), penalty=penalty)
    theta = np.random.default_rng(seed).uniform(-1.0, 1.0, block.theta.size)
    expected = _losses(_outputs(block, inputs, theta), labels)
    np.testing.assert_allclose(problem.losses(theta), expected, atol=1e-12)
    changes = sum(abs(new - old) for new, old in zip(theta, block.theta, strict=True))
    assert problem.loss(theta) == pytest.approx(sum(expected) + penalty * changes, abs=1e-9)
    assert problem.scale == len(inputs)
    equal = replace(
        problem,
        coefficients=0.0 * problem.coefficients,
        constants=0.0 * problem.constants,
        penalty=0.0,
    )
    assert equal.loss(theta) == problem.scale


@settings(deadline=None, max_examples=80)
@given(layers(), PENALTIES, st.sampled_from([1.0, 0.25]))
def test_program_of_weights_has_the_optimum_of_another(
    layer: tuple[Block, np.ndarray, np.ndarray], penalty: float, box: float
) -> None:
    block, inputs, labels = layer
    problem = replace(_problem(block, inputs, labels, box), penalty=penalty)
    expected = _weight_optimum(block, inputs, labels, problem)
    program = problem.program()
    assert not program.is_mip
    result = solve(program)
    assert result.status is Status.OPTIMAL and result.x is not None
    assert _close(result.objective, expected)
    theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
    assert _close(problem.loss(theta), expected)
    fit = solve_linear(problem, SolveOptions())
    assert fit.status is Status.OPTIMAL and _close(fit.objective, expected)


@settings(deadline=None, max_examples=40)
@given(layers(), SEEDS, PENALTIES)
def test_start_is_feasible_and_has_the_loss_as_objective(
    layer: tuple[Block, np.ndarray, np.ndarray], seed: int, penalty: float
) -> None:
    block, inputs, labels = layer
    problem = replace(_problem(block, inputs, labels), penalty=penalty)
    theta = np.random.default_rng(seed).uniform(-1.0, 1.0, block.theta.size)
    program = problem.program()
    assert program.start is not None
    found = check(program, program.start)
    assert found.holds(1e-9)
    assert found.objective == pytest.approx(problem.loss(problem.start), abs=1e-9)
    # Any point of the box, with the smallest columns that go with it.
    parts = [theta, problem.losses(theta)]
    if penalty:
        parts.append(np.maximum(problem.start - theta, 0.0))
    found = check(program, np.concatenate(parts))
    assert found.holds(1e-9)
    assert found.objective == pytest.approx(problem.loss(theta), abs=1e-9)
    names = program.column_names()
    assert len(set(names)) == len(names) == program.n_columns
    assert program.name == "margin"


@settings(deadline=None, max_examples=40)
@given(layers(), SEEDS)
def test_level_holds_the_point_and_nothing_worse(
    layer: tuple[Block, np.ndarray, np.ndarray], seed: int
) -> None:
    problem = _problem(*layer)
    theta = np.random.default_rng(seed).uniform(-1.0, 1.0, problem.n_unknowns)
    a, losses = problem.preactivation(theta), problem.losses(theta)
    low, high = problem.level(theta)
    assert np.all(low <= a) and np.all(a <= high)
    for share in (0.0, 0.3, 1.0):
        inside = (1 - share) * low + share * np.minimum(high, 50.0)
        moved = replace(problem, coefficients=0.0 * problem.coefficients, constants=inside)
        assert np.all(moved.losses(theta) <= losses + 1e-9)


def _proposed(block: Block, inputs: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    objective = Margin(penalty)
    return propose(
        inputs,
        lambda part: objective.of_inputs(block.weights, block.bias, inputs[part], labels[part]),
        SolveOptions(),
    ).inputs


@settings(deadline=None, max_examples=40)
@given(layers(), PENALTIES)
def test_proposals_are_optimal_for_every_sample(
    layer: tuple[Block, np.ndarray, np.ndarray], penalty: float
) -> None:
    block, inputs, labels = layer
    found = _proposed(block, inputs, labels, penalty)
    assert np.all(found >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        found <= 1.1 * inputs + 0.1
    )
    before = np.array(_losses(_outputs(block, inputs, block.theta), labels))
    after = np.array(_losses(_outputs(block, found, block.theta), labels))
    price = penalty * np.abs(found - inputs).sum(axis=1)
    assert np.all(after <= before + 1e-12) and np.all(after + price <= before + 1e-6)
    for k, label in enumerate(labels):
        alone = Margin(penalty).of_inputs(
            block.weights, block.bias, inputs[k : k + 1], labels[k : k + 1]
        )
        assert _close(after[k] + price[k], _input_optimum(block, label, alone))


@settings(deadline=None, max_examples=30)
@given(layers())
def test_nothing_moves_where_a_change_costs_more_than_it_gains(
    layer: tuple[Block, np.ndarray, np.ndarray],
) -> None:
    block, inputs, labels = layer
    steepest = 2.0 * np.abs(block.weights).max()
    assert _proposed(block, inputs, labels, steepest + 0.1).tobytes() == inputs.tobytes()


def test_a_margin_of_one_is_left_alone() -> None:
    block = Block.dense(2, 2).with_theta([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    inputs = np.array([[1.0, 0.0], [2.0, 0.5], [0.7, 0.0], [0.0, 0.0]])
    found = _proposed(block, inputs, np.zeros(4, dtype=int), 0.1)
    assert found[:2].tobytes() == inputs[:2].tobytes()
    # The third gets as far as it needs no longer; the fourth as far as it may.
    np.testing.assert_allclose(found[2:], [[0.87, 0.0], [0.1, 0.0]], atol=1e-9)


def test_objective_reads_the_largest_output_and_takes_all_outputs_at_once() -> None:
    block = Block.conv2d(3, 3, 2, free_bias=True)
    (group,) = Margin(0.0).groups(block)
    assert group.neurons.tolist() == [0, 1, 2, 3] and group.parameters.tolist() == [0, 1, 2, 3, 4]
    assert Margin.decision == "argmax" and Margin.name == "margin"
