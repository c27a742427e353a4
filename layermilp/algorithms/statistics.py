"""Counts of what was solved: kept per task, added up per phase, sweep, batch and run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from layermilp.algorithms.fit import Fit
from layermilp.errors import SolverError
from layermilp.program import Status

NOTHING = 1e-6
"""Loss below which a program's targets are met at its start: it asks nothing of a solver."""


@dataclass(frozen=True)
class Tally:
    """How many programs of the method were solved, how they ended, and by whom.

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
    def of(cls, fits: Iterable[Fit]) -> Tally:
        """Count fits, one program each."""
        return sum((cls._one(fit) for fit in fits), cls())

    @classmethod
    def _one(cls, fit: Fit) -> Tally:
        return cls(
            programs=1,
            optimal=int(fit.status.is_optimal),
            at_limit=int(fit.status is Status.FEASIBLE_AT_LIMIT),
            failed=int(fit.status is Status.ERROR),
            largest_gap=fit.share_open,
            solver_calls=fit.solver_calls,
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.programs + other.programs,
            self.optimal + other.optimal,
            self.at_limit + other.at_limit,
            self.failed + other.failed,
            max(self.largest_gap, other.largest_gap),
            self.solver_calls + other.solver_calls,
        )


@dataclass(frozen=True)
class Phase:
    """What one layer's programs of one kind took, and how they ended.

    Parameters
    ----------
    layer : int
        From 1, the first block.
    kind : {"weights", "inputs", "post-processing"}
        What the programs looked for.
    seconds : float
        Wall seconds, with all workers. Phases that differ in nothing else are equal.
    programs, optimal, at_limit, failed : int
        As in `Tally`.
    largest_gap : float
        As in `Tally`.
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
    def ended(cls, layer: int, kind: str, began: float, tally: Tally) -> Phase:
        """Return the phase that began at a time of the performance counter and ends now."""
        seconds = time.perf_counter() - began
        return cls(
            layer,
            kind,
            seconds,
            tally.programs,
            tally.optimal,
            tally.at_limit,
            tally.failed,
            tally.largest_gap,
        )


class Ledger:
    """What a sweep has solved so far: in all, by phases, and of the programs that a solver was
    asked for."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.phases: list[Phase] = []
        self.asked = Tally()
        self.message = ""

    def enter_fits(self, layer: int, began: float, fits: Sequence[Fit]) -> None:
        """Enter the weight programs of a layer, begun at a time of the performance counter and
        ended now."""
        self._enter(layer, "weights", began, Tally.of(fits))
        self.asked += Tally.of(
            fit for fit in fits if fit.solver_calls.total() and fit.start_objective > NOTHING
        )
        self.message = self.message or next(
            (fit.message for fit in fits if fit.status is Status.ERROR), ""
        )

    def enter_tallies(self, layer: int, began: float, tallies: Sequence[Tally]) -> None:
        """Enter the input proposals of a layer, counted task by task."""
        self._enter(layer, "inputs", began, sum(tallies, Tally()))
        self.asked += sum((tally for tally in tallies if tally.solver_calls.total()), Tally())

    def _enter(self, layer: int, kind: str, began: float, tally: Tally) -> None:
        self.phases.append(Phase.ended(layer, kind, began, tally))
        self.tally += tally

    def check(self) -> None:
        """Raise `SolverError` if every program failed that a solver was asked for."""
        asked = self.asked
        if asked.programs and asked.failed == asked.programs:
            raise SolverError(
                f"all {asked.programs} programs of a sweep that a solver was asked for failed: "
                f"{self.message}"
            )
