"""Counts of what was solved: kept per task, added up per phase, sweep, batch and run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol

from layermilp.errors import SolverError
from layermilp.program import Status

NOT_NEEDED = "not_needed"
"""Kind of a program whose present point is its optimum already."""

KINDS = ("milp", "lp", "qp", "closed_form", NOT_NEEDED)
"""What a program was when it was solved."""

OWN = "layermilp"
"""Name under which the library's own algorithms are counted among the solvers: branch and bound and
interior points."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Counts of programs of the method: solved, by what they were, how they ended, and by solver.

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
    branched : int
        Of these, searched in more than one branch-and-bound node.
    nodes : int
        Branch-and-bound nodes of all.
    largest_gap : float
        Largest ``(objective - bound) / max(objective, sum of the targets)`` of any program.
    largest_relative_gap : float
        Largest ``(objective - bound) / objective`` of any program, as solvers have it.
    kinds : dict
        Programs by kind, one of `KINDS`: mixed-integer, linear, or convex quadratic programs, those
        with a solution in closed form, and those that needed none.
    solver_calls : dict
        Calls by solver; `OWN` is the library itself, whose branch and bound calls HiGHS in turn.
    """

    programs: int = 0
    optimal: int = 0
    at_limit: int = 0
    failed: int = 0
    branched: int = 0
    nodes: int = 0
    largest_gap: float = 0.0
    largest_relative_gap: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    solver_calls: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_statuses(cls, statuses: Sequence[Status]) -> Statistics:
        """Count one program for each status of a search."""
        n, at_limit = len(statuses), statuses.count(Status.FEASIBLE_AT_LIMIT)
        failed = statuses.count(Status.ERROR)
        return cls(programs=n, optimal=n - at_limit - failed, at_limit=at_limit, failed=failed)

    @classmethod
    def of(cls, answers: Iterable[Answered]) -> Statistics:
        """Return the sum over answers."""
        return sum((answer.statistics for answer in answers), cls())

    def __add__(self, other: Statistics) -> Statistics:
        joined: dict[str, Any] = {}
        for name in (each.name for each in fields(Statistics)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                joined[name] = dict(Counter(mine) + Counter(theirs))
            else:
                joined[name] = max(mine, theirs) if name.startswith("largest") else mine + theirs
        return Statistics(**joined)


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


@dataclass(frozen=True, kw_only=True)
class Phase(Statistics):
    """Seconds and counts of one layer's programs of one kind.

    Parameters
    ----------
    layer : int
        From 1, the first block.
    kind : {"weights", "inputs", "post-processing"}
        Unknowns of the programs.
    purpose : str
        The same, with the last layer told from hidden ones: one of `PURPOSES`.
    seconds : float
        Wall seconds, with all workers. Phases that differ in nothing else are equal.
    """

    layer: int
    kind: str
    purpose: str
    seconds: float = field(compare=False)

    @classmethod
    def ended(cls, layer: int, kind: str, is_last: bool, began: float, found: Statistics) -> Phase:
        """Return the phase that began at a time of the performance counter and ends now."""
        seconds, purpose = time.perf_counter() - began, _PURPOSES[kind, is_last]
        return cls(layer=layer, kind=kind, purpose=purpose, seconds=seconds, **vars(found))


_PURPOSES = {
    ("weights", False): "hidden weights",
    ("weights", True): "last layer",
    ("inputs", False): "hidden inputs",
    ("inputs", True): "last inputs",
    ("post-processing", True): "post-processing",
}

PURPOSES = tuple(_PURPOSES.values())
"""What programs are for: weights of hidden layers and of the last one, input proposals of hidden
layers and of the last one, and the last layer's weights on the full data set."""


@dataclass(frozen=True)
class Tally:
    """Counts of a run so far.

    Parameters
    ----------
    purposes : mapping
        Counts by what the programs are for, one of `PURPOSES`.
    """

    purposes: Mapping[str, Statistics] = field(default_factory=dict)

    @cached_property
    def total(self) -> Statistics:
        """Counts of all programs."""
        return sum(self.purposes.values(), Statistics())

    def with_phases(self, phases: Iterable[Phase]) -> Tally:
        """Return the tally with further phases."""
        return sum((Tally({phase.purpose: phase}) for phase in phases), self)

    def __add__(self, other: Tally) -> Tally:
        both, none = (self.purposes, other.purposes), Statistics()
        return Tally(
            {
                name: sum((each.get(name, none) for each in both), none)
                for name in PURPOSES
                if any(name in each for each in both)
            }
        )


class SweepStatistics:
    """Counts of a sweep so far: in all, by phases, and of the programs that a solver was asked
    for."""

    def __init__(self) -> None:
        self.total = self.asked = Statistics()
        self.phases: list[Phase] = []
        self.message = ""

    def enter(
        self, layer: int, kind: str, is_last: bool, began: float, answers: Sequence[Answered]
    ) -> None:
        """Enter a phase that began at a time of the performance counter and ends now."""
        found = Statistics.of(answers)
        self.phases.append(Phase.ended(layer, kind, is_last, began, found))
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
