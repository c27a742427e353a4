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

import math
from dataclasses import dataclass

import numpy as np

from layermilp.algorithms.search import Search, Stop
from layermilp.formulations.problem import Problem
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import FEASIBILITY_TOLERANCE, BoolArray, FloatArray
from layermilp.solvers import quadratic

MAX_STEPS = 100
"""Largest number of Newton steps: a guard, since each lowers the sum and there are finitely many
sets of active rows."""

HALVINGS = 30
"""Largest number of halvings of a Newton step."""


@dataclass(frozen=True, eq=False)
class Ridge(Problem):
    """What is minimized.

    Parameters
    ----------
    matrix : (R, p) array
        `H`.
    wanted : (R,) array
        ``t - g``.
    targets : (R,) array
        `t`.
    centre : (p,) array
        ``(1 - weight_decay) theta_0``, in the box.
    softness : float
        `s`.
    """

    matrix: FloatArray
    wanted: FloatArray
    targets: FloatArray
    centre: FloatArray
    softness: float
    lower: FloatArray
    upper: FloatArray
    start: FloatArray

    @classmethod
    def of(cls, regression: ReluRegression, ridge: float, weight_decay: float) -> Ridge:
        """Return the problem in place of a regression; the ridge is above 0, the decay from 0 to
        1."""
        matrix, targets = regression.coefficients.toarray(), regression.targets
        softness = ridge * float((matrix**2).sum(axis=1).mean()) if matrix.size else 0.0
        lower, upper, start = regression.lower, regression.upper, regression.start
        return cls(
            matrix=matrix,
            wanted=targets - regression.constants,
            targets=targets,
            centre=np.clip((1.0 - weight_decay) * start, lower, upper),
            softness=softness,
            lower=lower,
            upper=upper,
            start=start,
        )

    @property
    def is_target(self) -> BoolArray:
        """Whether a row has a target above zero, shape ``(R,)``."""
        return np.asarray(self.targets > 0.0)

    @property
    def scale(self) -> float:
        """The losses of the rows of a silent neuron."""
        return float((self.targets**2).sum()) / self.softness if self.softness else 0.0

    @property
    def n_rows(self) -> int:
        """Number of rows `R`."""
        return len(self.matrix)

    def counted(self, theta: FloatArray) -> BoolArray:
        """Mark the rows that count: those with a target above zero, and those above a target of
        zero."""
        return np.asarray(self.is_target | (self.matrix @ theta > self.wanted))

    def missed(self, theta: FloatArray) -> FloatArray:
        """Return by what every row misses its target."""
        return np.where(self.counted(theta), self.matrix @ theta - self.wanted, 0.0)

    def losses(self, theta: FloatArray) -> FloatArray:
        """Return the price of the change, then the losses of the rows, shape ``(1 + R,)``."""
        missed = self.missed(theta) ** 2
        losses = missed / self.softness if self.softness else np.zeros_like(missed)
        return np.append(((theta - self.centre) ** 2).sum(), losses)

    def excess(self, theta: FloatArray) -> float:
        """Return how much the sum at a point of the box is above the least one, at most.

        From ``f(y) >= f(x) + g . (y - x) + |y - x|^2``, minimized over the `y` of the box, entry by
        entry."""
        slope = 2.0 * (theta - self.centre + self.matrix.T @ self.missed(theta) / self.softness)
        change = np.clip(-0.5 * slope, self.lower - theta, self.upper - theta)
        return float(-(change * (slope + change)).sum())


def fit_ridge(search: Search[Ridge]) -> None:
    """Find the optimum, proven to 1e-6 of the sum; the search has failed if it was not found.

    With fewer rows than unknowns the centre is projected onto rows that may be violated."""
    problem = search.problem
    if not problem.softness:
        search.kind = "closed_form"
        search.accept(problem.centre, math.inf)
        search.raise_bound(search.loss)
        return
    search.kind = "qp"
    search.solver_calls[quadratic.SOLVER] += 1
    if problem.n_unknowns > problem.n_rows:
        low = np.where(problem.is_target, problem.wanted, -np.inf)
        box = problem.lower, problem.upper
        theta = quadratic.project(
            problem.centre, problem.matrix, low, problem.wanted, *box, problem.softness
        )
    else:
        theta = _by_newton(problem)
    if theta is None or problem.excess(theta) > FEASIBILITY_TOLERANCE * problem.loss(theta):
        search.stop, search.message = Stop.FAILED, "the ridge regression was not solved"
        return
    search.accept(theta, math.inf)
    search.raise_bound(search.loss - problem.excess(search.theta))


def _by_newton(problem: Ridge) -> FloatArray | None:
    """Minimize by Newton's method: with the set of rows that count held fixed, the sum is
    quadratic."""
    theta = problem.centre
    active = problem.counted(theta)
    for _ in range(MAX_STEPS):
        rows = problem.matrix[active]
        hessian = np.eye(theta.size) + rows.T @ rows / problem.softness
        slope = -problem.centre - rows.T @ problem.wanted[active] / problem.softness
        optimum = quadratic.box_quadratic(hessian, slope, problem.lower, problem.upper)
        if optimum is None or np.array_equal(problem.counted(optimum), active):
            return optimum
        step, before = 1.0, problem.loss(theta)
        while problem.loss(theta + step * (optimum - theta)) >= before:
            step *= 0.5
            if step <= 0.5**HALVINGS:
                return theta
        theta = theta + step * (optimum - theta)
        active = problem.counted(theta)
    return theta
