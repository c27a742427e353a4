"""The frame of every search: its clock, best point and bound, its solver calls, and its status.

Why a search ended (`Stop`) and what its best point is (`Status`) are two things: a search that was
stopped may have found the optimum, and one that has nothing left to try may not have proven it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.statistics import NOT_NEEDED, Statistics
from layermilp.algorithms.tolerances import MET, ROUNDING, TIE_TOLERANCE
from layermilp.formulations.problem import Problem
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Program,
    Result,
    Status,
    relative_gap,
)
from layermilp.solvers import Option, solve

P = TypeVar("P", bound=Problem, covariant=True)


class Stop(enum.Enum):
    """Reason for which a search ended."""

    DONE = "done"
    LIMIT = "limit"
    FAILED = "failed"

    @classmethod
    def of(cls, result: Result) -> Stop:
        """Return why a search ends with the answer of a solver."""
        if result.status in (Status.FEASIBLE_AT_LIMIT, Status.NO_SOLUTION_AT_LIMIT):
            return cls.LIMIT
        return cls.DONE if result.status.is_optimal else cls.FAILED


@dataclass(frozen=True, eq=False)
class Fit:
    """Outcome of a search, with its objective recomputed in numpy.

    Parameters
    ----------
    parameters : (p,) array
        The unknowns; for a neuron the `d` weights, then the bias.
    objective : float
        What was minimized, at `parameters`: the loss, or with a ridge or a proximity the sum of
        losses and prices.
    bound : float
        Proven lower bound of the same over the box.
    status : Status
        OPTIMAL if proven to 1e-6 relative or, in units of the problem, to 1e-9 a row, not counting
        the 1e-8 a row that a tie-break may cost; OPTIMAL_WITHIN_GAP if proven to the gap that was
        asked for, else FEASIBLE_AT_LIMIT; ERROR if the solver failed and the best point known is
        returned.
    start_objective : float
        The same at the start; `objective` exceeds it by rounding at most (1e-9 a row).
    scale : float
        Sum of the targets: the loss of a silent neuron; with prices, its loss by these.
    solver_calls : Counter
        Number of solver calls by solver.
    nodes : int
        Branch-and-bound nodes of all of them.
    kind : str
        What was solved, one of `layermilp.algorithms.statistics.KINDS`.
    message : str
        The solver's words where it failed, never empty then.
    unit : float
        Loss that counts as one: 1 for numbers of usual size, see `layermilp.algorithms.scaling`.
    rounding : float
        Difference of objective and bound that counts as none.
    unanswered : int
        Solver calls that failed.
    """

    parameters: FloatArray
    objective: float
    bound: float
    status: Status
    start_objective: float
    scale: float
    solver_calls: Counter[str]
    nodes: int = 0
    kind: str = NOT_NEEDED
    message: str = ""
    unit: float = 1.0
    rounding: float = ROUNDING
    unanswered: int = 0

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound; 0 where they agree but for rounding."""
        agree = self.objective - self.bound <= self.rounding
        return 0.0 if agree else relative_gap(self.objective / self.unit, self.bound / self.unit)

    @property
    def scaled_gap(self) -> float:
        """Gap relative to the scale, ``(objective - bound) / max(objective, scale)``: how much is
        unproven, measured against what is at stake."""
        gap = self.objective - self.bound
        return 0.0 if gap <= self.rounding else gap / max(self.objective, self.scale)

    @property
    def statistics(self) -> Statistics:
        """The fit as one program."""
        return replace(
            Statistics.of_statuses([self.status]),
            branched=int(self.nodes > 1),
            nodes=self.nodes,
            largest_gap=self.scaled_gap,
            largest_relative_gap=self.gap,
            kinds={self.kind: 1},
            solver_calls=dict(self.solver_calls),
        )

    @property
    def needs_solver(self) -> bool:
        """Whether a solver was asked, and the start did not meet the targets already, or was as
        near to its bound as was asked for when no call was answered."""
        asked = self.solver_calls.total()
        is_met = self.start_objective <= MET * self.unit
        is_near = self.unanswered == asked and self.status is not Status.ERROR
        return asked > 0 and not is_met and not is_near


class Search(Generic[P]):
    """The best point of a problem so far, what is proven of it, and the solver calls, within one
    time limit.

    Parameters
    ----------
    problem : Problem
        What is minimized.
    options : SolveOptions
        How its programs are solved, and when the search may end.
    clock : Budget, optional
        Time of the search. Default: the time limit of the options, from now on.
    rounding : float
        Loss per row within which the search goes on for a better bound, at least 0.
    """

    def __init__(
        self,
        problem: P,
        options: SolveOptions,
        clock: Budget | None = None,
        rounding: float = ROUNDING,
    ) -> None:
        self.problem, self.options, self.rounding = problem, options, rounding
        self.clock = clock or Budget.of(options.limits.time_limit)
        share = options.target_gap * problem.scale
        self.absolute_gap = max(share, options.limits.absolute_gap or 0.0)
        self.theta = problem.start
        self.loss = self.start_loss = problem.loss(problem.start)
        self.bound = self.conceded = 0.0
        self.stop: Stop | None = None
        self.message = ""
        self.solver_calls: Counter[str] = Counter()
        self.unanswered = self.nodes = 0
        self.kind = NOT_NEEDED

    def offer(self, theta: FloatArray) -> float:
        """Take a point, clipped to the box, if its loss is lower; return its loss."""
        theta, loss = self._clipped(theta)
        self.improve(theta, loss)
        return loss

    def improve(self, theta: FloatArray, loss: float) -> bool:
        """Take a point of the box with a known loss if that is lower; return whether it is."""
        is_better = loss < self.loss
        if is_better:
            self.theta, self.loss = theta, loss
        return is_better

    def accept(self, theta: FloatArray, allowed: float) -> bool:
        """Take a point, clipped to the box, if its loss is no more than allowed; return whether it
        was taken."""
        theta, loss = self._clipped(theta)
        if loss <= allowed:
            self.theta, self.loss = theta, loss
        return loss <= allowed

    def prefer(self, theta: FloatArray, loss: float) -> bool:
        """Take a point that is preferred to one with a known loss, if its own is no larger but for
        `TIE_TOLERANCE`, which does not count against the proof; return whether it was taken."""
        is_taken = self.accept(theta, loss + TIE_TOLERANCE * self.problem.n_rows)
        if is_taken:
            self.conceded = max(0.0, self.loss - loss)
        return is_taken

    def _clipped(self, theta: FloatArray) -> tuple[FloatArray, float]:
        """Return a point, clipped to the box, and its loss."""
        theta = np.clip(theta, self.problem.lower, self.problem.upper)
        return theta, self.problem.loss(theta)

    def raise_bound(self, bound: float) -> None:
        """Take a proven lower bound if it is higher."""
        self.bound = max(self.bound, bound)

    def take(self, result: Result) -> None:
        """Take the bound and the solution of a program whose optimum is that of the problem, and
        whose first columns are the unknowns."""
        self.raise_bound(min(result.bound, self.loss if result.x is None else result.objective))
        self.stop, self.message = Stop.of(result), result.message
        if result.x is not None:
            self.offer(result.x[: self.problem.n_unknowns])

    def take_over(self, other: Search[Problem]) -> None:
        """Take the bound of another search for the same optimum, and what it took."""
        self.bound, self.stop, self.message = other.bound, other.stop, other.message
        self.kind = other.kind
        self.count(other)

    def count(self, other: Search[Problem]) -> None:
        """Add the solver calls and nodes of another search."""
        self.solver_calls += other.solver_calls
        self.unanswered += other.unanswered
        self.nodes += other.nodes

    @property
    def asked(self) -> float:
        """Difference from the bound at which the loss counts as solved."""
        return max(self.absolute_gap, self.options.limits.relative_gap * abs(self.loss))

    @property
    def tolerance(self) -> float:
        """Difference from the bound at which the search may end: what is asked, and rounding."""
        return self.asked + self._rounded(self.rounding)

    def _rounded(self, rounding: float) -> float:
        return rounding * max(self.problem.n_rows, abs(self.loss))

    def is_optimal(self) -> bool:
        """Whether the loss equals the bound within what the feasibility tolerance of a solver
        leaves open."""
        return self.loss - self.bound <= self._rounded(ROUNDING)

    def is_done(self, bound: float | None = None) -> bool:
        """Whether the loss is as near to a lower bound, by default that of the search, as was asked
        for, or at its own target."""
        bound = self.bound if bound is None else bound
        return self.loss - bound <= self.tolerance or self.is_at_target

    @property
    def is_at_target(self) -> bool:
        """Whether the loss is at most the objective that was asked for."""
        target = self.options.limits.objective_target
        return target is not None and self.loss <= target

    def solve(
        self,
        program: Program,
        solver: str | None = None,
        defaults: Mapping[str, Option] | None = None,
    ) -> Result:
        """Solve a program within what is left of the time limit, by default with the solver of the
        options; `defaults` are the solver's own options where the search has none for it."""
        options, solver = self.options, solver or self.options.solver
        limits = self.clock.limits(replace(options.limits, absolute_gap=self.absolute_gap))
        # The options' own are those of their solver.
        own = options.options if solver == options.solver else {}
        result = solve(program, solver, limits, own or defaults)
        self.solver_calls[result.solver] += 1
        self.unanswered += result.status is Status.ERROR
        self.nodes += result.nodes
        return result

    def fit(self) -> Fit:
        """Return what was found."""
        stop = Stop.LIMIT if self.is_at_target else self.stop
        rounding = self._rounded(ROUNDING)
        status = status_of(self.loss - self.conceded, self.bound, self.asked, rounding, stop)
        return Fit(
            parameters=self.theta,
            objective=self.loss,
            bound=min(self.bound, self.loss),
            status=status,
            start_objective=self.start_loss,
            scale=self.problem.scale,
            solver_calls=self.solver_calls,
            nodes=self.nodes,
            kind=self.kind,
            message=self._failure() if status is Status.ERROR else "",
            rounding=rounding + self.conceded,
            unanswered=self.unanswered,
        )

    def _failure(self) -> str:
        """Return why the best point counts as failed."""
        found = (
            f"the objective {self.loss:g} is not proven, only that it is at least {self.bound:g}"
        )
        return f"{self.message}: {found}" if self.message else found


def status_of(
    loss: float, bound: float, asked: float, rounding: float, stop: Stop | None
) -> Status:
    """Return the status of the best point of a search, by its loss, the proven lower bound, the
    differences of these that count as solved and as none, and why the search ended."""
    if loss - bound <= rounding or relative_gap(loss, bound) <= FEASIBILITY_TOLERANCE:
        return Status.OPTIMAL
    if loss - bound <= asked + rounding:
        return Status.OPTIMAL_WITHIN_GAP
    return Status.FEASIBLE_AT_LIMIT if stop is Stop.LIMIT else Status.ERROR
