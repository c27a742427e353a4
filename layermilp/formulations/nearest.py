"""The tie-break among optima: the solution nearest to where the search began."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.formulations.regression import LinearRegression, ReluRegression
from layermilp.program import FloatArray, Program


def nearest(problem: ReluRegression | LinearRegression, theta: FloatArray) -> Program:
    """LP for the point nearest to `problem.start` at which no row loses more than at `theta`.

    minimize ``sum_i |theta'_i - start_i|`` over the box with ``low_r <= a_r <= high_r``, the piece
    of the row's loss on which `theta` lies (`ReluRegression.level`). With more weights than samples
    the optimum of a weight program is rarely unique; a solver returns a vertex that may lie far
    from the present weights, which forgets what these had learned.

    The columns are ``theta' = start + plus - minus``, as `plus` and then `minus`; see
    `nearest_point`."""
    low, high = problem.level(theta)
    at_start = problem.preactivation(problem.start)
    h, size = problem.coefficients, problem.n_unknowns
    return Program(
        costs=np.ones(2 * size),
        matrix=sparse.hstack([h, -h], format="csr"),
        row_lower=low - at_start,
        row_upper=high - at_start,
        col_lower=np.zeros(2 * size),
        col_upper=np.concatenate([problem.upper - problem.start, problem.start - problem.lower]),
        name="nearest",
        column_groups=(("plus", size), ("minus", size)),
    )


def nearest_point(problem: ReluRegression | LinearRegression, x: FloatArray) -> FloatArray:
    """Return `theta'` of a solution of `nearest`."""
    return np.asarray(problem.start + x[: problem.n_unknowns] - x[problem.n_unknowns :])
