"""The tree search against brute force and against the solvers' own search."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from layermilp import Status
from layermilp.algorithms import branch_and_bound as trees
from layermilp.algorithms import fit as solving
from layermilp.algorithms import search as searching
from layermilp.algorithms.branch_and_bound import Tree
from layermilp.algorithms.fit import solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search
from layermilp.formulations import ReluRegression
from layermilp.program import Limits, Program, Result, check
from layermilp.solvers import solve
from layermilp.solvers.warm_lp import WarmLp
from tests.common import ROOT
from tests.conformance.problems import missing
from tests.formulations.regressions import brute_force, is_close, relu_problems

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def recorded() -> dict[str, ReluRegression]:
    """The recorded weight programs of bench/record.py, by name."""
    sys.path.insert(0, str(ROOT / "bench"))
    import record

    return record.load()


def _random(seed: int, samples: int, inputs: int, reach: float = 1.0) -> ReluRegression:
    """Return a neuron's fit with half of the targets zero, around a start."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, inputs))
    start = rng.uniform(-1.0, 1.0, inputs + 1)
    return ReluRegression(
        coefficients=sparse.csr_array(np.column_stack([x, np.ones(samples)])),
        constants=np.zeros(samples),
        lower=start - reach,
        upper=start + reach,
        start=start,
        targets=np.maximum(rng.normal(0.0, 1.0, samples), 0.0),
        big_m=100.0,
    )


@pytest.mark.parametrize("tie_break", ["l2", "none"])
@settings(deadline=None, max_examples=60)
@given(problem=relu_problems())
def test_the_search_finds_the_optimum_of_brute_force(
    tie_break: str, problem: ReluRegression
) -> None:
    fit = solve_relu(problem, SolveOptions(solver="auto", tie_break=tie_break))
    assert fit.status is Status.OPTIMAL
    assert is_close(fit.objective, brute_force(problem))
    assert fit.bound <= fit.objective + 1e-9


@pytest.mark.parametrize(
    ("seed", "samples", "inputs", "reach"),
    [(0, 30, 3, 1.0), (1, 60, 4, 0.5), (2, 12, 20, 0.2), (3, 60, 8, 0.3), (4, 15, 40, 0.05)],
)
def test_the_search_agrees_with_the_reference_form(
    seed: int, samples: int, inputs: int, reach: float
) -> None:
    problem = _random(seed, samples, inputs, reach)
    found, plain = (
        solve_relu(problem, SolveOptions(solver="auto")),
        solve_relu(problem, SolveOptions("paper")),
    )
    assert found.status is Status.OPTIMAL and plain.status is Status.OPTIMAL
    assert found.nodes > 0 and dict(found.solver_calls)["layermilp"] == 1
    assert is_close(found.objective, plain.objective)


def test_the_search_agrees_with_the_solvers_on_recorded_programs(
    recorded: dict[str, ReluRegression],
) -> None:
    """Those of 50 samples in trust regions, and of a convolution, where the reduced program takes
    seconds at most."""
    names = [name for name in recorded if "-50-batch3-" in name]
    assert len(names) >= 10
    for name in names:
        found = solve_relu(recorded[name], SolveOptions(solver="auto"))
        plain = solve_relu(recorded[name], SolveOptions(solver="highs"))
        assert found.status is Status.OPTIMAL and plain.status is Status.OPTIMAL
        assert is_close(found.objective, plain.objective), (name, found.objective, plain.objective)


@settings(deadline=None, max_examples=60)
@given(relu_problems(), SEEDS)
def test_the_interior_point_method_finds_the_optimum_of_a_step(
    problem: ReluRegression, seed: int
) -> None:
    tree = Tree(Search(problem, SolveOptions()))
    assume(tree.n_rows > 0)
    firing = np.random.default_rng(seed).random(tree.n_rows) < 0.5
    envelope = tree.rows.fixed(firing)
    small = envelope.at(tree.h @ tree.step(firing) + tree.g).sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "LARGE", 0)
        assert tree.is_large
        theta = tree.step(firing)
    assert np.all((theta >= problem.lower) & (theta <= problem.upper))
    assert abs(envelope.at(tree.h @ theta + tree.g).sum() - small) <= 1e-6 * max(1.0, small)


def test_a_large_program_is_only_descended_within_a_node_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = _random(3, 60, 8)
    monkeypatch.setattr(trees, "LARGE", 0)
    limited = solve_relu(problem, SolveOptions(solver="auto", limits=Limits(node_limit=5)))
    assert limited.status is Status.FEASIBLE_AT_LIMIT and limited.nodes == 0
    assert limited.objective < problem.loss(problem.start)


def test_a_node_limit_ends_the_search_with_a_bound() -> None:
    problem = _random(3, 60, 8)
    limited = [
        solve_relu(problem, SolveOptions(solver="auto", limits=Limits(node_limit=n)))
        for n in (1, 5, 5)
    ]
    assert [fit.status for fit in limited] == [Status.FEASIBLE_AT_LIMIT] * 3
    assert limited[0].nodes == solving.TREE_NODES and limited[1].nodes == 5 * solving.TREE_NODES
    assert limited[0].bound < limited[1].bound < limited[1].objective <= limited[0].objective
    # Repeatable.
    assert (
        np.array_equal(limited[1].parameters, limited[2].parameters)
        and limited[1].bound == limited[2].bound
    )


def test_a_gap_ends_the_search() -> None:
    problem = _random(1, 60, 4, 0.5)
    wide, proven = (
        solve_relu(problem, SolveOptions(solver="auto", limits=Limits(gap=gap)))
        for gap in (0.3, None)
    )
    assert wide.status is Status.OPTIMAL_WITHIN_GAP and proven.status is Status.OPTIMAL
    assert wide.nodes < proven.nodes and wide.bound <= proven.objective + 1e-9
    assert wide.objective <= wide.bound / 0.7 + 1e-9


def test_the_solver_takes_over_where_the_search_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, programs = _random(1, 60, 4, 0.5), list[Program]()
    expected = solve_relu(problem, SolveOptions(solver="auto")).objective
    monkeypatch.setattr(solving, "MOST_TREE_NODES", 3)

    def kept(program: Program, *rest: Any) -> Result:
        programs.append(program)
        return solve(program, *rest)

    monkeypatch.setattr(searching, "solve", kept)
    fit = solve_relu(problem, SolveOptions(solver="auto", tie_break="none"))
    assert fit.status is Status.OPTIMAL and is_close(fit.objective, expected)
    start = programs[0].start
    assert programs[0].is_mip and start is not None
    assert is_close(check(programs[0], start).objective, problem.loss(start[:5]))


def test_a_program_that_fails_is_left_to_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, asked = _random(1, 60, 4, 0.5), []
    expected = solve_relu(problem, SolveOptions(solver="auto")).objective
    monkeypatch.setattr(WarmLp, "solve", lambda *numbers: asked.append(numbers))
    fit = solve_relu(problem, SolveOptions(solver="auto"))
    assert asked and fit.status is Status.OPTIMAL and is_close(fit.objective, expected)


@pytest.mark.parametrize(
    "solver", [name for name in ("highs", "cplex", "gurobi") if missing(name) is None]
)
@pytest.mark.parametrize("formulation", ["reduced", "paper"])
def test_an_objective_target_ends_the_search(solver: str, formulation: str) -> None:
    problem = _random(1, 40, 4, 0.5)
    best = solve_relu(problem, SolveOptions()).objective
    target = 1.02 * best
    assert problem.loss(problem.start) > target
    fit = solve_relu(
        problem,
        SolveOptions(formulation, solver, Limits(objective_target=target), tie_break="none"),
    )
    assert fit.status is Status.FEASIBLE_AT_LIMIT
    assert best - 1e-6 <= fit.objective <= target + 1e-9
    assert fit.bound <= best + 1e-6


def test_rows_that_cannot_fire_count_with_their_targets() -> None:
    problem = replace(_random(0, 10, 2, 0.1), constants=np.where(np.arange(10) < 5, -50.0, 0.0))
    fit = solve_relu(problem, SolveOptions(solver="auto"))
    assert fit.objective >= problem.targets[:5].sum() - 1e-9
    assert is_close(fit.objective, solve_relu(problem, SolveOptions("paper")).objective)
