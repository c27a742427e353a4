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
    """A point strictly inside, or a step: unknowns, slacks, and multipliers of the pieces and of
    both ends of the box."""

    theta: FloatArray
    slacks: FloatArray
    lam: FloatArray
    at_lower: FloatArray
    at_upper: FloatArray

    def moved(self, step: _Iterate, primal: float, dual: float) -> _Iterate:
        """Return the point after a step, of one length for unknowns and slacks and one for the
        multipliers."""
        return _Iterate(
            self.theta + primal * step.theta,
            self.slacks + primal * step.slacks,
            self.lam + dual * step.lam,
            self.at_lower + dual * step.at_lower,
            self.at_upper + dual * step.at_upper,
        )


def interior_point(search: Search[PiecewiseLinear]) -> None:
    """Minimize a sum over the box, until the search is done or its time over.

    Every iterate's multipliers, scaled to the weights of their rows, combine the pieces to a linear
    function below the sum; its minimum over the box is the bound, so that bound and loss hold
    whatever rounding did to the iterates."""
    search.stop = Stop.LIMIT
    method = _Method(search.problem)
    if not method.free.any():
        search.raise_bound(search.loss)
        return
    now: _Iterate | None = method.start()
    for _ in range(MAX_ITERATIONS):
        if now is None:
            break
        search.offer(now.theta)
        search.raise_bound(method.bound(now))
        if search.is_done() or search.clock.is_over:
            break
        now = method.following(now)


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
        return _Iterate(
            theta, slacks, lam, np.maximum(slope, 0.0) + least, np.maximum(-slope, 0.0) + least
        )

    def bound(self, now: _Iterate) -> float:
        """Return the lower bound that the multipliers prove."""
        problem = self.problem
        lam = now.lam * (problem.row_weights / now.lam.sum(axis=1))[:, None]
        slope = problem.adjoint(lam)
        return float((lam * self.constants).sum()) + float(
            np.minimum(slope * problem.lower, slope * problem.upper).sum()
        )

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
            predicted = newton.towards(np.zeros_like(now.lam), zero, zero)
            mean, left = (
                newton.mean_product(now),
                newton.mean_product(now.moved(predicted, *newton.reach(predicted, 1.0))),
            )
            step = newton.corrected(min((left / mean) ** 3, CENTERING) * mean, predicted)
            return (
                now.moved(step, *newton.reach(step, TO_BOUNDARY))
                if np.all(np.isfinite(step.theta))
                else None
            )


class _Newton:
    """The Newton system at an iterate, factored once for several right sides."""

    def __init__(self, method: _Method, now: _Iterate) -> None:
        self.method, self.now = method, now
        self.to_lower, self.to_upper = self._to_ends(now.theta)
        self.ratio = now.lam / now.slacks
        system = method.problem.curvature(self.ratio)
        system[np.diag_indices_from(system)] += (
            now.at_lower / self.to_lower + now.at_upper / self.to_upper
        )
        self.solved = _factored(system, method.free)

    def mean_product(self, point: _Iterate) -> float:
        """Return the mean product of multiplier and slack."""
        exists, free = self.method.exists, self.method.free
        ends = sum(
            (multiplier * distance)[free].sum()
            for multiplier, distance in zip(
                (point.at_lower, point.at_upper), self._to_ends(point.theta), strict=True
            )
        )
        return float((point.lam * point.slacks)[exists].sum() + ends) / int(
            exists.sum() + 2 * free.sum()
        )

    def towards(self, rows: FloatArray, lower: FloatArray, upper: FloatArray) -> _Iterate:
        """Return the step at whose end, to first order, the products are the given ones."""
        now, problem, ratio, exists, free = (
            self.now,
            self.method.problem,
            self.ratio,
            self.method.exists,
            self.method.free,
        )
        pushed = np.where(exists, rows / now.slacks, 0.0) - now.lam
        lower, upper = lower / self.to_lower - now.at_lower, upper / self.to_upper - now.at_upper
        shift = (pushed.sum(axis=1) - problem.row_weights + now.lam.sum(axis=1)) / ratio.sum(axis=1)
        right = now.at_lower - now.at_upper + lower - upper
        right -= problem.adjoint(now.lam + pushed - ratio * shift[:, None])
        theta = self.solved(right)
        moved = problem.linear(theta)
        heights = shift + (ratio * moved).sum(axis=1) / ratio.sum(axis=1)
        slacks = np.where(exists, heights[:, None] - moved, 0.0)
        at_lower = np.where(free, lower - now.at_lower * theta / self.to_lower, 0.0)
        at_upper = np.where(free, upper + now.at_upper * theta / self.to_upper, 0.0)
        return _Iterate(theta, slacks, pushed - ratio * slacks, at_lower, at_upper)

    def corrected(self, target: float, step: _Iterate) -> _Iterate:
        """Return the step to equal products, less what a step to zero neglected: the products of
        its changes."""
        return self.towards(
            target - step.slacks * step.lam,
            target - step.theta * step.at_lower,
            target + step.theta * step.at_upper,
        )

    def reach(self, step: _Iterate, share: float) -> tuple[float, float]:
        """Return how far the unknowns and the multipliers go: to a share of the way to their
        boundary, at most 1."""
        now = self.now
        primal = (
            (now.slacks, step.slacks),
            (self.to_lower, step.theta),
            (self.to_upper, -step.theta),
        )
        dual = (now.lam, step.lam), (now.at_lower, step.at_lower), (now.at_upper, step.at_upper)
        return min(_reach(*pair, share) for pair in primal), min(
            _reach(*pair, share) for pair in dual
        )

    def _to_ends(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the distances of free unknowns from the ends of the box, and 1 for the others."""
        problem, free = self.method.problem, self.method.free
        return np.where(free, theta - problem.lower, 1.0), np.where(
            free, problem.upper - theta, 1.0
        )


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


def _reach(values: FloatArray, change: FloatArray, share: float) -> float:
    """Return a share of the largest step that keeps the values from falling below zero, at most
    1."""
    falling = change < 0.0
    return (
        min(1.0, share * float((values[falling] / -change[falling]).min()))
        if falling.any()
        else 1.0
    )
