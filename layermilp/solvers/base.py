"""What every solver adapter shares: validation before the solve, the check of the answer after
it."""

from __future__ import annotations

import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from layermilp.errors import LayermilpError, ProgramTooLarge, SolverNotAvailable
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Limits,
    Program,
    Result,
    Status,
    check,
)

Option = bool | int | float | str
"""Value of a solver's own option."""

CONTRADICTION = 1e-3
"""How far, relative to the objective, a bound may exceed it by rounding; beyond, the solver
contradicts itself."""

PRIMAL_TOLERANCE = 1e-9
"""Feasibility, dual feasibility and integrality tolerance asked of every solver that takes it."""

INFINITE = 1e20
"""Least bound of an objective that counts as infinite."""

_WITH_BOUND = (Status.OPTIMAL, Status.FEASIBLE_AT_LIMIT, Status.NO_SOLUTION_AT_LIMIT)
"""Ends of a solve that have a bound."""

_WITH_START = (*_WITH_BOUND, Status.INFEASIBLE)
"""Ends of a solve of which a feasible start says something."""

_RANGES = {
    "gap": (0.0, 1e100),
    "absolute_gap": (0.0, 1e100),
    "time_limit": (1e-6, 1e9),
    "node_limit": (1, 2**31 - 1),
}
"""Least and largest value of every limit that a solver's own options may set."""


def absolute_gap(limits: Limits) -> float:
    """Return the absolute gap to ask of a solver."""
    return max(PRIMAL_TOLERANCE, limits.absolute_gap or 0.0)


@dataclass(frozen=True, eq=False)
class Answer:
    """A solver's claim, before it is checked.

    `status` says why the solver stopped; `x` is its point or None; `bound` is its proven lower
    bound of ``costs . x + offset`` or ``-inf``; `objective` is what it states for its point, or
    ``nan``. An adapter reports OPTIMAL for any end the solver calls optimal, and FEASIBLE_AT_LIMIT
    for any end at a limit: `Solver.solve` tells the finer cases apart."""

    status: Status
    x: FloatArray | None = None
    bound: float = -math.inf
    nodes: int = 0
    message: str = ""
    objective: float = math.nan


class Solver(ABC):
    """A translator between `Program` and one solver.

    A subclass names itself and its modules, says how large a program it takes, and implements
    `_solve`, which only translates. Instances hold no solver objects, so they may cross process
    borders."""

    name: ClassVar[str]
    title: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    limit_options: ClassVar[Mapping[str, str]] = {}
    """Those of its own options, in lower case, that layermilp sets, with the field of `Limits`,
    ``tolerance`` or ``integer_tolerance``; see `settings`."""
    largest_seed: ClassVar[int] = 2**31 - 1
    """Largest seed that it takes; larger ones begin again at 0."""
    second_options: ClassVar[Mapping[str, Option]] = {}
    """Own options with which it is asked again where it contradicted itself."""

    @classmethod
    def is_available(cls) -> bool:
        """Whether the modules are installed; imports nothing and takes no licence."""
        return all(importlib.util.find_spec(module) is not None for module in cls.modules)

    @abstractmethod
    def version(self) -> str:
        """Version of the solver, with its edition where there are several."""

    def size_limit(self, program: Program) -> str | None:
        """Return the limit of the installed edition that the program exceeds, in words; None if it
        fits."""
        return None

    def solve(
        self,
        program: Program,
        limits: Limits | None = None,
        options: Mapping[str, Option] | None = None,
    ) -> Result:
        """Solve a program and check the answer.

        Parameters
        ----------
        program : Program
            The program.
        limits : Limits, optional
            When to stop; by default at the proven optimum.
        options : mapping, optional
            The solver's own options by its own names; they override what layermilp sets.

        Returns
        -------
        Result
            With status, point and objective as recomputed in numpy. A point that violates the
            program by more than `FEASIBILITY_TOLERANCE`, or is none, is not passed on. Where claims
            exclude each other (`Result.is_contradiction`) the status is ERROR and the message says
            why: a solution that is none, an optimum whose bound is further away than the gap that
            was asked for, a bound above a feasible point, no solution though the start is one. It
            is ERROR too where the solver fails in any way that is not known.

        Raises
        ------
        SolverNotAvailable
            If the solver is not installed.
        ProgramTooLarge
            If the program exceeds the installed edition.
        OptionError
            If an option is unknown to the solver or its value is refused.
        """
        if not self.is_available():
            raise SolverNotAvailable(
                f"solver {self.name!r} is not installed (needs {', '.join(self.modules)}); "
                "`layermilp solvers` lists what is there, `--solver auto` takes one that is"
            )
        exceeded = self.size_limit(program)
        if exceeded is not None:
            raise ProgramTooLarge(
                f"{program.name} has {program.n_columns} columns and {program.n_rows} rows, but "
                f"{self.title} takes {exceeded}; use solver 'auto' or 'highs', a smaller batch, or "
                "a full licence"
            )
        limits, options = limits or Limits(), dict(options or {})
        began = time.perf_counter()
        try:
            if program.n_columns:
                answer = self._solve(program, limits, options)
            else:
                answer = _solve_empty(program)
            asked = self.asked(limits, options)
            return self._checked(program, asked, answer, time.perf_counter() - began)
        except (LayermilpError, MemoryError):
            raise
        except Exception as error:
            # Whatever a solver's interface raises, or its answer where that is none.
            message = f"{self.title} failed: {type(error).__name__}: {error}"
            failed = Answer(Status.ERROR, message=message)
            return self._checked(program, limits, failed, time.perf_counter() - began)

    def settings(
        self, program: Program, limits: Limits, options: Mapping[str, Option]
    ) -> Iterator[tuple[str, Option, str]]:
        """Yield what an adapter sets of the solver's own options: name, value, and words for the
        message of a refusal. First come those of `limit_options`, then the caller's."""
        asked: dict[str, Any] = {
            "threads": limits.threads,
            "seed": limits.seed % (self.largest_seed + 1),
            "tolerance": PRIMAL_TOLERANCE,
            "time_limit": limits.time_limit,
        }
        if program.is_mip:
            asked |= {
                "integer_tolerance": PRIMAL_TOLERANCE,
                "absolute_gap": absolute_gap(limits),
                "gap": limits.relative_gap,
                "node_limit": limits.node_limit,
                "objective_target": limits.objective_target,
            }
        for name, field in self.limit_options.items():
            value = asked.get(field)
            if value is not None:
                plain = value.item() if isinstance(value, np.generic) else value
                yield name, plain, f"{field}={plain!r}"
        for name, value in options.items():
            yield name, value, f"the option {name}={value!r}"

    def asked(self, limits: Limits, options: Mapping[str, Option]) -> Limits:
        """Return the limits with those that the solver's own options, which it has taken, set
        instead."""
        values: dict[str, Any] = {}
        for name, value in options.items():
            field = self.limit_of(name)
            if field is not None:
                low, high = _RANGES[field]
                within = type(low)(min(max(float(value), low), high))
                values[field] = max(within, values.get(field, within))
        return replace(limits, **values)

    def limit_of(self, option: str) -> str | None:
        """Return which field of `Limits` one of the solver's own options sets, if it is a gap, time
        or nodes."""
        field = self.limit_options.get(option.lower())
        return field if field in _RANGES else None

    def refuses_size(self, size: int) -> bool:
        """Whether the installed edition refuses a program with so many columns."""
        nothing, zeros, ones = np.zeros(0), np.zeros(size), np.ones(size)
        program = Program(zeros, sparse.csr_array((0, size)), nothing, nothing, zeros, ones)
        try:
            self._solve(program, Limits(), {})
        except ProgramTooLarge:
            return True
        return False

    @abstractmethod
    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        """Translate, solve, translate back."""

    def _checked(self, program: Program, limits: Limits, answer: Answer, seconds: float) -> Result:
        status, own, x, wrong = Status(answer.status), math.nan, None, ""
        if answer.x is not None:
            x, violation = _repaired(program, answer.x)
            if violation > FEASIBILITY_TOLERANCE:
                x, wrong = None, f"the answer violates the program by {violation:.2g}"
            else:
                own = program.objective(x)
        if status in _WITH_START and not wrong:
            x = _better(program, x)
        objective = math.nan if x is None else program.objective(x)
        bound = _bound(program, answer, status, own)
        wrong = wrong or _contradiction(status, limits, answer.objective, own, objective, bound)
        if is_refuted(bound, objective):
            bound = -math.inf
        return Result(
            status=Status.ERROR if wrong else _refined(status, objective, bound, limits),
            x=x,
            objective=objective,
            bound=bound if x is None else min(bound, objective),
            solver=self.name,
            seconds=seconds,
            nodes=answer.nodes,
            message=f"{answer.message}: {wrong}" if wrong else answer.message,
            is_contradiction=bool(wrong),
        )


def is_refuted(bound: float, objective: float) -> bool:
    """Whether a lower bound lies above the objective of a feasible point, by more than rounding;
    ``nan`` is no objective."""
    return bound > objective + CONTRADICTION * max(1.0, abs(objective))


def _better(program: Program, x: FloatArray | None) -> FloatArray | None:
    """Return the program's start where it is feasible, and better than a point by more than
    rounding; else the point."""
    if program.start is None:
        return x
    start, violation = _repaired(program, program.start)
    if violation > FEASIBILITY_TOLERANCE:
        return x
    value = program.objective(start)
    rounding = FEASIBILITY_TOLERANCE * max(1.0, abs(value))
    return start if x is None or program.objective(x) > value + rounding else x


def _bound(program: Program, answer: Answer, status: Status, own: float) -> float:
    """Return the lower bound that a solver proves; where it has solved a linear program, that is
    the objective of its own point."""
    if status not in _WITH_BOUND:
        return -math.inf
    if not program.is_mip:
        return own if status is Status.OPTIMAL and not math.isnan(own) else -math.inf
    # What is not a number is not smaller either.
    return answer.bound if abs(answer.bound) < INFINITE else -math.inf


def _contradiction(
    status: Status, limits: Limits, claimed: float, own: float, objective: float, bound: float
) -> str:
    """Return which claims exclude each other, in words; empty if none do.

    Of the solver's point the objective is `claimed` and, recomputed, `own`; `objective` is that of
    the best feasible point that is known, and `bound` what is claimed to be proven of it."""
    if math.isnan(objective):
        return "there is no point that is optimal" if status is Status.OPTIMAL else ""
    if status is Status.INFEASIBLE:
        return f"the start is feasible with the objective {objective:g}"
    if is_refuted(bound, objective):
        return f"the bound {bound:g} is above the objective {objective:g}"
    if abs(claimed - own) > CONTRADICTION * max(1.0, abs(own)):
        return f"the objective of its point is {own:g}, not {claimed:g}"
    if status is Status.OPTIMAL and limits.proof(objective, bound) is None:
        return f"the objective {objective:g} is called optimal, but the bound is {bound:g}"
    return ""


def _refined(status: Status, objective: float, bound: float, limits: Limits) -> Status:
    if status.is_at_limit:
        has_point = not math.isnan(objective)
        return Status.FEASIBLE_AT_LIMIT if has_point else Status.NO_SOLUTION_AT_LIMIT
    if status is Status.OPTIMAL:
        return limits.proof(objective, bound) or Status.ERROR
    return status


def _repaired(program: Program, x: FloatArray) -> tuple[FloatArray, float]:
    """Round integers and clip to the column bounds where that keeps the rows; return the point and
    its violation."""
    x = np.asarray(x, dtype=np.float64)
    if x.shape != (program.n_columns,):
        return x, math.inf
    tidy = np.where(program.integrality, np.round(x), x)
    tidy = np.clip(tidy, program.col_lower, program.col_upper)
    for point in (tidy, x):
        violation = check(program, point).violation
        if violation <= FEASIBILITY_TOLERANCE:
            break
    return point, violation


def _solve_empty(program: Program) -> Answer:
    """Solve a program without columns, which some solvers refuse."""
    if np.all(program.row_lower <= 0.0) and np.all(program.row_upper >= 0.0):
        return Answer(Status.OPTIMAL, np.zeros(0), program.offset)
    return Answer(Status.INFEASIBLE)
