"""The formulations against brute force over firing patterns, and against the programs as the report
writes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regressions import (
    FLOATS,
    GRID,
    NON_NEGATIVE,
    brute_force,
    draw_array,
    draw_box,
    is_close,
    relaxed_losses,
    relu_problems,
)
from scipy import sparse
from scipy.optimize import linprog

from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.presolve import Aggregation, nonzero_columns, restricted
from layermilp.algorithms.tie_break import TIE_BREAKS, nearest
from layermilp.formulations import (
    FORMULATIONS,
    HingeRegression,
    ReluRegression,
    paper,
    reduced,
    reference_big_m,
)
from layermilp.formulations.big_m import all_rows, open_rows
from layermilp.formulations.l1 import hinge_of_inputs
from layermilp.formulations.loss import input_bounds
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import IntArray, Program, Status, check
from layermilp.solvers import solve


@st.composite
def hinge_problems(draw: st.DrawFn) -> HingeRegression:
    """Draw a fit of an output neuron, with or without a dead zone, with or without class
    weights."""
    m, d = draw(st.integers(1, 8)), draw(st.integers(0, 2))
    weights = draw(st.sampled_from([1.0, 0.25, 9.0, None]))
    lower, upper = draw_box(draw, d + 1)
    is_target = draw_array(draw, st.integers(0, 1), m) > 0
    drawn = draw_array(draw, st.sampled_from([0.5, 1.0, 3.0]), m) if weights is None else weights
    return HingeRegression(
        coefficients=sparse.csr_array(
            np.column_stack([draw_array(draw, FLOATS, m, d), np.ones(m)])
        ),
        constants=draw_array(draw, GRID, m) if draw(st.booleans()) else np.zeros(m),
        lower=lower,
        upper=upper,
        start=np.clip(draw_array(draw, GRID, d + 1), lower, upper),
        is_target=is_target,
        row_weights=np.where(is_target, drawn, 1.0),
        tolerance=draw(st.sampled_from([0.0, 0.49, 1.0])),
    )


def _point(problem: ReluRegression | HingeRegression, seed: int) -> np.ndarray:
    """Return a point of the box, often with coordinates at its ends."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.uniform(-0.3, 1.3, problem.n_unknowns), 0.0, 1.0)
    return problem.lower + share * (problem.upper - problem.lower)


@settings(deadline=None, max_examples=50)
@given(relu_problems())
def test_both_forms_have_the_optimum_of_brute_force(problem: ReluRegression) -> None:
    expected = brute_force(problem)
    for name, formulation in FORMULATIONS.items():
        result = solve(formulation.build(problem))
        assert result.status is Status.OPTIMAL, (name, result)
        assert result.x is not None
        assert is_close(result.objective, expected), (name, result.objective, expected)
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        assert is_close(problem.loss(theta), expected), (name, problem.loss(theta), expected)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_starts_are_feasible_and_have_the_loss_as_objective(
    problem: ReluRegression, seed: int
) -> None:
    problem = replace(problem, start=_point(problem, seed))
    for name, formulation in FORMULATIONS.items():
        program = formulation.build(problem)
        assert program.start is not None
        found = check(program, program.start)
        assert found.holds(1e-9), (name, found)
        assert found.objective == pytest.approx(problem.loss(problem.start), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(relu_problems())
def test_sizes_of_both_forms(problem: ReluRegression) -> None:
    low, high = problem.interval
    n, p, t = problem.n_rows, problem.n_unknowns, problem.targets
    program = paper(problem)
    assert (program.n_columns, program.n_rows, int(program.integrality.sum())) == (
        p + 5 * n,
        6 * n,
        n,
    )
    assert all_rows(problem).tolist() == list(range(n))
    n_open = int(np.sum((t > 0) & (low < 0) & (high > 0)))
    n_two_sided = int(np.sum((t > 0) & (low >= 0)))
    n_hinges = int(np.sum((t == 0) & (high > 0)))
    program = reduced(problem)
    assert program.n_columns == p + 2 * n_open + n_two_sided + n_hinges
    assert program.n_rows == 3 * n_open + 2 * n_two_sided + n_hinges
    assert int(program.integrality.sum()) == n_open == open_rows(problem).size
    assert program.offset == t[(low < 0) & (high <= 0)].sum()


def _drawn_example(samples: int = 10, inputs: int = 3) -> ReluRegression:
    rng = np.random.default_rng(5)
    x = rng.random((samples, inputs))
    box = np.ones(inputs + 1)
    targets = np.where(rng.random(samples) < 0.4, 0.0, rng.random(samples))
    h = sparse.csr_array(np.column_stack([x, np.ones(samples)]))
    return ReluRegression(
        h, np.zeros(samples), -box, box, 0 * box, targets=targets, big_m=reference_big_m(x, box)
    )


def test_reference_form_is_the_one_of_the_report() -> None:
    problem = _drawn_example()
    program = paper(problem)
    assert (program.n_columns, program.n_rows, int(program.integrality.sum())) == (4 + 50, 60, 10)
    assert [name for name, _ in program.column_groups] == ["theta", "a", "o", "b", "dp", "dm"]
    theta = program.column_names().index("theta_0")
    assert theta == 0
    x = problem.coefficients.toarray()[:, :-1]
    assert problem.big_m == pytest.approx(3 * (1.1 * x.max() + 0.1) + 1)
    assert program.costs.sum() == 20 and program.costs[-20:].all()
    assert program.col_lower[4:14] == pytest.approx(np.full(10, -problem.big_m))
    assert program.col_upper[14:24] == pytest.approx(np.full(10, problem.big_m))


def test_reduced_form_has_binaries_for_positive_targets_only() -> None:
    problem = _drawn_example()
    positive = int(np.sum(problem.targets > 0))
    program = reduced(problem)
    assert 0 < positive < 10
    assert int(program.integrality.sum()) == positive
    assert (program.n_columns, program.n_rows) == (4 + 10 + positive, 10 + 2 * positive)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_intervals_and_big_m_bound_the_preactivations(problem: ReluRegression, seed: int) -> None:
    low, high = problem.interval
    a = problem.preactivation(_point(problem, seed))
    assert np.all(low <= a + 1e-9) and np.all(a <= high + 1e-9)
    assert np.all(np.abs(np.concatenate([low, high])) <= problem.big_m + 1e-9)
    corners = np.array(list(product(*zip(problem.lower, problem.upper, strict=True))))
    reached = problem.coefficients.toarray() @ corners.T + problem.constants[:, None]
    np.testing.assert_allclose(low, reached.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(high, reached.max(axis=1), atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_losses_are_those_of_the_report(problem: ReluRegression, seed: int) -> None:
    theta = _point(problem, seed)
    h = problem.coefficients.toarray()
    outputs = [
        max(0.0, float(row @ theta) + g) for row, g in zip(h, problem.constants, strict=True)
    ]
    expected = [abs(o - t) for o, t in zip(outputs, problem.targets, strict=True)]
    np.testing.assert_allclose(problem.losses(theta), expected, atol=1e-12)
    assert problem.loss(theta) == pytest.approx(sum(expected), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_envelope_is_convex_and_below_the_loss(
    problem: ReluRegression, one: int, other: int
) -> None:
    a, b = _point(problem, one), _point(problem, other)
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
    theta = _point(problem, seed)
    there = solve(relaxation.with_fixed(np.arange(problem.n_unknowns), theta))
    assert is_close(there.objective, relaxed_losses(problem, theta).sum())


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_fixed_pattern_is_exact_where_it_is_the_right_one(
    problem: ReluRegression, seed: int
) -> None:
    theta = _point(problem, seed)
    a = problem.preactivation(theta)
    for formulation in FORMULATIONS.values():
        program = formulation.build(problem)
        firing = (a > 0.0)[formulation.binary_rows(problem)].astype(float)
        fixed = program.with_fixed(program.integrality, firing).with_fixed(
            np.arange(problem.n_unknowns), theta
        )
        assert is_close(solve(fixed).objective, problem.loss(theta))


@settings(deadline=None, max_examples=60)
@given(st.one_of(relu_problems(), hinge_problems()), st.integers(0, 2**32 - 1))
def test_level_holds_the_point_and_nothing_worse(
    problem: ReluRegression | HingeRegression, seed: int
) -> None:
    theta = _point(problem, seed)
    a, losses = problem.preactivation(theta), problem.losses(theta)
    low, high = problem.level(theta)
    assert np.all(low <= a) and np.all(a <= high)
    for share in (0.0, 0.01, 0.3, 0.5, 0.99, 1.0):
        # Infinite ends are cut off far outside.
        inside = (1 - share) * np.maximum(low, -50.0) + share * np.minimum(high, 50.0)
        moved = replace(problem, coefficients=0.0 * problem.coefficients, constants=inside)
        assert np.all(moved.losses(theta) <= losses + 1e-9)


@settings(deadline=None, max_examples=40)
@given(st.one_of(relu_problems(), hinge_problems()), st.integers(0, 2**32 - 1))
def test_nearest_is_no_worse_and_no_farther(
    problem: ReluRegression | HingeRegression, seed: int
) -> None:
    theta = _point(problem, seed)
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


@settings(deadline=None, max_examples=40)
@given(relu_problems(), st.data())
def test_restriction_keeps_the_rest_at_the_start(
    problem: ReluRegression, data: st.DataObject
) -> None:
    size = problem.n_unknowns
    which = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    part = restricted(problem, which)
    assert part.n_unknowns == which.sum()
    inner = _point(part, 3)
    theta = problem.start.copy()
    theta[which] = inner
    np.testing.assert_allclose(part.preactivation(inner), problem.preactivation(theta), atol=1e-12)
    assert part.loss(inner) == pytest.approx(problem.loss(theta), abs=1e-9)


def test_unknowns_that_occur_in_no_row_are_found() -> None:
    problem = _drawn_example()
    h = problem.coefficients.toarray()
    h[:, 1] = 0.0
    explicit = sparse.csr_array(problem.coefficients)
    explicit.data[explicit.indices == 1] = 0.0
    for matrix in (sparse.csr_array(h), explicit):
        assert nonzero_columns(matrix).tolist() == [True, False, True, True]


def report_output_optimum(problem: HingeRegression) -> float:
    """Solve (7), (8) and section 2.3 with the report's variables: delta+, delta- and the slack s of
    every row.

    Class weights are factors of its objective.
    """
    h, g, n, p = (
        problem.coefficients.toarray(),
        problem.constants,
        problem.n_rows,
        problem.n_unknowns,
    )
    t = problem.is_target.astype(float)
    eye = np.eye(n)
    counted = np.diag(t)
    # theta, d+, d-, s:  a - t = d+ - d-,  s <= d  with  d = d+ (+ d- where the target is one)
    equal = np.hstack([h, -eye, eye, np.zeros((n, n))])
    slack = np.hstack([np.zeros((n, p)), -eye, -counted, eye])
    factors = problem.row_weights
    costs = np.concatenate([np.zeros(p), factors, factors * t, -factors])
    box = list(zip(problem.lower, problem.upper, strict=True))
    ends = [*box, *[(0.0, None)] * (2 * n), *[(0.0, problem.tolerance)] * n]
    answer = linprog(costs, slack, np.zeros(n), equal, t - g, bounds=ends, method="highs")
    assert answer.status == 0
    return float(answer.fun)


@settings(deadline=None, max_examples=60)
@given(hinge_problems())
def test_output_program_is_that_of_the_report(problem: HingeRegression) -> None:
    expected = report_output_optimum(problem)
    program = problem.program()
    assert not program.is_mip
    result = solve(program)
    assert result.status is Status.OPTIMAL and result.x is not None
    assert is_close(result.objective, expected)
    assert is_close(
        problem.loss(np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)),
        expected,
    )


@settings(deadline=None, max_examples=60)
@given(hinge_problems(), st.integers(0, 2**32 - 1))
def test_output_start_and_losses(problem: HingeRegression, seed: int) -> None:
    problem = replace(problem, start=_point(problem, seed))
    program = problem.program()
    n_ones = int(problem.is_target.sum())
    assert (program.n_columns, program.n_rows) == (
        problem.n_unknowns + problem.n_rows,
        problem.n_rows + n_ones,
    )
    a, s = problem.preactivation(problem.start), problem.tolerance
    factors = problem.row_weights
    expected = [
        factor * max(0.0, abs(value - 1.0) - s) if one else max(0.0, value - s)
        for value, one, factor in zip(a, problem.is_target, factors, strict=True)
    ]
    assert problem.scale == pytest.approx(factors[problem.is_target].sum())
    np.testing.assert_allclose(problem.losses(problem.start), expected, atol=1e-12)
    assert program.start is not None
    found = check(program, program.start)
    assert found.holds(1e-9)
    assert found.objective == pytest.approx(sum(expected), abs=1e-9)


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw weights, biases and inputs of a small layer."""
    n, d, m = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return (
        draw_array(draw, FLOATS, n, d),
        draw_array(draw, GRID, n),
        draw_array(draw, NON_NEGATIVE, m, d),
    )


def _alone(problem: ReluRegression, k: int, n: int, d: int) -> dict[str, Any]:
    rows, columns = slice(k * n, (k + 1) * n), slice(k * d, (k + 1) * d)
    return {
        "coefficients": problem.coefficients[rows, columns],
        "constants": problem.constants[rows],
        "lower": problem.lower[columns],
        "upper": problem.upper[columns],
        "start": problem.start[columns],
    }


@settings(deadline=None, max_examples=25)
@given(layers(), st.data())
def test_hidden_proposals_are_optimal_for_every_sample(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weights, bias, inputs = layer
    (n, d), m = weights.shape, len(inputs)
    targets = draw_array(data.draw, NON_NEGATIVE, m, n)
    problem = ReluL1().of_inputs(weights, bias, inputs, targets)
    assert np.all(np.abs(np.concatenate(problem.interval)) <= problem.big_m)
    expected = np.array(
        [
            brute_force(replace(problem, targets=targets[k], **_alone(problem, k, n, d)))
            for k in range(m)
        ]
    )
    for name in FORMULATIONS:
        proposed = propose(
            inputs,
            lambda part: ReluL1().of_inputs(weights, bias, inputs[part], targets[part]),
            SolveOptions(name),
        ).inputs
        low, high = np.maximum(0.0, 0.9 * inputs - 0.1), 1.1 * inputs + 0.1
        assert np.all(proposed >= low) and np.all(proposed <= high)
        found = np.abs(np.maximum(proposed @ weights.T + bias, 0.0) - targets).sum(axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=name)


@settings(deadline=None, max_examples=30)
@given(layers(), st.data())
def test_last_proposals_are_optimal_for_every_sample(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weights, bias, inputs = layer
    n, m = len(weights), len(inputs)
    targets = np.eye(n)[data.draw(st.lists(st.integers(0, n - 1), min_size=m, max_size=m))]
    one_weights: Any = data.draw(st.sampled_from([1.0, np.arange(1.0, n + 1.0), np.full(n, 0.3)]))

    def problem_of(part: slice | IntArray) -> HingeRegression:
        return hinge_of_inputs(weights, bias, inputs[part], targets[part] > 0.5, one_weights)

    proposed = propose(inputs, problem_of, SolveOptions()).inputs
    assert np.all(proposed >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        proposed <= 1.1 * inputs + 0.1
    )
    for k in range(m):
        alone = problem_of(slice(k, k + 1))
        assert is_close(alone.loss(proposed[k]), report_output_optimum(alone))


def test_proposal_bounds_are_those_of_the_report() -> None:
    low, high = input_bounds(np.array([[0.0, 0.1, 1.0, 10.0]]))
    np.testing.assert_allclose(low, [[0.0, 0.0, 0.8, 8.9]])
    np.testing.assert_allclose(high, [[0.1, 0.21, 1.2, 11.1]])


@settings(deadline=None, max_examples=40)
@given(layers(), st.integers(0, 2**32 - 1))
def test_rows_of_a_proposal_are_the_neurons_of_the_samples(
    layer: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    weights, bias, inputs = layer
    problem = ReluL1().of_inputs(weights, bias, inputs, np.zeros((len(inputs), len(weights))))
    moved = np.random.default_rng(seed).random(inputs.shape)
    np.testing.assert_allclose(
        problem.preactivation(moved.reshape(-1)), (moved @ weights.T + bias).reshape(-1), atol=1e-12
    )
    np.testing.assert_array_equal(problem.start, inputs.reshape(-1))


def test_programs_are_named() -> None:
    problem = _drawn_example()
    programs: list[Program] = [paper(problem), reduced(problem), nearest(problem, problem.start)]
    assert [program.name for program in programs] == ["neuron_paper", "neuron_reduced", "nearest"]
    for program in programs:
        names = program.column_names()
        assert len(set(names)) == len(names) == program.n_columns


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_equal_columns_become_one_unknown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = rng.random((5, 3))
    h = sparse.csr_array(distinct[:, rng.integers(0, 3, 7)])
    lower, upper = -rng.random(7), rng.random(7)
    start = rng.uniform(lower, upper)
    problem = ReluRegression(h, np.zeros(5), lower, upper, start, targets=rng.random(5), big_m=10.0)
    aggregation = Aggregation.of(h)
    aggregated = aggregation.apply(problem)
    assert aggregated.n_unknowns == len(np.unique(h.toarray(), axis=1).T)
    sums = rng.uniform(aggregated.lower, aggregated.upper)
    theta = aggregation.spread(sums, problem)
    assert np.all(lower <= theta) and np.all(theta <= upper)
    assert aggregation.sums(theta) == pytest.approx(sums)
    assert problem.losses(theta) == pytest.approx(aggregated.losses(sums))
    assert np.abs(theta - start).sum() == pytest.approx(np.abs(sums - aggregated.start).sum())
    assert np.array_equal(aggregation.spread(aggregated.start, problem), start)
