"""Programs of the output layer: linear, because the prediction is the output closest to one."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.formulations.regression import HingeRegression
from layermilp.program import Program


def output(problem: HingeRegression) -> Program:
    """The LP (7) and (8) of Goebbels 2021, and that of its section 2.3 where the tolerance `s` is
    positive.

    With one loss column ``z >= 0`` per row::

        target 0      z >= a - s                            (d+ beyond the slack)
        target 1      z >= a - 1 - s,   z >= 1 - a - s      (d+ + d- beyond the slack)

    The report's deviations and slacks are eliminated; the objective is the same.
    """
    ones = np.flatnonzero(problem.is_target)
    kept = np.concatenate([ones, np.flatnonzero(~problem.is_target)])
    h, g, s = problem.coefficients, problem.constants, problem.tolerance
    matrix = sparse.block_array(
        [
            [-h[kept], sparse.eye_array(kept.size)],
            [h[ones], sparse.eye_array(ones.size, kept.size)],
        ],
        format="csr",
    )
    row_lower = np.concatenate([g[kept] - problem.is_target[kept] - s, 1.0 - g[ones] - s])
    return Program(
        costs=np.concatenate([np.zeros(problem.n_unknowns), problem.weights[kept]]),
        matrix=matrix,
        row_lower=row_lower,
        row_upper=np.full(row_lower.size, np.inf),
        col_lower=np.concatenate([problem.lower, np.zeros(kept.size)]),
        col_upper=np.concatenate([problem.upper, np.full(kept.size, np.inf)]),
        start=np.concatenate(
            [problem.start, (problem.losses(problem.start) / problem.weights)[kept]]
        ),
        name="output",
        column_groups=(("theta", problem.n_unknowns), ("z", kept.size)),
    )
