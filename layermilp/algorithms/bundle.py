"""Minimizing a convex piecewise linear sum over many rows, without one LP that has a constraint for
every piece.

Where rows have many pieces, as with the margin, interior points (`interior_point`) do it; where
they have few, as with the l1 loss, a bundle method that tells some rows apart. Its model of the sum
keeps, row by row, some hundred or thousand pieces: those nearest to being the largest of their
rows. All other rows enter together, by one linear function (cut) for every point that was
evaluated, in which each row is its largest piece there (Kelley 1960). Both underestimate, so the
optimum of the model over the box is a proven lower bound. The model is minimized in a trust region
around the best point (the boxstep method, Marsten, Hogan and Blankenship 1975), because far from
the points evaluated it says little. The search ends when the best point is as good as the bound,
which then holds for all rows and pieces."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

import numpy as np

from layermilp.algorithms.interior_point import interior_point
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.restricted_master import Cut, dual_program, recover, restricted_master
from layermilp.algorithms.search import Fit, Search, Stop
from layermilp.algorithms.tolerances import FINE_ROUNDING, ROUNDING
from layermilp.formulations.l1 import HingeRegression
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.program import BoolArray, FloatArray, Program, Result, Status
from layermilp.solvers import fitting

STRIDES = (36, 6)
"""The search begins on every 36th row, goes on with every 6th, and ends with all."""

COARSE_GAP = 1e-3
"""Relative gap at which a part of the rows has served its purpose."""

MIN_RADIUS = 1e-5
"""The trust region does not shrink below: there the rounding of a solver would show."""

LINE_STEPS = 10
"""Bisections of a line search."""

MAX_ROUNDS = 500
"""Largest number of restricted master programs on one part; the best point and the bound are
returned then."""


class _Bundle:
    """A search with its model: kept pieces, cuts, and the radius of the trust region."""

    def __init__(self, search: Search[HingeRegression], radius: float = math.inf) -> None:
        self.search, self.problem, self.radius = search, search.problem, radius
        self.values = self.problem.values(search.theta)
        self.cuts = [Cut.of(self.problem, self.values.argmax(axis=1))]
        search.raise_bound(self.cuts[0].minimum(self.problem.lower, self.problem.upper))
        self.size = max(500, 5 * self.problem.n_unknowns)
        self.kept = nearest_pieces(self.values, self.size)

    def run(self) -> None:
        """Search until it is done, or its time over."""
        search, problem = self.search, self.problem
        search.stop = Stop.LIMIT
        for _ in range(MAX_ROUNDS):
            if search.is_done() or search.clock.is_over:
                return
            lower = np.maximum(problem.lower, search.theta - self.radius)
            upper = np.minimum(problem.upper, search.theta + self.radius)
            result = _solved(search, restricted_master(problem, self.kept, self.cuts, lower, upper))
            if result.x is None or not result.status.is_optimal:
                search.stop, search.message = Stop.of(result), result.message
                return
            point = np.clip(result.x[: problem.n_unknowns], lower, upper)
            self._take(point, result.objective, self._is_global(point, lower, upper))

    def _is_global(self, point: FloatArray, lower: FloatArray, upper: FloatArray) -> bool:
        """Whether the trust region does not bind at an optimum of the model, which then is one over
        the whole box."""
        slack = ROUNDING * (max(1.0, self.radius) if math.isfinite(self.radius) else 1.0)
        at_lower = (point <= lower + slack) & (lower > self.problem.lower)
        at_upper = (point >= upper - slack) & (upper < self.problem.upper)
        return not np.any(at_lower | at_upper)

    def _take(self, point: FloatArray, model: float, is_global: bool) -> None:
        """Use the optimum of the model: its bound, its point, and the best point on the way
        there."""
        search, problem = self.search, self.problem
        tolerance, predicted, before = search.tolerance, search.loss - model, search.loss
        self._bound(model, is_global)
        values = problem.values(point)
        reached = float(np.abs(point - search.theta).max(initial=0.0))
        missing = self._missing(values)
        self.cuts.append(Cut.of(problem, values.argmax(axis=1)))
        gain, share = before - problem.total(values), 1.0
        if gain < 0.5 * predicted:
            share = self._line_search(values)
            point = search.theta + share * (point - search.theta)
            point = np.clip(point, problem.lower, problem.upper)
            values = problem.values(point)
        if search.improve(point, problem.total(values)):
            self.values = values
            if share < 1.0:
                self.cuts.append(Cut.of(problem, values.argmax(axis=1)))
        if not is_global and predicted <= 0.5 * tolerance:
            # So small a step is useless.
            self.radius *= 30.0
        elif gain < 0.1 * predicted:
            self.radius = max(reached * min(max(2.0 * share, 0.05), 0.5), MIN_RADIUS)
        elif gain > 0.7 * predicted:
            # The model proved right.
            self.radius = max(self.radius, 3.0 * reached)
        self._renew(missing)

    def _bound(self, model: float, is_global: bool) -> None:
        """Raise the bound: to the model's optimum over the box, or to what its optimum in the trust
        region implies.

        A convex function that is at most `f` at the centre and nowhere below ``f - e`` within the
        radius is nowhere below ``f - e D / radius`` within the distance `D` of the centre. What
        rounding leaves of `e` is added to it."""
        search, problem = self.search, self.problem
        if is_global:
            search.raise_bound(model)
            return
        far = np.maximum(problem.upper - search.theta, search.theta - problem.lower)
        decrease = max(search.loss - model, 0.0) + ROUNDING * max(1.0, abs(search.loss))
        search.raise_bound(search.loss - decrease * max(1.0, float(far.max()) / self.radius))

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
        kept = np.where(self.kept, values, -np.inf).max(axis=1)
        joint = reduce(np.maximum, (values[rows, cut.choice] for cut in self.cuts))
        modelled = np.where(self.kept.any(axis=1), kept, joint)
        error = self.problem.row_weights * (values.max(axis=1) - modelled)
        worst = np.argsort(-error, kind="stable")[: self.size // 2]
        worst = worst[error[worst] > ROUNDING]
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
        _add_largest(self.kept, self.values)


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
    gaps = values.max(axis=1)[:, None] - values
    gaps[np.arange(len(values)), values.argmax(axis=1)] = np.inf
    if among is not None:
        gaps[~among] = np.inf
    nearest = np.argsort(gaps, axis=None, kind="stable")[:count]
    kept = np.zeros(values.shape, dtype=bool)
    kept.flat[nearest] = np.isfinite(gaps.flat[nearest])
    _add_largest(kept, values)
    return kept


def _add_largest(kept: BoolArray, values: FloatArray) -> None:
    """Mark the largest piece of every row that has a marked one: the model must not miss it."""
    bent = np.flatnonzero(kept.any(axis=1))
    kept[bent, values[bent].argmax(axis=1)] = True


def minimize(problem: PiecewiseLinear, options: SolveOptions) -> Fit:
    """Minimize the sum over the box to a proven gap, by default 1e-7, or until the time limit.

    What is found is never worse than the start, and its bound is proven."""
    if isinstance(problem, HingeRegression):
        return _by_bundle(Search(problem, options))
    search = Search(problem, options, rounding=FINE_ROUNDING)
    interior_point(search)
    return search.fit()


def _by_bundle(search: Search[HingeRegression]) -> Fit:
    """Minimize by the bundle method, from what parts of the rows say."""
    bundle = _Bundle(search)
    if not search.is_done():
        search.kind = "lp"
        theta, radius = _coarse(search)
        search.offer(theta)
        if search.theta is not search.problem.start:
            bundle = _Bundle(search, radius)
        bundle.run()
    return search.fit()


def _coarse(whole: Search[HingeRegression]) -> tuple[FloatArray, float]:
    """Minimize over growing parts of the rows; return the point, and a radius in which that of all
    rows may lie."""
    problem, theta, radius = whole.problem, whole.theta, math.inf
    options = replace(whole.options, limits=replace(whole.options.limits, gap=COARSE_GAP))
    for stride in STRIDES:
        if problem.n_rows // stride < max(1000, 4 * problem.n_unknowns) or whole.clock.is_over:
            continue
        part = problem.part(np.arange(0, problem.n_rows, stride))
        search = Search(part, options, whole.clock)
        search.accept(theta, math.inf)
        _Bundle(search, radius).run()
        whole.count(search)
        moved = float(np.abs(search.theta - theta).max(initial=0.0))
        # The error of the smaller part was about the step of this one; the next will be smaller.
        radius = 0.5 * moved if math.isfinite(radius) else 0.1 * moved
        radius = radius if radius > 0.0 else math.inf
        theta = search.theta
    return theta, radius


def _solved(search: Search[HingeRegression], program: Program) -> Result:
    """Solve a restricted master program.

    Measured with HiGHS: the dual of a program whose rows have two pieces each is solved by the
    simplex method 4 to 8 times faster than the program."""
    result = _by_dual(search, program) or _called(search, program, "ipx")
    return _called(search, program, "simplex") if result.status is Status.ERROR else result


def _by_dual(search: Search[HingeRegression], program: Program) -> Result | None:
    """Solve a restricted master program by its dual; None if its vertex does not determine the
    point, or it was not solved."""
    result = _called(search, dual_program(program))
    if result.x is None or result.status is not Status.OPTIMAL:
        return None
    x, bound = recover(program, result.x), -result.objective
    if float(program.costs @ x) + program.offset - bound > ROUNDING * max(1.0, abs(bound)):
        return None
    return replace(result, x=x, objective=bound, bound=bound)


def _called(search: Search[HingeRegression], program: Program, method: str = "") -> Result:
    """Solve a program; HiGHS by a method.

    Restricted master programs are a means to the optimum; they may have more constraints than the
    edition of a named solver takes."""
    solver = fitting(program, search.options.solver)
    return search.solve(program, solver, {"solver": method} if solver == "highs" and method else {})
