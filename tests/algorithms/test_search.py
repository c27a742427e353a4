"""The frame of searches: best point, bound, and the status that these have."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from layermilp.algorithms import search as searching
from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search, Stop, status_of
from layermilp.formulations import HingeRegression
from layermilp.program import Limits, Program, Result, Status


def problem() -> HingeRegression:
    """Return ``|x - 1| + max(0, x + y)`` over a box, from the point (0, 0), whose loss is 1, to the
    optimum 0 at (1, -1)."""
    return HingeRegression(
        coefficients=sparse.csr_array(np.array([[1.0, 0.0], [1.0, 1.0]])),
        constants=np.zeros(2),
        lower=-np.ones(2),
        upper=np.ones(2),
        start=np.zeros(2),
        is_target=np.array([True, False]),
        row_weights=np.ones(2),
    )


@pytest.mark.parametrize(
    ("loss", "bound", "stop", "status"),
    [
        (2.0, 2.0, Stop.FAILED, Status.OPTIMAL),
        (2.0, 2.0 - 1e-7, Stop.LIMIT, Status.OPTIMAL),
        (1e-9, 0.0, None, Status.OPTIMAL),
        (2.0, 1.6, Stop.FAILED, Status.OPTIMAL_WITHIN_GAP),
        (2.0, 1.5 - 1e-9, None, Status.OPTIMAL_WITHIN_GAP),
        (2.0, 1.4, Stop.LIMIT, Status.FEASIBLE_AT_LIMIT),
        (2.0, 1.4, Stop.FAILED, Status.ERROR),
        (2.0, 1.4, Stop.DONE, Status.ERROR),
        (2.0, -math.inf, Stop.LIMIT, Status.FEASIBLE_AT_LIMIT),
        (2.0, -math.inf, None, Status.ERROR),
    ],
)
def test_what_is_proven_counts_before_why_a_search_ended(
    loss: float, bound: float, stop: Stop | None, status: Status
) -> None:
    assert status_of(loss, bound, asked=0.5, rounding=2e-9, stop=stop) is status


def test_only_better_points_are_taken_and_all_are_clipped() -> None:
    search = Search(problem(), SolveOptions())
    assert search.loss == search.start_loss == 1.0 and search.theta is search.problem.start
    assert search.offer(np.array([-1.0, 0.0])) == 2.0 and search.loss == 1.0
    assert search.offer(np.array([3.0, -3.0])) == 0.0
    assert search.theta.tolist() == [1.0, -1.0] and search.loss == 0.0
    assert not search.accept(np.array([0.0, 0.0]), 0.5) and search.loss == 0.0
    assert search.accept(np.array([0.0, 0.0]), 1.5) and search.loss == 1.0


def test_a_bound_only_rises() -> None:
    search = Search(problem(), SolveOptions())
    for bound, expected in ((0.25, 0.25), (0.1, 0.25), (-math.inf, 0.25), (0.5, 0.5)):
        search.raise_bound(bound)
        assert search.bound == expected


def test_a_search_is_done_at_a_gap_a_share_of_its_scale_or_a_target() -> None:
    asked = {
        "gap": SolveOptions(limits=Limits(gap=0.5)),
        "absolute gap": SolveOptions(limits=Limits(absolute_gap=0.5)),
        "share": SolveOptions(target_gap=0.5),
        "target": SolveOptions(limits=Limits(objective_target=1.0)),
    }
    for name, options in asked.items():
        search = Search(problem(), options)
        assert search.is_done(0.5) and not search.is_optimal()
        assert search.is_done(0.5 - 1e-9) and search.is_done(0.4) is (name == "target")
        search.raise_bound(0.5)
        assert search.is_done() and search.fit().status is (
            Status.FEASIBLE_AT_LIMIT if name == "target" else Status.OPTIMAL_WITHIN_GAP
        )
    assert not Search(problem(), SolveOptions()).is_done(0.5)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Status.NO_SOLUTION_AT_LIMIT, Status.FEASIBLE_AT_LIMIT),
        (Status.ERROR, Status.ERROR),
        (Status.INFEASIBLE, Status.ERROR),
        (Status.TOO_LARGE, Status.ERROR),
    ],
)
def test_without_an_answer_the_start_is_returned(
    answer: Status, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Result(answer, solver="highs", nodes=3, message="in its own words")
    monkeypatch.setattr(searching, "solve", lambda *given: said)
    search = Search(problem(), SolveOptions())
    search.take(search.solve(search.problem.program()))
    fit = search.fit()
    assert fit.status is status and fit.parameters.tolist() == [0.0, 0.0]
    told = "in its own words: the objective 1 is not proven, only that it is at least 0"
    assert fit.message == (told if status is Status.ERROR else "")
    assert (fit.objective, fit.bound, fit.nodes, fit.solver_calls["highs"]) == (1.0, 0.0, 3, 1)


def test_a_program_gets_what_is_left_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Limits] = []

    def solve(program: Program, solver: str, limits: Limits, options: object) -> Result:
        seen.append(limits)
        return Result(Status.ERROR)

    monkeypatch.setattr(searching, "solve", solve)
    options = SolveOptions(limits=Limits(time_limit=5.0), target_gap=0.25)
    program = problem().program()
    Search(problem(), options, Budget.of(1.0)).solve(program)
    Search(problem(), options, Budget.of(None)).solve(program)
    Search(problem(), replace(options, limits=Limits())).solve(program)
    assert seen[0].time_limit is not None and seen[0].time_limit <= 1.0
    assert [limits.time_limit for limits in seen[1:]] == [5.0, None]
    assert all(limits.absolute_gap == 0.25 for limits in seen)


def test_options_of_a_solver_are_given_to_that_solver_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[object] = []

    def solve(program: Program, solver: str, limits: Limits, options: object) -> Result:
        seen.append((solver, options))
        return Result(Status.ERROR)

    monkeypatch.setattr(searching, "solve", solve)
    search = Search(problem(), SolveOptions(solver="highs", options={"threads": 1}))
    program = problem().program()
    search.solve(program)
    search.solve(program, "cbc")
    search.solve(program, "cbc", {"passCuts": 3})
    search.solve(program, "highs", {"solver": "ipx"})
    own = {"threads": 1}
    assert seen == [("highs", own), ("cbc", None), ("cbc", {"passCuts": 3}), ("highs", own)]


def test_seeds_are_those_of_a_key() -> None:
    options = SolveOptions()
    seeds = {options.seeded(*key).limits.seed for key in ((0, 1), (1, 0), (0, 1, 2), (2,))}
    assert len(seeds) == 4 and all(0 <= seed < 2**31 for seed in seeds)
    assert options.seeded(0, 1) == options.seeded(0, 1)


def test_a_failure_has_words_though_the_solver_has_none() -> None:
    search = Search(problem(), SolveOptions())
    search.stop = Stop.DONE
    fit = search.fit()
    assert fit.status is Status.ERROR
    assert fit.message == "the objective 1 is not proven, only that it is at least 0"


def test_what_a_preferred_point_costs_does_not_count_against_the_proof() -> None:
    search = Search(problem(), SolveOptions())
    search.stop = Stop.DONE
    # Two rows may cost 2e-8 together, and these do; the solver's own rounding is 2e-9.
    assert not search.prefer(np.array([1.0 - 3e-8, -1.0]), 0.0) and search.loss == 1.0
    assert search.prefer(np.array([1.0 - 1.5e-8, -1.0]), 0.0)
    fit = search.fit()
    assert fit.status is Status.OPTIMAL and fit.objective > 1e-8 and fit.bound == 0.0
