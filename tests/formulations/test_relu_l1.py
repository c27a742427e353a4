"""Both forms of a neuron's fit against brute force over firing patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.algorithms.tie_break import nearest
from layermilp.formulations import (
    FORMULATIONS,
    ReluRegression,
    paper,
    reduced,
)
from layermilp.formulations.big_m import all_rows, open_rows
from layermilp.program import Program, Status, check
from layermilp.solvers import solve
from tests.formulations.regressions import (
    brute_force,
    drawn_example,
    is_close,
    point_of,
    relu_problems,
)


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
    problem = replace(problem, start=point_of(problem, seed))
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


def test_reduced_form_has_binaries_for_positive_targets_only() -> None:
    problem = drawn_example()
    positive = int(np.sum(problem.targets > 0))
    program = reduced(problem)
    assert 0 < positive < 10
    assert int(program.integrality.sum()) == positive
    assert (program.n_columns, program.n_rows) == (4 + 10 + positive, 10 + 2 * positive)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_losses_are_those_of_the_report(problem: ReluRegression, seed: int) -> None:
    theta = point_of(problem, seed)
    h = problem.coefficients.toarray()
    outputs = [
        max(0.0, float(row @ theta) + g) for row, g in zip(h, problem.constants, strict=True)
    ]
    expected = [abs(o - t) for o, t in zip(outputs, problem.targets, strict=True)]
    np.testing.assert_allclose(problem.losses(theta), expected, atol=1e-12)
    assert problem.loss(theta) == pytest.approx(sum(expected), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), st.integers(0, 2**32 - 1))
def test_fixed_pattern_is_exact_where_it_is_the_right_one(
    problem: ReluRegression, seed: int
) -> None:
    theta = point_of(problem, seed)
    a = problem.preactivation(theta)
    for formulation in FORMULATIONS.values():
        program = formulation.build(problem)
        firing = (a > 0.0)[formulation.binary_rows(problem)].astype(float)
        fixed = program.with_fixed(program.integrality, firing).with_fixed(
            np.arange(problem.n_unknowns), theta
        )
        assert is_close(solve(fixed).objective, problem.loss(theta))


def test_programs_are_named() -> None:
    problem = drawn_example()
    programs: list[Program] = [paper(problem), reduced(problem), nearest(problem, problem.start)]
    assert [program.name for program in programs] == ["neuron_paper", "neuron_reduced", "nearest"]
    for program in programs:
        names = program.column_names()
        assert len(set(names)) == len(names) == program.n_columns
