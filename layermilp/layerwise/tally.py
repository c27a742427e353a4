"""Counts of what was solved: kept per task, added up per sweep, batch and run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from layermilp.layerwise.solve import Fit
from layermilp.program import Status


@dataclass(frozen=True)
class Tally:
    """How many programs of the method were solved, how they ended, and by whom.

    A program is one weight fit, one output neuron's LP, or the input proposal of one sample. It may take several solver
    calls, or share one with others, or none.

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
