"""Minimizing a convex piecewise linear sum by an interior-point method that never writes its linear program down.

The program of the sum ``sum_r w_r max_p v_rp(theta)`` has a column and up to `P` constraints for every row, but each of its
Newton systems reduces to one equation per unknown: with multipliers `lam` and slacks ``s_rp = xi_r - v_rp(theta)``, the
columns `xi` are eliminated row by row, and what remains is ``sum_r G_r' (diag(D_r) - D_r D_r' / sum D_r) G_r`` with
``D = lam / s`` (Ferris and Munson 2002 do so for support vector machines). So the cost of an iteration hardly depends on how
many rows lie near a kink, which is what makes the bundle method of `bulk` slow where rows have many pieces.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from layermilp.formulations.pieces import Pieces
from layermilp.program import BoolArray, FloatArray

CENTERING = 0.3
"""Most by which an iteration tries to shrink the products of multipliers and slacks: by Mehrotra's rule, but no less.

With hundreds of thousands of products some block nearly every step, from which his rule would conclude that nothing can be
gained; measured on 60,000 rows of 10 pieces, it took more than twice the iterations."""

TO_BOUNDARY = 0.995
"""Share of the way to the boundary that a step may go."""

REGULARIZATION = 1e-14
"""Added to the unit diagonal of the scaled Newton system."""

MAX_ITERATIONS = 300
"""The best point and the bound are returned then."""


@dataclass(frozen=True, eq=False)
class Bracket:
    """The best point, its loss, and the proven lower bound."""

    theta: FloatArray
    loss: float
    bound: float


@dataclass(frozen=True, eq=False)
class _Iterate:
    """A point strictly inside: unknowns, heights ``xi`` of the rows, and multipliers of pieces and of both ends of the box."""

    theta: FloatArray
    xi: FloatArray
    lam: FloatArray
    at_lower: FloatArray
    at_upper: FloatArray


def interior_point(problem: Pieces, enough: Callable[[Bracket], bool], ends: float) -> Bracket:
    """Minimize the sum over the box.

    Every iterate's multipliers, scaled to the weights of their rows, combine the pieces to a linear function below the sum;
    its minimum over the box is the bound, so that bound and loss hold whatever rounding did to the iterates.

    Parameters
    ----------
    problem : Pieces
        The sum.
    enough : callable
        Says whether loss and bound are as near as was asked for.
    ends : float
        Time of the performance counter at which the best so far is returned.
    """
    # Unknowns with no room stay; the method needs an inside.
    free = problem.upper > problem.lower
    best = Bracket(problem.start, problem.loss(problem.start), 0.0)
    if not free.any():
        return replace(best, bound=best.loss)
    constants = problem.values(np.zeros(problem.n_unknowns))
    exists = np.isfinite(constants)
    constants = np.where(exists, constants, 0.0)
    now = _start(problem, constants, exists, free)
    for _ in range(MAX_ITERATIONS):
        best = _improved(best, now, problem, constants, exists)
        if enough(best) or time.perf_counter() >= ends:
            break
        following = _step(now, problem, constants, exists, free)
        if following is None:
            break
        now = following
    return best


def _start(problem: Pieces, constants: FloatArray, exists: BoolArray, free: BoolArray) -> _Iterate:
    """Return a first point: away from the ends of the box, with multipliers that meet all equations."""
    span = problem.upper - problem.lower
    theta = np.clip(problem.start, problem.lower + 0.1 * span, problem.upper - 0.1 * span)
    values = problem.linear(theta) + constants
    xi = np.where(exists, values, -np.inf).max(axis=1) + 1.0
    lam = exists * (problem.row_weights / exists.sum(axis=1))[:, None]
    slope = problem.adjoint(lam)
    least = float((lam * np.where(exists, xi[:, None] - values, 0.0)).sum()) / exists.sum() / np.where(free, span, 1.0)
    return _Iterate(theta, xi, lam, np.maximum(slope, 0.0) + least, np.maximum(-slope, 0.0) + least)


def _improved(
    best: Bracket, now: _Iterate, problem: Pieces, constants: FloatArray, exists: BoolArray
) -> Bracket:
    """Take the iterate's point and bound where they are better."""
    loss = problem.loss(now.theta)
    if loss < best.loss:
        best = replace(best, theta=now.theta, loss=loss)
    lam = now.lam * (problem.row_weights / now.lam.sum(axis=1))[:, None]
    slope = problem.adjoint(lam)
    bound = float((lam * constants).sum()) + float(np.minimum(slope * problem.lower, slope * problem.upper).sum())
    return replace(best, bound=max(best.bound, bound))


class _Newton:
    """The Newton system at an iterate, factored once for several right sides."""

    def __init__(self, now: _Iterate, problem: Pieces, constants: FloatArray, exists: BoolArray, free: BoolArray) -> None:
        self.now, self.problem, self.exists, self.free = now, problem, exists, free
        self.slacks = np.where(exists, now.xi[:, None] - problem.linear(now.theta) - constants, 1.0)
        self.to_lower = np.where(free, now.theta - problem.lower, 1.0)
        self.to_upper = np.where(free, problem.upper - now.theta, 1.0)
        self.ratio = now.lam / self.slacks
        system = problem.curvature(self.ratio)
        system[np.diag_indices_from(system)] += now.at_lower / self.to_lower + now.at_upper / self.to_upper
        self.solved = _factored(system, free)

    def mean_product(self, step: _Iterate, primal: float, dual: float) -> float:
        """Return the mean product of multiplier and slack after steps of the given lengths, at most full ones."""
        primal, dual = min(primal, 1.0), min(dual, 1.0)
        now, change = self.now, self._slack_change(step)
        rows = ((now.lam + dual * step.lam) * np.where(self.exists, self.slacks + primal * change, 0.0)).sum()
        lower = (now.at_lower + dual * step.at_lower) * (self.to_lower + primal * step.theta)
        upper = (now.at_upper + dual * step.at_upper) * (self.to_upper - primal * step.theta)
        ends = lower[self.free].sum() + upper[self.free].sum()
        return float(rows + ends) / int(self.exists.sum() + 2 * self.free.sum())

    def towards(self, rows: FloatArray, lower: FloatArray, upper: FloatArray) -> _Iterate:
        """Return the step at whose end, to first order, the products are the given ones."""
        now, problem, ratio = self.now, self.problem, self.ratio
        pushed = np.where(self.exists, rows / self.slacks, 0.0) - now.lam
        lower, upper = lower / self.to_lower - now.at_lower, upper / self.to_upper - now.at_upper
        shift = (pushed.sum(axis=1) - problem.row_weights + now.lam.sum(axis=1)) / ratio.sum(axis=1)
        right = now.at_lower - now.at_upper + lower - upper
        right -= problem.adjoint(now.lam + pushed - ratio * shift[:, None])
        theta = self.solved(right)
        moved = problem.linear(theta)
        xi = shift + (ratio * moved).sum(axis=1) / ratio.sum(axis=1)
        lam = pushed - ratio * np.where(self.exists, xi[:, None] - moved, 0.0)
        at_lower = np.where(self.free, lower - now.at_lower * theta / self.to_lower, 0.0)
        at_upper = np.where(self.free, upper + now.at_upper * theta / self.to_upper, 0.0)
        return _Iterate(theta, xi, lam, at_lower, at_upper)

    def corrected(self, target: float, step: _Iterate) -> _Iterate:
        """Return the step to equal products, less what a step to zero neglected: the products of its changes."""
        return self.towards(
            target - self._slack_change(step) * step.lam,
            target - step.theta * step.at_lower,
            target + step.theta * step.at_upper,
        )

    def reach(self, step: _Iterate) -> tuple[float, float]:
        """Return how far the unknowns and the multipliers can go."""
        now = self.now
        primal = (self.slacks, self._slack_change(step)), (self.to_lower, step.theta), (self.to_upper, -step.theta)
        dual = (now.lam, step.lam), (now.at_lower, step.at_lower), (now.at_upper, step.at_upper)
        return min(_reach(*pair) for pair in primal), min(_reach(*pair) for pair in dual)

    def _slack_change(self, step: _Iterate) -> FloatArray:
        return np.where(self.exists, step.xi[:, None] - self.problem.linear(step.theta), 0.0)


def _step(
    now: _Iterate, problem: Pieces, constants: FloatArray, exists: BoolArray, free: BoolArray
) -> _Iterate | None:
    """Return the next iterate, by a predictor and a corrector (Mehrotra 1992); None if rounding stops that."""
    try:
        newton = _Newton(now, problem, constants, exists, free)
    except LinAlgError:
        return None
    zero = np.zeros(problem.n_unknowns)
    predicted = newton.towards(np.zeros_like(now.lam), zero, zero)
    mean = newton.mean_product(predicted, 0.0, 0.0)
    left = newton.mean_product(predicted, *newton.reach(predicted)) / mean
    step = newton.corrected(min(left**3, CENTERING) * mean, predicted)
    if not np.all(np.isfinite(step.theta)):
        return None
    primal, dual = (min(1.0, TO_BOUNDARY * reach) for reach in newton.reach(step))
    return _Iterate(
        now.theta + primal * step.theta,
        now.xi + primal * step.xi,
        now.lam + dual * step.lam,
        now.at_lower + dual * step.at_lower,
        now.at_upper + dual * step.at_upper,
    )


def _factored(system: FloatArray, free: BoolArray) -> Callable[[FloatArray], FloatArray]:
    """Factor the system of the free unknowns, scaled to a unit diagonal; raise `LinAlgError` if it is not positive definite."""
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
    """Return the largest step that keeps the values positive, at most one that goes beyond a full step."""
    falling = change < 0.0
    return min(2.0, float((values[falling] / -change[falling]).min())) if falling.any() else 2.0
