"""Ridge regression through a ReLU: a convex quadratic program in place of the least absolute deviations.

With the rows' targets `t`, the start ``theta_0`` and `s` the ridge times the mean squared norm of a row of `H`::

    minimize  |theta - (1 - weight_decay) theta_0|^2 + (1 / s) sum_r m_r(theta)^2   over the box,
    m_r = a_r - t_r  where t_r > 0,   m_r = max(0, a_r)  where t_r = 0,   a = H theta + g

The sum is nowhere below that of the squares of ``max(0, a_r) - t_r``, and convex. Where there are more weights than samples a
ridge leaves out of the fit what only small differences of the samples support (Hoerl and Kennard 1970), and the decay forgets
what no batch asks for. Where there are more samples than weights it follows all of them, while the l1 optimum stays with the
majority, whose targets are what it gives already.
"""

from __future__ import annotations

import numpy as np

from layermilp.formulations.regression import ReluRegression
from layermilp.program import BoolArray, FloatArray
from layermilp.solvers.projection import box_quadratic, project

MAX_STEPS = 100
"""Largest number of Newton steps: a guard, since each lowers the sum and there are finitely many sets of active rows."""

HALVINGS = 30
"""Largest number of halvings of a Newton step."""


def fit_ridge(problem: ReluRegression, ridge: float, weight_decay: float) -> FloatArray | None:
    """Return the optimum, or None if it was not found.

    Parameters
    ----------
    problem : ReluRegression
        Rows, targets, box and start.
    ridge : float
        Above 0.
    weight_decay : float
        From 0 to 1.
    """
    matrix = problem.coefficients.toarray()
    softness = ridge * float((matrix**2).sum(axis=1).mean()) if matrix.size else 0.0
    centre = np.clip((1.0 - weight_decay) * problem.start, problem.lower, problem.upper)
    if not softness:
        return centre
    if problem.n_unknowns > problem.n_rows:
        low = np.where(problem.targets > 0.0, problem.targets, -np.inf)
        rows = low - problem.constants, problem.targets - problem.constants
        return project(centre, matrix, *rows, problem.lower, problem.upper, softness)
    return _by_newton(problem, matrix, centre, softness)


def _by_newton(
    problem: ReluRegression, matrix: FloatArray, centre: FloatArray, softness: float
) -> FloatArray | None:
    """Minimize by Newton's method: with the set of rows that count held fixed, the sum is quadratic."""
    wanted = problem.targets - problem.constants

    def counted(theta: FloatArray) -> BoolArray:
        return np.asarray((problem.targets > 0.0) | (matrix @ theta > wanted))

    def loss(theta: FloatArray) -> float:
        missed = np.where(counted(theta), matrix @ theta - wanted, 0.0)
        return float(((theta - centre) ** 2).sum() + (missed**2).sum() / softness)

    theta, active = centre, counted(centre)
    for _ in range(MAX_STEPS):
        rows = matrix[active]
        hessian = np.eye(theta.size) + rows.T @ rows / softness
        optimum = box_quadratic(
            hessian, -centre - rows.T @ wanted[active] / softness, problem.lower, problem.upper
        )
        if optimum is None:
            return None
        if np.array_equal(counted(optimum), active):
            return optimum
        step, before = 1.0, loss(theta)
        while loss(theta + step * (optimum - theta)) >= before and step > 0.5**HALVINGS:
            step *= 0.5
        if step <= 0.5**HALVINGS:
            return theta
        theta = theta + step * (optimum - theta)
        active = counted(theta)
    return theta
