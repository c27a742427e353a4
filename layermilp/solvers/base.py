"""What every solver adapter shares: validation before the solve, the check of the answer after
it."""

from __future__ import annotations

import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from layermilp.errors import LayermilpError, ProgramTooLarge, SolverNotAvailable
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Limits,
    Program,
    Result,
    Status,
    check,
    relative_gap,
)

Option = bool | int | float | str
"""Value of a solver's own option."""

CONTRADICTION = 1e-3
"""How far, relative to the objective, a bound may exceed it by rounding; beyond, the solver
contradicts itself."""

PRIMAL_TOLERANCE = 1e-9
"""Feasibility, dual feasibility and integrality tolerance asked of every solver that takes it."""


def absolute_gap(limits: Limits) -> float:
    """Return the absolute gap to ask of a solver."""
    return max(PRIMAL_TOLERANCE, limits.absolute_gap or 0.0)


@dataclass(frozen=True, eq=False)
class Answer:
    """A solver's claim, before it is checked.

    `status` says why the solver stopped; `x` is its point or None; `bound` is its proven lower
    bound of ``costs . x + offset`` or ``-inf``. An adapter reports OPTIMAL for any end the solver
    calls optimal, and FEASIBLE_AT_LIMIT for any end at a limit: `Solver.solve` tells the finer
    cases apart."""

    status: Status
    x: FloatArray | None = None
    bound: float = -math.inf
    nodes: int = 0
    message: str = ""


class Solver(ABC):
    """A translator between `Program` and one solver.

    A subclass names itself and its modules, says how large a program it takes, and implements
    `_solve`, which only translates. Instances hold no solver objects, so they may cross process
    borders."""

    name: ClassVar[str]
    title: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]

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
            What to solve.
        limits : Limits, optional
            When to stop; by default at the proven optimum.
        options : mapping, optional
            The solver's own options by its own names; they override what layermilp sets.

        Returns
        -------
        Result
            With status, point and objective as recomputed in numpy. A point that violates the
            program by more than `FEASIBILITY_TOLERANCE`, or is none, is not passed on: the status
            is then ERROR and the message says so. It is ERROR too where the solver fails in any way
            that is not known, or claims a bound above its own point.

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
                f"{self.title} takes "
                f"{exceeded}; use solver 'auto' or 'highs', a smaller batch, or a full licence"
            )
        limits = limits or Limits()
        began = time.perf_counter()
        try:
            is_empty = program.n_columns == 0
            answer = (
                _solve_empty(program)
                if is_empty
                else self._solve(program, limits, dict(options or {}))
            )
            return self._checked(program, limits, answer, time.perf_counter() - began)
        except (LayermilpError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # whatever a solver's interface raises, or its answer where that is none
            failed = Answer(
                Status.ERROR, message=f"{self.title} failed: {type(error).__name__}: {error}"
            )
            return self._checked(program, limits, failed, time.perf_counter() - began)

    @abstractmethod
    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        """Translate, solve, translate back."""

    def _checked(self, program: Program, limits: Limits, answer: Answer, seconds: float) -> Result:
        status, x, objective, message = Status(answer.status), answer.x, math.nan, answer.message
        if x is not None:
            x, violation = _repaired(program, x)
            if violation > FEASIBILITY_TOLERANCE:
                status, x, message = (
                    Status.ERROR,
                    None,
                    f"{message}: the answer violates the program by {violation:.2g}",
                )
            else:
                objective = float(program.costs @ x) + program.offset
        has_bound = status in (
            Status.OPTIMAL,
            Status.FEASIBLE_AT_LIMIT,
            Status.NO_SOLUTION_AT_LIMIT,
        )
        bound = answer.bound if has_bound and not math.isnan(answer.bound) else -math.inf
        if x is not None and bound > objective + CONTRADICTION * max(1.0, abs(objective)):
            message = f"{message}: the bound {bound:g} is above the objective {objective:g}"
            status, bound = Status.ERROR, -math.inf
        if x is not None:
            if status is Status.OPTIMAL and not program.is_mip:
                bound = objective
            bound = min(bound, objective)
        return Result(
            status=_refined(status, x is not None, objective, bound, limits),
            x=x,
            objective=objective,
            bound=bound,
            solver=self.name,
            seconds=seconds,
            nodes=answer.nodes,
            message=message,
        )


def _refined(status: Status, has_x: bool, objective: float, bound: float, limits: Limits) -> Status:
    if status is Status.FEASIBLE_AT_LIMIT and not has_x:
        return Status.NO_SOLUTION_AT_LIMIT
    if status is Status.OPTIMAL and not has_x:
        return Status.ERROR
    if status is Status.OPTIMAL:
        # A wide gap may also have been asked for by the solver's own options. Without `gap` the
        # difference is measured against 1 at least, because a proven optimum near zero has a large
        # relative gap.
        asked = limits.gap is not None and relative_gap(objective, bound) > FEASIBILITY_TOLERANCE
        if asked or objective - bound > FEASIBILITY_TOLERANCE * max(1.0, abs(objective)):
            return Status.OPTIMAL_WITHIN_GAP
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
        result = check(program, point)
        violation = max(result.bounds, result.rows, result.integrality)
        if violation <= FEASIBILITY_TOLERANCE:
            break
    return point, violation


def _solve_empty(program: Program) -> Answer:
    """Solve a program without columns, which some solvers refuse."""
    feasible = np.all(program.row_lower <= 0.0) and np.all(program.row_upper >= 0.0)
    if not feasible:
        return Answer(Status.INFEASIBLE)
    return Answer(Status.OPTIMAL, np.zeros(0), program.offset)
