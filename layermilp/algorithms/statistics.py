"""Counts of what was solved: kept per task, added up per phase, sweep, batch and run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from layermilp.errors import SolverError
from layermilp.program import Status


@dataclass(frozen=True)
class Statistics:
    """Counts of programs of the method: solved, by how they ended, and by solver.

    A program is one weight fit, one output neuron's LP, or the input proposal of one sample. It may
    take several solver calls, or share one with others, or none.

    Parameters
    ----------
    programs : int
        Programs solved.
    optimal : int
        Of these, proven optimal, or as near to the bound as was asked for.
    at_limit : int
        Of these, stopped at a limit with the best point found.
    failed : int
        Of these, given up by the solver; the best point known was used.
    largest_gap : float
        Largest ``(objective - bound) / max(objective, sum of the targets)`` of any program.
    solver_calls : Counter
        Solver calls by solver.
    """

    programs: int = 0
    optimal: int = 0
    at_limit: int = 0
    failed: int = 0
    largest_gap: float = 0.0
    solver_calls: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of_statuses(
        cls, statuses: Sequence[Status], largest_gap: float, solver_calls: Counter[str]
    ) -> Statistics:
        """Count one program for each status of a search."""
        n, at_limit = len(statuses), statuses.count(Status.FEASIBLE_AT_LIMIT)
        failed = statuses.count(Status.ERROR)
        return cls(n, n - at_limit - failed, at_limit, failed, largest_gap, solver_calls)

    @classmethod
    def of(cls, answers: Iterable[Answered]) -> Statistics:
        """Return the sum over answers."""
        return sum((answer.statistics for answer in answers), cls())

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.programs + other.programs,
            self.optimal + other.optimal,
            self.at_limit + other.at_limit,
            self.failed + other.failed,
            max(self.largest_gap, other.largest_gap),
            self.solver_calls + other.solver_calls,
        )


class Answered(Protocol):
    """An answer to a task, of one program or several."""

    @property
    def statistics(self) -> Statistics:
        """Counts of the programs."""

    @property
    def needs_solver(self) -> bool:
        """Whether something was asked of a solver that the start did not meet already."""

    @property
    def message(self) -> str:
        """The solver's words where it failed, else nothing."""


@dataclass(frozen=True)
class Phase:
    """Seconds and counts of one layer's programs of one kind.

    Parameters
    ----------
    layer : int
        From 1, the first block.
    kind : {"weights", "inputs", "post-processing"}
        Unknowns of the programs.
    seconds : float
        Wall seconds, with all workers. Phases that differ in nothing else are equal.
    programs, optimal, at_limit, failed, largest_gap
        As in `Statistics`.
    """

    layer: int
    kind: str
    seconds: float = field(compare=False)
    programs: int
    optimal: int
    at_limit: int
    failed: int
    largest_gap: float

    @classmethod
    def ended(cls, layer: int, kind: str, began: float, found: Statistics) -> Phase:
        """Return the phase that began at a time of the performance counter and ends now."""
        seconds = time.perf_counter() - began
        counts = found.programs, found.optimal, found.at_limit, found.failed
        return cls(layer, kind, seconds, *counts, found.largest_gap)


class SweepStatistics:
    """Counts of a sweep so far: in all, by phases, and of the programs that a solver was asked
    for."""

    def __init__(self) -> None:
        self.total = self.asked = Statistics()
        self.phases: list[Phase] = []
        self.message = ""

    def enter(self, layer: int, kind: str, began: float, answers: Sequence[Answered]) -> None:
        """Enter a phase that began at a time of the performance counter and ends now."""
        found = Statistics.of(answers)
        self.phases.append(Phase.ended(layer, kind, began, found))
        self.total += found
        self.asked += Statistics.of(answer for answer in answers if answer.needs_solver)
        self.message = self.message or next(filter(None, (each.message for each in answers)), "")

    def check(self) -> None:
        """Raise `SolverError` if every program failed that a solver was asked for."""
        asked = self.asked
        if asked.programs and asked.failed == asked.programs:
            raise SolverError(
                f"all {asked.programs} programs of a sweep that a solver was asked for failed: "
                f"{self.message}"
            )
