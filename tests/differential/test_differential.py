r"""All solvers against each other and against enumeration, on random programs of every kind that
the library makes.

Each program is solved by every installed solver, with a start and without, and once within drawn
limits. No answer may contradict the optimum: no status, no point, no objective, and no bound. A
solver that contradicts itself (`Result.is_contradiction`) may do so now and then, if
`layermilp.solve` then finds the optimum.

``LAYERMILP_DIFFERENTIAL`` is the number of programs of all kinds together, 3,000 by default, some
tens of seconds on two cores. They are the same every time; ``LAYERMILP_DIFFERENTIAL_SEED``, a whole
number, draws others. A nightly run::

    LAYERMILP_DIFFERENTIAL=100000 LAYERMILP_DIFFERENTIAL_SEED=$(date +%Y%m%d) \
        python -m pytest -n 2 --dist worksteal tests/differential

A failure names its kind and seed, by which `case` draws the program again."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from layermilp import solvers
from layermilp.program import Limits, Program, Result, Status, check
from layermilp.solvers import SOLVERS
from tests.conformance.problems import missing
from tests.differential import anything, hybrid, integer, layerwise, smt
from tests.differential.drawing import Case, Random, within

Kind = Callable[[Random], Case]

KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        layerwise.neuron_reduced,
        layerwise.neuron_paper,
        layerwise.neuron_proximal,
        layerwise.neuron_firing_fixed,
        layerwise.neuron_relaxed,
        layerwise.envelope_lp,
        layerwise.proposal_hidden,
        layerwise.output_l1,
        layerwise.proposal_last,
        layerwise.proposal_network,
        layerwise.margin,
        layerwise.tie_break,
        layerwise.pieces_complete,
        layerwise.pieces_dual,
        layerwise.pieces_working,
        hybrid.hybrid_regression,
        hybrid.hybrid_classification,
        hybrid.hybrid_nearest,
        integer.neuron_by_effects,
        integer.neighbourhood,
        integer.whole_network,
        integer.vote,
        smt.firing_pattern,
        smt.widest_margin,
        smt.on_a_grid,
        anything.whole_numbers,
        anything.mixed,
    )
}

PROGRAMS = int(os.environ.get("LAYERMILP_DIFFERENTIAL", "3000"))
SEED = int(os.environ.get("LAYERMILP_DIFFERENTIAL_SEED", "0"))
CHUNK = 20
"""Programs of one test."""

SLOW = "cbc"
SLOW_EVERY = 8
"""CBC is a process for every program, and takes one of so many."""

INSTALLED = [name for name in SOLVERS if missing(name) is None]

TOLERANCE = 1e-6
"""Relative to the optimum, or to one."""

MOST_CONTRADICTIONS = 0.5
"""Share of a solver's answers in one test that may contradict themselves."""


def case(kind: str, seed: int) -> Case:
    """Draw the program of a seed; a new kind leaves those of the others as they are."""
    return KINDS[kind](np.random.default_rng((SEED, *kind.encode(), seed)))


def _chunks() -> Iterator[tuple[str, int]]:
    each = -(-PROGRAMS // len(KINDS))
    for first in range(0, each, CHUNK):
        for kind in KINDS:
            yield kind, first


@pytest.mark.parametrize(("kind", "first"), list(_chunks()))
def test_no_solver_contradicts_the_optimum(kind: str, first: int) -> None:
    solved, contradicted, wrong = Counter[str](), Counter[str](), []
    for seed in range(first, first + CHUNK):
        rng = np.random.default_rng((SEED, 1 << 32, seed))
        found = case(kind, seed)
        answers = list(_answers(found.program, rng, seed % SLOW_EVERY == 0))
        optimum = _consensus(answers) if found.optimum is None else found.optimum
        for solver, program, limits, result in answers:
            solved[solver] += 1
            if result.is_contradiction:
                contradicted[solver] += 1
                result = solvers.solve(program, solver, limits)
            fault = _fault(optimum, program, limits, result)
            if fault:
                start = "without a start" if program.start is None else f"start {program.start}"
                wrong.append(
                    f"{kind} {seed} by {solver}, {start}, {limits}: {fault}; optimum {optimum}, "
                    f"{result}"
                )
    assert not wrong, "\n".join([f"{len(wrong)} wrong answers", *wrong[:5]])
    for solver, count in contradicted.items():
        assert count <= 1 + MOST_CONTRADICTIONS * solved[solver], (solver, count, solved[solver])


Asked = tuple[str, Program, Limits, Result]


def _answers(program: Program, rng: Random, with_slow: bool) -> Iterator[Asked]:
    """Solve a program by all solvers; one of them is drawn to keep within limits."""
    fast = [name for name in INSTALLED if name != SLOW]
    slow = [SLOW] if with_slow and SLOW in INSTALLED else []
    plain = replace(program, start=None)
    for solver in [*fast, *slow]:
        yield _asked(solver, plain, Limits())
    if program.is_mip:
        started = _started(program, rng)
        for solver in [*fast, *slow]:
            yield _asked(solver, started, Limits())
        limits = _limits(rng)
        yield _asked(str(rng.choice([*fast, *slow])), [plain, started][rng.integers(2)], limits)


def _asked(solver: str, program: Program, limits: Limits) -> Asked:
    return solver, program, limits, SOLVERS[solver].solve(program, limits)


def _started(program: Program, rng: Random) -> Program:
    """Return the program with its own start, or with any point of the box as one."""
    if program.start is not None and rng.random() < 0.8:
        return program
    lower, upper = np.maximum(program.col_lower, -9.0), np.minimum(program.col_upper, 9.0)
    return replace(program, start=within(rng, lower, upper))


def _limits(rng: Random) -> Limits:
    return [
        Limits(gap=0.0),
        Limits(gap=0.2),
        Limits(absolute_gap=0.5),
        Limits(gap=0.1, absolute_gap=0.2),
        Limits(node_limit=1),
        Limits(node_limit=3),
        Limits(objective_target=1.0),
        Limits(time_limit=1e-3),
        Limits(seed=7),
    ][rng.integers(9)]


def _consensus(answers: list[Asked]) -> float:
    """Return the least objective of the checked points; infinite where there is none."""
    return min(
        (result.objective for *_, result in answers if result.x is not None), default=math.inf
    )


def _fault(optimum: float, program: Program, limits: Limits, result: Result) -> str:
    """Return what is wrong with an answer, empty if nothing is."""
    if math.isinf(optimum):
        is_right = result.status in (Status.INFEASIBLE, Status.NO_SOLUTION_AT_LIMIT)
        return "" if is_right and result.x is None else "there is no solution"
    slack = TOLERANCE * max(1.0, abs(optimum))
    if result.bound > optimum + slack:
        return "the bound is above the optimum"
    if result.x is None:
        return "" if result.status is Status.NO_SOLUTION_AT_LIMIT else "there is a solution"
    if not check(program, result.x).holds() or result.objective < optimum - slack:
        return "the point is none"
    if not result.status.is_optimal:
        has_limit = limits not in (Limits(), Limits(seed=7), Limits(gap=0.0))
        return "" if result.status.is_at_limit and has_limit else "it is not solved"
    allowed = max((limits.gap or 0.0) * abs(result.objective), limits.absolute_gap or 0.0)
    is_proven = result.status is Status.OPTIMAL
    if result.objective > optimum + slack + (0.0 if is_proven else allowed):
        return "the point is not optimal"
    return "" if result.objective - result.bound <= allowed + 2.0 * slack else "nothing is proven"
