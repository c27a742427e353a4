"""Solvers that contradict themselves, and what is made of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest

from layermilp import solvers
from layermilp.errors import SolverNotAvailable
from layermilp.program import Limits, Program, Result, Status
from layermilp.solvers import SOLVERS, Answer, Option, Solver
from layermilp.solvers.settle import settled
from tests.conformance.problems import box, knapsack, missing

Reply = Callable[[Program], Answer]
# The optimum is 3, at (3, 0); the start has 8.
PROGRAM = box(
    "scripted", [1, 2], [([1, 1], 3, np.inf)], [(0, 9), (0, 9)], [0, 1], start=np.array([2.0, 3.0])
)
BEST, WORSE = np.array([3.0, 0.0]), np.array([0.0, 3.0])


def right(program: Program) -> Answer:
    """Answer with the optimum."""
    return Answer(Status.OPTIMAL, BEST, 3.0)


def start_if_any(program: Program) -> Answer:
    """Answer with the start, if there is one, as the optimum."""
    return right(program) if program.start is None else Answer(Status.OPTIMAL, program.start, 3.0)


def worse(program: Program) -> Answer:
    """Answer with a point that is not the optimum, and a bound below that."""
    return Answer(Status.OPTIMAL, WORSE, 2.0)


def infeasible(program: Program) -> Answer:
    """Answer that there is no point."""
    return Answer(Status.INFEASIBLE)


def too_high(program: Program) -> Answer:
    """Answer with a bound that no point reaches."""
    return Answer(Status.OPTIMAL, WORSE, 7.0)


def pointless(program: Program) -> Answer:
    """Answer that there is an optimum, without a point."""
    return Answer(Status.OPTIMAL, None, 2.0)


def outside(program: Program) -> Answer:
    """Answer with a point that violates the program."""
    return Answer(Status.OPTIMAL, np.zeros(2), 0.0)


def out_of_time(program: Program) -> Answer:
    """Answer that there was no time to find a point."""
    return Answer(Status.FEASIBLE_AT_LIMIT, None, 2.5, nodes=3)


def unbounded(program: Program) -> Answer:
    """Answer that costs fall for ever."""
    return Answer(Status.UNBOUNDED)


def expired(program: Program) -> Answer:
    """Have no licence."""
    raise SolverNotAvailable("License expired")


def broken(program: Program) -> Answer:
    """Fail."""
    raise RuntimeError("out of luck")


@dataclass
class Scripted(Solver):
    """A solver that does as it is told, and keeps what it was asked for."""

    reply: Reply
    name: str = "scripted"  # type: ignore[misc]
    asked_for: list[tuple[Program, Limits, dict[str, Option]]] = field(default_factory=list)
    title: ClassVar[str] = "Scripted"
    modules: ClassVar[tuple[str, ...]] = ()
    limit_options: ClassVar[Mapping[str, str]] = {"own_gap": "gap", "own_time": "time_limit"}

    def version(self) -> str:
        return "0"

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        self.asked_for.append((program, limits, options))
        return self.reply(program)


@pytest.fixture
def install() -> Iterator[Callable[..., list[Scripted]]]:
    """Return a function that makes scripted solvers the only ones, named a, b, ..."""
    kept = dict(SOLVERS)

    def only(*replies: Reply) -> list[Scripted]:
        those = [Scripted(reply, name) for reply, name in zip(replies, "abcd", strict=False)]
        SOLVERS.clear()
        SOLVERS.update({solver.name: solver for solver in those})
        return those

    yield only
    # In their order, which says whom `auto` prefers.
    SOLVERS.clear()
    SOLVERS.update(kept)


Install = Callable[..., list[Scripted]]


def test_a_start_called_optimal_is_solved_again_without_it(install: Install) -> None:
    a, b = install(start_if_any, broken)
    result = solvers.solve(PROGRAM)
    assert result.status is Status.OPTIMAL and result.objective == result.bound == 3.0
    assert result.solver == "a" and len(a.asked_for) == 2 and not b.asked_for
    assert a.asked_for[1][0].start is None
    for words in ("the objective 8 is called optimal, but the bound is 3", "a without a start"):
        assert words in result.message


@pytest.mark.parametrize("reply", [worse, infeasible, too_high, pointless, outside])
def test_what_one_solver_contradicts_another_answers(install: Install, reply: Reply) -> None:
    install(reply, expired, broken, right)
    result = solvers.solve(PROGRAM)
    assert result.status is Status.OPTIMAL and result.objective == result.bound == 3.0
    assert result.solver == "d" and result.x is not None
    np.testing.assert_array_equal(result.x, BEST)
    for words in ("License expired", "out of luck"):
        assert words in result.message


def test_a_solver_may_be_asked_again_with_other_options(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is no start to leave out; the caller's options go before."""
    monkeypatch.setattr(Scripted, "second_options", {"a": 1, "b": 2})
    (a,) = install(worse)
    solvers.solve(replace(PROGRAM, start=None), options={"b": 3, "own_gap": 0.1})
    assert [options for *_, options in a.asked_for] == [{"b": 3, "own_gap": 0.1}, {"a": 1, "b": 3}]
    assert a.asked_for[1][1] == Limits(gap=0.1)


def test_an_answer_that_holds_is_not_asked_for_again(install: Install) -> None:
    a, b = install(right, right)
    assert solvers.solve(PROGRAM).solver == "a"
    assert len(a.asked_for) == 1 and not b.asked_for


@pytest.mark.parametrize("reply", [broken, expired])
def test_a_failure_is_no_contradiction(install: Install, reply: Reply) -> None:
    _, b = install(reply, right)
    if reply is broken:
        result = solvers.solve(PROGRAM)
        assert result.status is Status.ERROR and result.x is None
    else:
        with pytest.raises(SolverNotAvailable):
            solvers.solve(PROGRAM)
    assert not b.asked_for


@pytest.mark.parametrize("others", [[worse], [worse, broken], [infeasible, worse], [too_high]])
def test_where_all_contradict_nothing_is_optimal(install: Install, others: list[Reply]) -> None:
    install(start_if_any, *others)
    # Also without the start the first one is wrong.
    SOLVERS["a"].reply = lambda program: Answer(  # type: ignore[attr-defined]
        Status.OPTIMAL, PROGRAM.start, 1.0
    )
    result = solvers.solve(PROGRAM)
    assert result.status is Status.ERROR and result.solver == "a"
    # The best point and the best bound of all that no point refutes.
    found = infeasible not in others or len(others) > 1
    assert result.objective == (6.0 if found else 8.0)
    assert result.bound == (1.0 if others == [too_high] else 2.0)


def test_claims_that_meet_settle_it(install: Install) -> None:
    """The bound of one solver is the objective of the other, who could not prove it."""
    install(start_if_any, lambda program: Answer(Status.FEASIBLE_AT_LIMIT, BEST, 0.0))
    SOLVERS["a"].reply = lambda program: Answer(  # type: ignore[attr-defined]
        Status.OPTIMAL, PROGRAM.start, 3.0
    )
    result = solvers.solve(PROGRAM)
    assert result.status is Status.OPTIMAL and result.objective == 3.0 and result.solver == "b"


def test_a_bound_that_a_later_point_refutes_is_dropped(install: Install) -> None:
    install(lambda program: Answer(Status.OPTIMAL, WORSE, 4.0), out_of_time, right)
    result = solvers.solve(replace(PROGRAM, start=None))
    assert result.status is Status.FEASIBLE_AT_LIMIT
    assert (result.objective, result.bound) == (6.0, 4.0)
    install(lambda program: Answer(Status.OPTIMAL, WORSE, 4.0), right)
    result = solvers.solve(replace(PROGRAM, start=None))
    assert result.status is Status.OPTIMAL and result.bound == 3.0


def test_at_a_limit_the_best_point_and_the_best_bound_are_kept(install: Install) -> None:
    install(worse, out_of_time)
    result = solvers.solve(replace(PROGRAM, start=None))
    assert result.status is Status.FEASIBLE_AT_LIMIT and result.solver == "b"
    assert (result.objective, result.bound, result.nodes) == (6.0, 2.5, 3)


@pytest.mark.parametrize("first", [pointless, outside])
@pytest.mark.parametrize(
    ("others", "status"),
    [
        ([infeasible], Status.INFEASIBLE),
        ([out_of_time], Status.NO_SOLUTION_AT_LIMIT),
        ([broken, right], Status.OPTIMAL),
        ([broken, outside], Status.ERROR),
    ],
)
def test_where_no_point_is_known_the_next_answer_counts(
    install: Install, first: Reply, others: list[Reply], status: Status
) -> None:
    install(first, *others)
    result = solvers.solve(replace(PROGRAM, start=None))
    assert result.status is status and (result.x is not None) == (status is Status.OPTIMAL)
    assert result.is_contradiction == (status is Status.ERROR)


def test_an_unbounded_program_is_told(install: Install) -> None:
    install(infeasible, unbounded)
    result = solvers.solve(PROGRAM)
    assert result.status is Status.UNBOUNDED and result.x is None
    assert math.isnan(result.objective) and result.bound == -math.inf


def test_no_solution_is_no_contradiction_without_a_feasible_start(install: Install) -> None:
    for start in (None, np.array([0.0, 1.0]), np.array([0.5, 2.0])):
        _, b = install(infeasible, right)
        assert solvers.solve(replace(PROGRAM, start=start)).status is Status.INFEASIBLE
        assert not b.asked_for


def test_a_feasible_start_is_the_least_that_is_found(install: Install) -> None:
    install(out_of_time)
    result = solvers.solve(PROGRAM)
    assert result.status is Status.FEASIBLE_AT_LIMIT and (result.objective, result.bound) == (
        8,
        2.5,
    )
    install(lambda program: Answer(Status.FEASIBLE_AT_LIMIT, np.array([9.0, 9.0]), 2.5))
    assert solvers.solve(PROGRAM).objective == 8.0


def test_a_point_that_is_not_what_its_solver_says_is_a_contradiction(install: Install) -> None:
    """Also at a limit, where nobody calls it optimal."""
    install(
        lambda program: Answer(Status.FEASIBLE_AT_LIMIT, WORSE, 1.0, objective=3.0),
        right,
    )
    result = solvers.solve(PROGRAM, limits=Limits(objective_target=3.0))
    assert result.status is Status.OPTIMAL and result.solver == "b"
    assert "the objective of its point is 6, not 3" in result.message


@pytest.mark.parametrize(
    ("limits", "options", "status"),
    [
        (Limits(), {}, Status.ERROR),
        (Limits(gap=0.6), {}, Status.ERROR),
        (Limits(gap=0.7), {}, Status.OPTIMAL_WITHIN_GAP),
        (Limits(absolute_gap=3.9), {}, Status.ERROR),
        (Limits(absolute_gap=4.0), {}, Status.OPTIMAL_WITHIN_GAP),
        (Limits(), {"own_gap": 0.7}, Status.OPTIMAL_WITHIN_GAP),
        (Limits(), {"OWN_GAP": "0.7"}, Status.OPTIMAL_WITHIN_GAP),
        (Limits(gap=0.7), {"own_gap": 0.6}, Status.ERROR),
        (Limits(), {"own_gap": math.inf}, Status.OPTIMAL_WITHIN_GAP),
        (Limits(), {"other": 0.7}, Status.ERROR),
    ],
)
def test_an_answer_is_optimal_within_the_gap_that_was_asked_for(
    limits: Limits, options: dict[str, Option], status: Status
) -> None:
    """It is 4 above its bound of 2."""
    result = Scripted(worse).solve(replace(PROGRAM, start=None), limits, options)
    assert result.status is status and (result.objective, result.bound) == (6.0, 2.0)


def _settled(first: Result, second: Scripted, limits: Limits, **options: Option) -> Result:
    return settled(PROGRAM, first, [second], limits, options)


def test_the_next_solves_get_what_is_left_of_the_limits() -> None:
    first = Result(Status.ERROR, PROGRAM.start, 8.0, 1.0, "scripted", seconds=4.0, nodes=7)
    again = Scripted(right)
    result = _settled(first, again, Limits(time_limit=10.0, node_limit=9, seed=3), own_gap=0.0)
    assert result.status is Status.OPTIMAL and result.nodes == 7 and result.seconds >= 4.0
    ((program, limits, options),) = again.asked_for
    assert program.start is None and options == {}
    assert limits == Limits(time_limit=6.0, node_limit=2, seed=3, gap=0.0)
    again = Scripted(right)
    _settled(first, again, Limits(time_limit=99.0), own_time=5.0, other=1)
    assert again.asked_for[0][1].time_limit == 1.0 and again.asked_for[0][2] == {"other": 1}


@pytest.mark.parametrize("limits", [Limits(time_limit=4.0), Limits(node_limit=7)], ids=repr)
def test_with_nothing_left_it_is_feasible_at_the_limit(limits: Limits) -> None:
    first = Result(Status.ERROR, PROGRAM.start, 8.0, 1.0, "scripted", seconds=4.0, nodes=7)
    again = Scripted(right)
    result = _settled(first, again, limits)
    assert result.status is Status.FEASIBLE_AT_LIMIT and not again.asked_for
    assert (result.objective, result.bound) == (8.0, 1.0)
    result = _settled(replace(first, x=None, objective=math.nan), again, limits)
    assert result.status is Status.NO_SOLUTION_AT_LIMIT and not again.asked_for


OWN_LIMITS = [
    ("cplex", "mip.tolerances.absmipgap", "absolute_gap"),
    ("cplex", "timelimit", "time_limit"),
    ("cplex", "mip.limits.nodes", "node_limit"),
    ("highs", "mip_abs_gap", "absolute_gap"),
    ("highs", "time_limit", "time_limit"),
    ("highs", "mip_max_nodes", "node_limit"),
    ("cbc", "allow", "absolute_gap"),
    ("cbc", "RatioG", "gap"),
    ("cbc", "sec", "time_limit"),
    ("cbc", "maxNodes", "node_limit"),
    ("gurobi", "MIPGapAbs", "absolute_gap"),
    ("gurobi", "mipgap", "gap"),
    ("gurobi", "TimeLimit", "time_limit"),
    ("gurobi", "NodeLimit", "node_limit"),
]


@pytest.mark.parametrize(("name", "option", "limit"), OWN_LIMITS)
def test_own_options_that_are_limits_are_known(name: str, option: str, limit: str) -> None:
    """A gap asked for that way is no contradiction, and the solver knows the option."""
    why = missing(name)
    if why is not None:
        pytest.skip(why)
    solver = SOLVERS[name]
    assert solver.limit_of(option) == limit and solver.limit_of("x" + option) is None
    value = 0.5 if limit == "gap" else 5
    result = solver.solve(knapsack(), options={option: value})
    assert result.status is not Status.ERROR, result
    found = getattr(solver.asked(Limits(), {option: value}), limit)
    assert found == (1.0 if (name, limit) == ("cbc", "gap") else value)
