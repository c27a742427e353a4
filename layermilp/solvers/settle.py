"""Further opinions on a program whose solver contradicted itself: the same solver without the
start and with its `second_options`, then the other ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from layermilp.errors import LayermilpError
from layermilp.program import Limits, Program, Result, Status
from layermilp.solvers.base import Option, Solver, is_refuted


def settled(
    program: Program,
    first: Result,
    solvers: Iterable[Solver],
    limits: Limits,
    options: Mapping[str, Option],
) -> Result:
    """Solve a program again until an answer contradicts neither itself nor any point that is known.

    `first` is the contradiction, of the first of the solvers; the others are asked after it. All
    solves together, the first one included, keep within the time and nodes of the limits.

    Returns
    -------
    Result
        The best point of all solves, with the best bound that no point refutes; the solver is the
        one whose answer settled it, the message says what came before. The status is ERROR if none
        did; if time or nodes ran out, it is that of the limit.
    """
    asked_first, *others = solvers
    limits = asked_first.asked(limits, options)
    known = first
    for solver, own in _turns(program, asked_first, others, options):
        left = _left(limits, known)
        if left is None:
            has_point = known.x is not None
            status = Status.FEASIBLE_AT_LIMIT if has_point else Status.NO_SOLUTION_AT_LIMIT
            return replace(known, status=status, is_contradiction=False)
        known = _joined(known, _asked(solver, replace(program, start=None), left, own), limits)
        if known.status is not Status.ERROR:
            break
    return known


def _turns(
    program: Program, first: Solver, others: Iterable[Solver], options: Mapping[str, Option]
) -> Iterator[tuple[Solver, Mapping[str, Option]]]:
    """Yield who is asked, with which own options: those that are limits are among the limits."""
    if program.is_mip and (program.start is not None or first.second_options):
        own = {name: value for name, value in options.items() if not first.limit_of(name)}
        yield first, {**first.second_options, **own}
    for other in others:
        yield other, {}


def _left(limits: Limits, known: Result) -> Limits | None:
    """Return the limits of the next solve; None if nothing is left."""
    left: dict[str, Any] = {}
    if limits.time_limit is not None:
        left["time_limit"] = limits.time_limit - known.seconds
    if limits.node_limit is not None:
        left["node_limit"] = limits.node_limit - known.nodes
    return None if any(amount <= 0 for amount in left.values()) else replace(limits, **left)


def _asked(
    solver: Solver, program: Program, limits: Limits, options: Mapping[str, Option]
) -> Result:
    """Solve; a solver that does not take the program, or has no licence, has failed."""
    try:
        return solver.solve(program, limits, options)
    except LayermilpError as error:
        return Result(Status.ERROR, solver=solver.name, message=str(error))


def _joined(known: Result, found: Result, limits: Limits) -> Result:
    """Return what two answers say together."""
    seconds, nodes = known.seconds + found.seconds, known.nodes + found.nodes
    message = f"{known.message}; then {found.solver} without a start: {found.message}"
    points = [each for each in (known, found) if each.x is not None]
    if not points or found.status in (Status.UNBOUNDED, Status.INFEASIBLE_OR_UNBOUNDED):
        last = known if found.status is Status.ERROR else found
        return replace(last, seconds=seconds, nodes=nodes, message=message)
    best = min(points, key=lambda each: each.objective)
    bounds = [each.bound for each in (known, found) if not is_refuted(each.bound, best.objective)]
    bound = min(max(bounds, default=-math.inf), best.objective)
    status = limits.proof(best.objective, bound)
    if status is None:
        # An optimum to which a better point is known, no solution where there is one, or a failure.
        status = Status.FEASIBLE_AT_LIMIT if found.status.is_at_limit else Status.ERROR
    is_settled = status is not Status.ERROR
    return replace(
        best,
        status=status,
        bound=bound,
        solver=found.solver if is_settled else known.solver,
        seconds=seconds,
        nodes=nodes,
        message=message,
        is_contradiction=not is_settled,
    )
