"""Minimizing a convex piecewise linear sum by an interior-point method that never writes its linear
program down.

The program of the sum ``sum_r w_r max_p v_rp(theta)`` has a column and up to `P` constraints for
every row, but each of its Newton systems reduces to one equation per unknown: with multipliers
`lam` and slacks ``s_rp = xi_r - v_rp(theta)``, the columns `xi` are eliminated row by row, and what
remains is ``sum_r G_r' (diag(D_r) - D_r D_r' / sum D_r) G_r`` with ``D = lam / s`` (Ferris and
Munson 2002 do so for support vector machines). So the cost of an iteration hardly depends on how
many rows lie near a kink, which is what makes the bundle method slow where rows have many
pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from layermilp.algorithms.search import Search, Stop
from layermilp.algorithms.statistics import OWN
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.program import BoolArray, FloatArray

CENTERING = 0.3
"""Most by which an iteration tries to shrink the products of multipliers and slacks: by Mehrotra's
rule, but no less.

With hundreds of thousands of products some block nearly every step, from which his rule would
conclude that nothing can be gained; measured on 60,000 rows of 10 pieces, it took more than twice
the iterations."""

TO_BOUNDARY = 0.995
"""Share of the way to the boundary that a step may go."""

REGULARIZATION = 1e-14
"""Added to the unit diagonal of the scaled Newton system."""

MAX_ITERATIONS = 300
"""The best point and the bound are returned then."""


@dataclass(frozen=True, eq=False)
class _Iterate:
    """A point strictly inside, or a step: unknowns, slacks of the pieces, and multipliers of the
    lower ends of the box, the upper ends, and the pieces."""

    theta: FloatArray
    slacks: FloatArray
    multipliers: tuple[FloatArray, FloatArray, FloatArray]

    @property
    def changes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What a step changes of the distances: from the ends of the box, and of the slacks."""
        return self.theta, -self.theta, self.slacks

    def moved(self, step: _Iterate, primal: float, dual: float) -> _Iterate:
        """Return the point after a step, of one length for unknowns and slacks and one for the
        multipliers."""
        lower, upper, lam = (
            now + dual * change
            for now, change in zip(self.multipliers, step.multipliers, strict=True)
        )
        theta, slacks = self.theta + primal * step.theta, self.slacks + primal * step.slacks
        return _Iterate(theta, slacks, (lower, upper, lam))


def interior_point(search: Search[PiecewiseLinear]) -> None:
    """Minimize a sum over the box, until the search is done or its time over.

    Every iterate's multipliers, scaled to the weights of their rows, combine the pieces to a linear
    function below the sum; its minimum over the box is the bound, so that bound and loss hold
    whatever rounding did to the iterates."""
    search.stop = Stop.LIMIT
    search.kind = "lp"
    search.solver_calls[OWN] += 1
    method = _Method(search.problem)
    if not method.free.any():
        search.raise_bound(search.loss)
        return
    now = method.start()
    for _ in range(MAX_ITERATIONS):
        search.offer(now.theta)
        search.raise_bound(method.bound(now))
        if search.is_done() or search.clock.is_over:
            return
        following = method.following(now)
        if following is None:
            return
        now = following


class _Method:
    """The sum, and what does not change between iterations: its constants, which pieces there are,
    which unknowns are free.

    Unknowns with no room in the box stay: the method needs an inside.
    """

    def __init__(self, problem: PiecewiseLinear) -> None:
        self.problem, self.free = problem, problem.upper > problem.lower
        constants = problem.values(np.zeros(problem.n_unknowns))
        self.exists = np.isfinite(constants)
        self.constants = np.where(self.exists, constants, 0.0)

    def start(self) -> _Iterate:
        """Return a first point: away from the ends of the box, with multipliers that meet all
        equations."""
        problem, exists = self.problem, self.exists
        span = problem.upper - problem.lower
        theta = np.clip(problem.start, problem.lower + 0.1 * span, problem.upper - 0.1 * span)
        values = problem.linear(theta) + self.constants
        heights = np.where(exists, values, -np.inf).max(axis=1) + 1.0
        slacks = np.where(exists, heights[:, None] - values, 1.0)
        lam = exists * (problem.row_weights / exists.sum(axis=1))[:, None]
        slope = problem.adjoint(lam)
        least = float((lam * slacks).sum()) / exists.sum() / np.where(self.free, span, 1.0)
        lower, upper = np.maximum(slope, 0.0) + least, np.maximum(-slope, 0.0) + least
        return _Iterate(theta, slacks, (lower, upper, lam))

    def bound(self, now: _Iterate) -> float:
        """Return the lower bound that the multipliers prove."""
        problem, lam = self.problem, now.multipliers[2]
        lam = lam * (problem.row_weights / lam.sum(axis=1))[:, None]
        slope = problem.adjoint(lam)
        least = np.minimum(slope * problem.lower, slope * problem.upper)
        return float((lam * self.constants).sum()) + float(least.sum())

    def distances(self, point: _Iterate) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what is multiplied by the multipliers: the distances of free unknowns from the
        ends of the box, with 1 for the others, and the slacks."""
        to_lower, to_upper = point.theta - self.problem.lower, self.problem.upper - point.theta
        return np.where(self.free, to_lower, 1.0), np.where(self.free, to_upper, 1.0), point.slacks

    def mean_product(self, point: _Iterate) -> float:
        """Return the mean product of multiplier and distance."""
        counted = self.free, self.free, self.exists
        products = sum(
            (multipliers * distances)[places].sum()
            for multipliers, distances, places in zip(
                point.multipliers, self.distances(point), counted, strict=True
            )
        )
        return float(products) / int(sum(places.sum() for places in counted))

    def following(self, now: _Iterate) -> _Iterate | None:
        """Return the next iterate, by a predictor and a corrector (Mehrotra 1992); None if rounding
        stops that."""
        # Near the optimum slacks may underflow; what then is not finite ends the method.
        with np.errstate(all="ignore"):
            try:
                newton = _Newton(self, now)
            except LinAlgError:
                return None
            zero = np.zeros_like(now.theta)
            predicted = newton.towards(zero, zero, np.zeros_like(now.slacks))
            mean = self.mean_product(now)
            left = self.mean_product(now.moved(predicted, *newton.reach(predicted, 1.0)))
            # To equal products, less what the first step neglected: the products of its changes.
            target = min((left / mean) ** 3, CENTERING) * mean
            changes = zip(predicted.changes, predicted.multipliers, strict=True)
            step = newton.towards(*(target - change * dual for change, dual in changes))
            if not np.all(np.isfinite(step.theta)):
                return None
            return now.moved(step, *newton.reach(step, TO_BOUNDARY))


class _Newton:
    """The Newton system at an iterate, factored once for several right sides."""

    def __init__(self, method: _Method, now: _Iterate) -> None:
        self.method, self.now, self.distances = method, now, method.distances(now)
        to_lower, to_upper, slacks = self.distances
        at_lower, at_upper, lam = now.multipliers
        self.ratio = lam / slacks
        system = method.problem.curvature(self.ratio)
        system[np.diag_indices_from(system)] += at_lower / to_lower + at_upper / to_upper
        self.solved = _factored(system, method.free)

    def towards(self, lower: FloatArray, upper: FloatArray, rows: FloatArray) -> _Iterate:
        """Return the step at whose end, to first order, the products are the given ones."""
        method, ratio = self.method, self.ratio
        problem, exists, free = method.problem, method.exists, method.free
        to_lower, to_upper, slacks = self.distances
        at_lower, at_upper, lam = self.now.multipliers
        pushed = np.where(exists, rows / slacks, 0.0) - lam
        lower, upper = lower / to_lower - at_lower, upper / to_upper - at_upper
        shift = (pushed.sum(axis=1) - problem.row_weights + lam.sum(axis=1)) / ratio.sum(axis=1)
        right = at_lower - at_upper + lower - upper
        right -= problem.adjoint(lam + pushed - ratio * shift[:, None])
        theta = self.solved(right)
        moved = problem.linear(theta)
        heights = shift + (ratio * moved).sum(axis=1) / ratio.sum(axis=1)
        change = np.where(exists, heights[:, None] - moved, 0.0)
        lower = np.where(free, lower - at_lower * theta / to_lower, 0.0)
        upper = np.where(free, upper + at_upper * theta / to_upper, 0.0)
        return _Iterate(theta, change, (lower, upper, pushed - ratio * change))

    def reach(self, step: _Iterate, share: float) -> tuple[float, float]:
        """Return how far the unknowns and the multipliers go: to a share of the way to their
        boundary, at most 1."""
        primal = map(_reach, self.distances, step.changes)
        dual = map(_reach, self.now.multipliers, step.multipliers)
        return min(1.0, share * min(primal)), min(1.0, share * min(dual))


def _factored(system: FloatArray, free: BoolArray) -> Callable[[FloatArray], FloatArray]:
    """Factor the system of the free unknowns, scaled to a unit diagonal; raise `LinAlgError` if it
    is not positive definite."""
    scale = 1.0 / np.sqrt(system.diagonal()[free])
    scaled = scale[:, None] * system[np.ix_(free, free)] * scale
    if not np.all(np.isfinite(scaled)):
        raise LinAlgError("not finite")
    scaled[np.diag_indices_from(scaled)] += REGULARIZATION
    factor = cho_factor(scaled)

    def solve(right: FloatArray) -> FloatArray:
        solution: FloatArray = np.zeros(right.size)
        solution[free] = scale * cho_solve(factor, scale * right[free])
        return solution

    return solve


def _reach(values: FloatArray, change: FloatArray) -> float:
    """Return the largest step that keeps the values from falling below zero; ``inf`` for any."""
    falling = change < 0.0
    return float((values[falling] / -change[falling]).min(initial=np.inf))
