"""Small dense quadratic programs, projections among them, through DAQP (MIT licence), a dual
active-set method."""

from __future__ import annotations

import ctypes

import daqp
import numpy as np

from layermilp.program import FloatArray
from layermilp.solvers.base import PRIMAL_TOLERANCE

SOLVER = "daqp"
"""Name under which it is counted, and of its package."""

INFINITE = 1e30
"""What DAQP takes for no bound."""

OPTIMAL = 1
"""DAQP's exit flag of a solution."""


def project(
    point: FloatArray,
    matrix: FloatArray,
    row_lower: FloatArray,
    row_upper: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    softness: float = 0.0,
) -> FloatArray | None:
    """Return the nearest `x` to a point, shape ``(n,)``, in the l2 norm with ``row_lower <= A x <=
    row_upper`` and ``lower <= x <= upper``; None if there is none, or none was found.

    `A` is dense, of shape ``(m, n)``; bounds may be infinite. With a softness `s` above 0 the rows
    may be violated, and ``|x - point|^2 + |violation|^2 / s`` is minimized."""
    n = point.size
    if softness:
        # A violation v is a further unknown u with v = sqrt(s) u, whose square is its price.
        matrix = np.hstack([matrix, np.sqrt(softness) * np.eye(len(matrix))])
        point, lower, upper = (
            np.concatenate([part, np.full(len(matrix), end)])
            for part, end in ((point, 0.0), (lower, -np.inf), (upper, np.inf))
        )
    at_point = matrix @ point
    bounds_lower = np.concatenate([lower - point, row_lower - at_point])
    bounds_upper = np.concatenate([upper - point, row_upper - at_point])
    hessian, slope = np.eye(point.size), np.zeros(point.size)
    change = _minimizer(hessian, slope, matrix, bounds_lower, bounds_upper)
    return None if change is None else np.clip(point + change, lower, upper)[:n]


def box_quadratic(
    hessian: FloatArray, slope: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray | None:
    """Return the minimizer of ``x' hessian x / 2 + slope . x`` over a box, or None if it was not
    found; the hessian, shape ``(n, n)``, is positive definite."""
    x = _minimizer(hessian, slope, np.zeros((0, slope.size)), lower, upper)
    return None if x is None else np.clip(x, lower, upper)


def _minimizer(
    hessian: FloatArray, slope: FloatArray, matrix: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray | None:
    """Return DAQP's solution; the bounds are those of the unknowns and then of the rows."""
    x, _, flag, _ = daqp.solve(
        np.ascontiguousarray(hessian),
        slope,
        np.ascontiguousarray(matrix),
        np.minimum(upper, INFINITE),
        np.maximum(lower, -INFINITE),
        np.zeros(lower.size, dtype=ctypes.c_int),
        primal_tol=PRIMAL_TOLERANCE,
    )
    return x if flag == OPTIMAL else None
