"""Small dense quadratic programs, projections among them, through DAQP (MIT licence), a dual
active-set method."""

from __future__ import annotations

import ctypes

import daqp
import numpy as np

from layermilp.program import FloatArray

INFINITE = 1e30
"""What DAQP takes for no bound."""

PRIMAL_TOLERANCE = 1e-9
"""Violation of a row that DAQP may leave."""

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
    """Return the nearest `x` to a point in the l2 norm with ``row_lower <= A x <= row_upper`` and
    ``lower <= x <= upper``.

    With `softness` the rows may be violated, at the price of the squared violation over `softness`.

    Parameters
    ----------
    point : (n,) array
        What is projected.
    matrix : (m, n) array
        `A`, dense.
    row_lower, row_upper : (m,) arrays
        Bounds of the rows; infinite ones are allowed.
    lower, upper : (n,) arrays
        Box.
    softness : float
        `s` of what is minimized, ``|x - point|^2 + |violation|^2 / s``; with 0 the rows hold.

    Returns
    -------
    (n,) array or None
        None if there is no such point, or none was found.
    """
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
    change, _, flag, _ = daqp.solve(
        np.eye(point.size),
        np.zeros(point.size),
        np.ascontiguousarray(matrix),
        np.minimum(bounds_upper, INFINITE),
        np.maximum(bounds_lower, -INFINITE),
        np.zeros(bounds_lower.size, dtype=ctypes.c_int),
        primal_tol=PRIMAL_TOLERANCE,
    )
    return np.clip(point + change, lower, upper)[:n] if flag == OPTIMAL else None


def box_quadratic(
    hessian: FloatArray, slope: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray | None:
    """Return the minimizer of ``x' hessian x / 2 + slope . x`` over a box, or None if it was not
    found.

    Parameters
    ----------
    hessian : (n, n) array
        Positive definite.
    slope, lower, upper : (n,) arrays
        Linear part, and box.
    """
    sense = np.zeros(slope.size, dtype=ctypes.c_int)
    none = np.zeros((0, slope.size))
    x, _, flag, _ = daqp.solve(
        np.ascontiguousarray(hessian), slope, none, upper, lower, sense, primal_tol=PRIMAL_TOLERANCE
    )
    return np.clip(x, lower, upper) if flag == OPTIMAL else None
