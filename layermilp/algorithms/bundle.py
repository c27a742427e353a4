"""Minimizing a convex piecewise linear sum over many rows, without one LP that has a constraint for
every piece.

Where rows have many pieces, as with the margin, interior points (`interior`) do it; where they have
few, a bundle method that tells some rows apart. Its model of the sum keeps, row by row, some
hundred or thousand pieces: those nearest to being the largest of their rows. All other rows enter
together, by one linear function (cut) for every point that was evaluated, in which each row is its
largest piece there (Kelley 1960). Both underestimate, so the optimum of the model over the box is a
proven lower bound. The model is minimized in a trust region around the best point (the boxstep
method, Marsten, Hogan and Blankenship 1975), because far from the points evaluated it says little.
The search ends when the best point is as good as the bound, which then holds for all rows and
pieces."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from layermilp.algorithms.fit import TIGHT, Fit
from layermilp.algorithms.interior_point import Bracket, interior_point
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.restricted_master import Cut, dual_program, recover, restricted_master
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    BoolArray,
    FloatArray,
    Limits,
    Program,
    Result,
    Status,
)
from layermilp.solvers import Option, fitting, solve

STRIDES = (36, 6)
"""The search begins on every 36th row, goes on with every 6th, and ends with all."""

COARSE_GAP = 1e-3
"""Relative gap at which a part of the rows has served its purpose."""

AT_LIMIT = (Status.FEASIBLE_AT_LIMIT, Status.NO_SOLUTION_AT_LIMIT)
"""Ends of a solve that are no failures."""

MIN_RADIUS = 1e-5
"""The trust region does not shrink below: there the rounding of a solver would show."""

LINE_STEPS = 10
"""Bisections of a line search."""

MAX_ROUNDS = 500
"""Largest number of working programs on one part; the best point and the bound are returned
then."""


ROUNDING = 1e-10
"""Loss per row within which interior points settle; the bundle method's solver leaves `TIGHT`
open."""


@dataclass(frozen=True)
class Goal:
    """When a search may end: at a difference from the bound of a share of the loss, or of an
    absolute amount."""

    gap: float
    absolute: float

    @classmethod
    def of(cls, problem: PiecewiseLinear, setup: SolveOptions, rounding: float) -> Goal:
        """Return what a setup asks for; what is left open by rounding, per row, is none of it."""
        asked = max(setup.target_gap * problem.scale, setup.limits.absolute_gap or 0.0)
        return cls(setup.limits.relative_gap, max(asked, rounding * problem.n_rows))

    def tolerance(self, loss: float) -> float:
        """Return the difference from the bound at which a loss suffices."""
        return max(self.gap * abs(loss), self.absolute)

    def is_met(self, best: Bracket) -> bool:
        """Whether the loss is as near to the bound."""
        return best.loss - best.bound <= self.tolerance(best.loss)


@dataclass(eq=False)
class _Budget:
    """Solver calls within one time limit."""

    setup: SolveOptions
    counter: Counter[str] = field(default_factory=Counter)
    message: str = ""

    def __post_init__(self) -> None:
        seconds = self.setup.limits.time_limit
        self.ends = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def expired(self) -> bool:
        """Whether the time limit is over."""
        return time.perf_counter() >= self.ends

    def solve(self, program: Program) -> Result:
        """Solve a working program in the time that is left.

        Measured with HiGHS: the dual of a program whose rows have two pieces each is solved by the
        simplex method 4 to 8 times faster than the program."""
        limits = self.setup.limits
        if limits.time_limit is not None:
            limits = replace(limits, time_limit=max(self.ends - time.perf_counter(), 0.01))
        result = self._by_dual(program, limits)
        if result is None:
            result = self._called(program, limits, {"solver": "ipx"})
        if result.status is Status.ERROR:
            result = self._called(program, limits, {"solver": "simplex"})
        self.message = result.message
        return result

    def _by_dual(self, program: Program, limits: Limits) -> Result | None:
        """Solve a working program by its dual; None if its vertex does not determine the point, or
        it was not solved."""
        result = self._called(dual_program(program), limits, {})
        if result.x is None or result.status is not Status.OPTIMAL:
            return None
        x, bound = recover(program, result.x), -result.objective
        if float(program.costs @ x) + program.offset - bound > TIGHT * max(1.0, abs(bound)):
            return None
        return replace(result, x=x, objective=bound, bound=bound)

    def _called(self, program: Program, limits: Limits, for_highs: dict[str, Option]) -> Result:
        # Working programs are a means to the optimum; they may have more constraints than the
        # edition of a named solver takes.
        solver = fitting(program, self.setup.solver)
        options = self.setup.options if solver == self.setup.solver else {}
        result = solve(program, solver, limits, options or (for_highs if solver == "highs" else {}))
        self.counter[result.solver] += 1
        return result


class _Search:
    """The best point so far, the bound, and the model: kept pieces, cuts and the radius of the
    trust region."""

    def __init__(self, problem: PiecewiseLinear, theta: FloatArray, radius: float) -> None:
        self.problem, self.theta, self.radius = problem, theta, radius
        self.values = problem.values(theta)
        self.loss = problem.total(self.values)
        self.cuts = [Cut.of(problem, self.values.argmax(axis=1))]
        self.bound = max(0.0, self.cuts[0].minimum(problem.lower, problem.upper))
        self.size = max(500, 5 * problem.n_unknowns)
        self.kept = nearest_pieces(self.values, self.size)

    @property
    def best(self) -> Bracket:
        """The best point and the bound."""
        return Bracket(self.theta, self.loss, self.bound)

    def run(self, budget: _Budget, goal: Goal) -> bool:
        """Search until the goal is met, or the time is over; return whether no solver failed."""
        for _ in range(MAX_ROUNDS):
            if goal.is_met(self.best) or budget.expired:
                return True
            lower = np.maximum(self.problem.lower, self.theta - self.radius)
            upper = np.minimum(self.problem.upper, self.theta + self.radius)
            result = budget.solve(self._program(lower, upper))
            if result.x is None or not result.status.is_optimal:
                return result.status in AT_LIMIT
            point = np.clip(result.x[: self.problem.n_unknowns], lower, upper)
            self._take(
                point,
                result.objective,
                self._is_global(point, lower, upper),
                goal.tolerance(self.loss),
            )
        return True

    def _program(self, lower: FloatArray, upper: FloatArray) -> Program:
        return restricted_master(self.problem, self.kept, self.cuts, lower, upper)

    def _is_global(self, point: FloatArray, lower: FloatArray, upper: FloatArray) -> bool:
        """Whether the trust region does not bind at an optimum of the model, which then is one over
        the whole box."""
        slack = TIGHT * max(1.0, self.radius if math.isfinite(self.radius) else 1.0)
        at_lower = (point <= lower + slack) & (lower > self.problem.lower)
        at_upper = (point >= upper - slack) & (upper < self.problem.upper)
        return not np.any(at_lower | at_upper)

    def _take(self, point: FloatArray, model: float, is_global: bool, tolerance: float) -> None:
        """Use the optimum of the model: its bound, its point, and the best point on the way
        there."""
        self._bound(model, is_global)
        values, predicted, before = self.problem.values(point), self.loss - model, self.loss
        reached = float(np.abs(point - self.theta).max(initial=0.0))
        missing = self._missing(values)
        self._cut(values)
        gain = before - self.problem.total(values)
        share = 1.0
        if gain < 0.5 * predicted:
            share = self._line_search(values)
            point = np.clip(
                self.theta + share * (point - self.theta), self.problem.lower, self.problem.upper
            )
            values = self.problem.values(point)
        loss = self.problem.total(values)
        if loss < self.loss:
            self.theta, self.values, self.loss = point, values, loss
            if share < 1.0:
                self._cut(values)
        self.radius = self._next_radius(
            reached, share, gain, predicted, not is_global and predicted <= 0.5 * tolerance
        )
        self._renew(missing)

    def _bound(self, model: float, is_global: bool) -> None:
        """Raise the bound: to the model's optimum over the box, or to what its optimum in the trust
        region implies.

        A convex function that is at most `f` at the centre and nowhere below ``f - e`` within the
        radius is nowhere below ``f - e D / radius`` within the distance `D` of the centre. What
        rounding leaves of `e` is added to it."""
        if is_global:
            self.bound = max(self.bound, model)
        else:
            distance = float(
                np.maximum(self.problem.upper - self.theta, self.theta - self.problem.lower).max()
            )
            decrease = max(self.loss - model, 0.0) + TIGHT * max(1.0, abs(self.loss))
            self.bound = max(self.bound, self.loss - decrease * max(1.0, distance / self.radius))

    def _next_radius(
        self, reached: float, share: float, gain: float, predicted: float, is_stuck: bool
    ) -> float:
        """Radius for the next round: larger where the model proved right or too small a step is
        useless, else smaller."""
        if is_stuck:
            return 30.0 * self.radius
        if gain < 0.1 * predicted:
            return max(reached * min(max(2.0 * share, 0.05), 0.5), MIN_RADIUS)
        return max(self.radius, 3.0 * reached) if gain > 0.7 * predicted else self.radius

    def _cut(self, values: FloatArray) -> None:
        self.cuts.append(Cut.of(self.problem, values.argmax(axis=1)))

    def _line_search(self, values: FloatArray) -> float:
        """Share of the way from the best point to that of `values` with the least loss, by
        bisection on the slope."""
        rows, low, high = np.arange(self.problem.n_rows), 0.0, 1.0
        for _ in range(LINE_STEPS):
            share = 0.5 * (low + high)
            largest = ((1.0 - share) * self.values + share * values).argmax(axis=1)
            slope = self.problem.row_weights @ (values[rows, largest] - self.values[rows, largest])
            low, high = (share, high) if slope < 0.0 else (low, share)
        return 0.5 * (low + high)

    def _missing(self, values: FloatArray) -> BoolArray:
        """The largest pieces of the rows that the model underestimated most, with those at the best
        point."""
        rows = np.arange(self.problem.n_rows)
        modelled = np.where(self.kept, values, -np.inf).max(axis=1)
        joint = values[rows, self.cuts[0].choice]
        for cut in self.cuts[1:]:
            joint = np.maximum(joint, values[rows, cut.choice])
        error = self.problem.row_weights * (
            values.max(axis=1) - np.where(self.kept.any(axis=1), modelled, joint)
        )
        worst = np.argsort(-error, kind="stable")[: self.size // 2]
        worst = worst[error[worst] > TIGHT]
        missing = np.zeros_like(self.kept)
        missing[worst, values[worst].argmax(axis=1)] = True
        missing[worst, self.values[worst].argmax(axis=1)] = True
        return missing

    def _renew(self, missing: BoolArray) -> None:
        """Keep what was missing and what is near its kink at the best point; drop what is far where
        it became too much."""
        self.kept |= nearest_pieces(self.values, self.size)
        if np.count_nonzero(self.kept) > 4 * self.size:
            self.kept = nearest_pieces(self.values, 2 * self.size, self.kept)
        self.kept |= missing
        # The largest piece at the best point has to be among those of its row.
        bent = np.flatnonzero(self.kept.any(axis=1))
        self.kept[bent, self.values[bent].argmax(axis=1)] = True


def nearest_pieces(values: FloatArray, count: int, among: BoolArray | None = None) -> BoolArray:
    """Mark the pieces nearest to being the largest of their rows, together with the largest ones of
    these rows.

    Parameters
    ----------
    values : (R, P) array
        The pieces at a point.
    count : int
        How many pieces, the largest ones not counted; of ties the first.
    among : (R, P) array of bool, optional
        The pieces to choose from.
    """
    rows, largest = np.arange(len(values)), values.argmax(axis=1)
    gaps = values[rows, largest][:, None] - values
    gaps[rows, largest] = np.inf
    if among is not None:
        gaps[~among] = np.inf
    flat = gaps.reshape(-1)
    count = min(count, int(np.count_nonzero(np.isfinite(flat))))
    marked = np.zeros(flat.size, dtype=bool)
    if count:
        threshold = np.partition(flat, count - 1)[count - 1]
        below = np.flatnonzero(flat < threshold)
        marked[below] = True
        marked[np.flatnonzero(flat == threshold)[: count - below.size]] = True
    kept = marked.reshape(values.shape)
    bent = np.flatnonzero(kept.any(axis=1))
    kept[bent, largest[bent]] = True
    return kept


def minimize(problem: PiecewiseLinear, setup: SolveOptions) -> Fit:
    """Minimize the sum over the box to a proven gap.

    Parameters
    ----------
    problem : PiecewiseLinear
        The sum.
    setup : SolveOptions
        Solver, its options, and limits: the relative gap to stop at (by default 1e-7), and the time
        limit, at which the best point so far is returned.

    Returns
    -------
    Fit
        Never worse than the start; its bound is proven, and its objective recomputed in numpy.
    """
    budget = _Budget(setup)
    start_loss = problem.loss(problem.start)
    if problem.has_few_pieces:
        best, solved = _by_bundle(problem, Goal.of(problem, setup, TIGHT), budget)
    else:
        best, solved = (
            interior_point(problem, Goal.of(problem, setup, ROUNDING).is_met, budget.ends),
            True,
        )
    return _fit(problem, best, start_loss, solved, budget)


def _by_bundle(problem: PiecewiseLinear, goal: Goal, budget: _Budget) -> tuple[Bracket, bool]:
    """Minimize by the bundle method; return the best, and whether no solver failed."""
    search = _Search(problem, problem.start, math.inf)
    if goal.is_met(search.best):
        return search.best, True
    theta, radius = _coarse(problem, budget)
    if not np.array_equal(theta, problem.start) and problem.loss(theta) < search.loss:
        search = _Search(problem, theta, radius)
    solved = search.run(budget, goal)
    return search.best, solved


def _coarse(problem: PiecewiseLinear, budget: _Budget) -> tuple[FloatArray, float]:
    """Minimize over growing parts of the rows; return the point, and a radius in which that of all
    rows may lie."""
    theta, radius = problem.start, math.inf
    for stride in STRIDES:
        if problem.n_rows // stride < max(1000, 4 * problem.n_unknowns) or budget.expired:
            continue
        search = _Search(problem.part(np.arange(0, problem.n_rows, stride)), theta, radius)
        search.run(budget, Goal(COARSE_GAP, TIGHT * search.problem.n_rows))
        moved = float(np.abs(search.theta - theta).max(initial=0.0))
        # The error of the smaller part was about the step of this one; the next will be smaller.
        radius = 0.5 * moved if math.isfinite(radius) else 0.1 * moved
        radius = radius if radius > 0.0 else math.inf
        theta = search.theta
    return theta, radius


def _fit(
    problem: PiecewiseLinear, best: Bracket, start_loss: float, solved: bool, budget: _Budget
) -> Fit:
    bound = min(best.bound, best.loss)
    if Goal(FEASIBILITY_TOLERANCE, TIGHT * problem.n_rows).is_met(best):
        status = Status.OPTIMAL
    elif Goal.of(problem, budget.setup, TIGHT).is_met(best):
        status = Status.OPTIMAL_WITHIN_GAP
    else:
        status = Status.FEASIBLE_AT_LIMIT if solved else Status.ERROR
    return Fit(
        parameters=best.theta,
        objective=best.loss,
        bound=bound,
        status=status,
        start_objective=start_loss,
        scale=problem.scale,
        solver_calls=budget.counter,
        message=budget.message if status is Status.ERROR else "",
    )
