"""Ridge regression through a ReLU: a convex quadratic program in place of the least absolute
deviations.

With the rows' targets `t`, the start ``theta_0`` and `s` the ridge times the mean squared norm of a
row of `H`::

    minimize  |theta - (1 - weight_decay) theta_0|^2 + (1 / s) sum_r m_r(theta)^2   over the box,
    m_r = a_r - t_r  where t_r > 0,   m_r = max(0, a_r)  where t_r = 0,   a = H theta + g

The sum is nowhere below that of the squares of ``max(0, a_r) - t_r``, and convex. Where there are
more weights than samples a ridge leaves out of the fit what only small differences of the samples
support (Hoerl and Kennard 1970), and the decay forgets what no batch asks for. Where there are more
samples than weights it follows all of them, while the l1 optimum stays with the majority, whose
targets are what it gives already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import FEASIBILITY_TOLERANCE, BoolArray, FloatArray
from layermilp.solvers.quadratic import box_quadratic, project

MAX_STEPS = 100
"""Largest number of Newton steps: a guard, since each lowers the sum and there are finitely many
sets of active rows."""

HALVINGS = 30
"""Largest number of halvings of a Newton step."""


def fit_ridge(problem: ReluRegression, ridge: float, weight_decay: float) -> FloatArray | None:
    """Return the optimum, proven to 1e-6 of the sum, or None if it was not found; the ridge is
    above 0, the decay from 0 to 1.

    With fewer rows than unknowns the centre is projected onto rows that may be violated."""
    matrix = problem.coefficients.toarray()
    softness = ridge * float((matrix**2).sum(axis=1).mean()) if matrix.size else 0.0
    centre = np.clip((1.0 - weight_decay) * problem.start, problem.lower, problem.upper)
    if not softness:
        return centre
    total = _Sum(problem, matrix, problem.targets - problem.constants, centre, softness)
    if problem.n_unknowns > problem.n_rows:
        low = np.where(problem.targets > 0.0, total.wanted, -np.inf)
        box = problem.lower, problem.upper
        theta = project(centre, matrix, low, total.wanted, *box, softness)
    else:
        theta = _by_newton(total)
    if theta is None or total.excess(theta) > FEASIBILITY_TOLERANCE * total.loss(theta):
        return None
    return theta


@dataclass(frozen=True, eq=False)
class _Sum:
    """What is minimized: `wanted` is ``t - g``, and `softness` is `s`."""

    problem: ReluRegression
    matrix: FloatArray
    wanted: FloatArray
    centre: FloatArray
    softness: float

    def counted(self, theta: FloatArray) -> BoolArray:
        """Mark the rows that count: those with a target above zero, and those above a target of
        zero."""
        return np.asarray((self.problem.targets > 0.0) | (self.matrix @ theta > self.wanted))

    def missed(self, theta: FloatArray) -> FloatArray:
        """Return by what every row misses its target."""
        return np.where(self.counted(theta), self.matrix @ theta - self.wanted, 0.0)

    def loss(self, theta: FloatArray) -> float:
        """Return the sum."""
        missed = (self.missed(theta) ** 2).sum() / self.softness
        return float(((theta - self.centre) ** 2).sum() + missed)

    def excess(self, theta: FloatArray) -> float:
        """Return how much the sum at a point of the box is above the least one, at most.

        From ``f(y) >= f(x) + g . (y - x) + |y - x|^2``, minimized over the `y` of the box, entry by
        entry."""
        slope = 2.0 * (theta - self.centre + self.matrix.T @ self.missed(theta) / self.softness)
        change = np.clip(-0.5 * slope, self.problem.lower - theta, self.problem.upper - theta)
        return float(-(change * (slope + change)).sum())


def _by_newton(total: _Sum) -> FloatArray | None:
    """Minimize by Newton's method: with the set of rows that count held fixed, the sum is
    quadratic."""
    problem, theta = total.problem, total.centre
    active = total.counted(theta)
    for _ in range(MAX_STEPS):
        rows = total.matrix[active]
        hessian = np.eye(theta.size) + rows.T @ rows / total.softness
        slope = -total.centre - rows.T @ total.wanted[active] / total.softness
        optimum = box_quadratic(hessian, slope, problem.lower, problem.upper)
        if optimum is None or np.array_equal(total.counted(optimum), active):
            return optimum
        step, before = 1.0, total.loss(theta)
        while total.loss(theta + step * (optimum - theta)) >= before:
            step *= 0.5
            if step <= 0.5**HALVINGS:
                return theta
        theta = theta + step * (optimum - theta)
        active = total.counted(theta)
    return theta
