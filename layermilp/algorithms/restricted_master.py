"""Linear programs of parts of a convex piecewise linear sum's pieces.

With some of its pieces left out a row is underestimated, and with one piece it is linear. So the
optimum of any `restricted_master` is a lower bound of the sum, and few rows of it need constraints
of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from layermilp.algorithms.tolerances import POSITIVE
from layermilp.formulations.l1 import HingeRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program


@dataclass(frozen=True, eq=False)
class Cut:
    """A linear function below the sum: one piece of every row.

    Parameters
    ----------
    choice : (R,) array of small int
        The piece of every row.
    costs : (p,) array
        Gradient of the function.
    constant : float
        Its value at zero.
    """

    choice: IntArray
    costs: FloatArray
    constant: float

    @classmethod
    def of(cls, problem: HingeRegression, choice: IntArray) -> Cut:
        """Add up the chosen pieces."""
        costs, constants = problem.combinations(np.arange(problem.n_rows), choice[None])
        return cls(choice, costs[0], float(constants[0]))

    def minimum(self, lower: FloatArray, upper: FloatArray) -> float:
        """Least value of the function over a box: a lower bound of the sum there."""
        return float(np.minimum(self.costs * lower, self.costs * upper).sum()) + self.constant


def restricted_master(
    problem: HingeRegression,
    kept: BoolArray,
    cuts: Sequence[Cut],
    lower: FloatArray,
    upper: FloatArray,
) -> Program:
    """LP in `theta`, `z` and `e` that underestimates the sum over a box: some rows by some of their
    pieces, all others jointly by cuts.

    The first kept piece `b` of a row goes into the costs, every other one is a constraint on a
    column ``z_r >= 0``, by which the row exceeds that piece. For the rows without a kept piece the
    first cut `C_0` goes into the costs, and every other one is a constraint on a column ``e >= 0``;
    each cut is taken without the rows that have kept pieces::

        minimize  sum_r w_r (v_rb(theta) + z_r) + C_0(theta) + e
        subject to  z_r >= v_rp(theta) - v_rb(theta),   e >= C_i(theta) - C_0(theta)

    With one cut, and then no `e`, this fixes the signs of all rows that are not kept.

    Parameters
    ----------
    problem : HingeRegression
        The sum.
    kept : (R, P) array of bool
        The pieces.
    cuts : sequence of Cut
        At least one.
    lower, upper : (p,) arrays
        Box of `theta`: that of the problem, or a part of it.
    """
    bent = np.flatnonzero(kept.any(axis=1))
    bases = kept[bent].argmax(axis=1)
    others = kept[bent]
    others[np.arange(bent.size), bases] = False
    place, pieces = np.nonzero(others)
    rows, base = bent[place], bases[place]
    slopes = problem.gradients(rows, pieces) - problem.gradients(rows, base)
    shift = problem.intercepts(rows, pieces) - problem.intercepts(rows, base)
    excess = sparse.csr_array(
        (np.ones(rows.size), (np.arange(rows.size), place)), shape=(rows.size, bent.size)
    )
    costs, constants = problem.combinations(bent, bases[None])
    out, out_constants = problem.combinations(bent, np.stack([cut.choice[bent] for cut in cuts]))
    joint = np.stack([cut.costs for cut in cuts]) - out
    joint_constants = np.array([cut.constant for cut in cuts]) - out_constants
    # A cut adds up thousands of rows: its constraint is scaled to the size of theirs.
    steeper, higher = joint[1:] - joint[0], joint_constants[1:] - joint_constants[0]
    size = np.maximum(np.abs(steeper).max(axis=1, initial=0.0), 1.0)[:, None]
    blocks = [
        [-slopes, excess, None],
        [sparse.csr_array(-steeper / size), None, sparse.csr_array(1.0 / size)],
    ]
    n_joint = int(len(cuts) > 1)
    row_lower = np.concatenate([shift, higher / size[:, 0]])
    return Program(
        costs=np.concatenate([costs[0] + joint[0], problem.row_weights[bent], np.ones(n_joint)]),
        offset=float(constants[0] + joint_constants[0]),
        matrix=sparse.block_array(
            [block[: 2 + n_joint] for block in blocks[: 1 + n_joint]], format="csr"
        ),
        row_lower=row_lower,
        row_upper=np.full(row_lower.size, np.inf),
        col_lower=np.concatenate([lower, np.zeros(bent.size + n_joint)]),
        col_upper=np.concatenate([upper, np.full(bent.size + n_joint, np.inf)]),
        name="pieces",
        column_groups=(("theta", problem.n_unknowns), ("z", bent.size), ("e", n_joint)),
    )


def dual_program(program: Program) -> Program:
    """Dual of a restricted master program, in `y`, `s` and `t`: as few equations as there are
    unknowns, besides bounds of short sums.

    For ``min c . theta + w . z + offset`` subject to ``A theta + B z >= b``, theta in [l, u] and
    ``z >= 0``::

        minimize  -b . y - l . s + u . t - offset   subject to  A' y + s - t = c,  B' y <= w,  y, s,
        t >= 0

    Its optimum is minus that of the program; minus the objective of any of its points is a lower
    bound of that."""
    size = program.column_groups[0][1]
    transposed = sparse.csr_array(program.matrix.T)
    eye = sparse.eye_array(size, format="csr")
    matrix = sparse.block_array(
        [[transposed[:size], eye, -eye], [transposed[size:], None, None]], format="csr"
    )
    ends = -program.col_lower[:size], program.col_upper[:size]
    costs = np.concatenate([-program.row_lower, *ends])
    row_lower = program.costs.copy()
    row_lower[size:] = -np.inf
    return Program(
        costs=costs,
        offset=-program.offset,
        matrix=matrix,
        row_lower=row_lower,
        row_upper=program.costs,
        col_lower=np.zeros(costs.size),
        col_upper=np.full(costs.size, np.inf),
        name="pieces_dual",
        column_groups=(("y", program.n_rows), ("s", size), ("t", size)),
    )


def recover(program: Program, dual: FloatArray) -> FloatArray:
    """Return the point of a restricted master program that is complementary to a vertex of its
    dual, feasible, with every `z` and `e` as small as it can be.

    Constraints with ``y > 0`` hold with equality, unknowns with ``s > 0`` or ``t > 0`` lie on their
    bounds, and columns `z` whose dual constraint is slack are zero. Where the vertex is not
    degenerate these equations have one solution; else what is returned need not be optimal, and its
    objective tells."""
    size = program.column_groups[0][1]
    slopes, excess = program.matrix[:, :size], program.matrix[:, size:]
    y, s, t = np.split(dual, [program.n_rows, program.n_rows + size])
    tight = np.flatnonzero(y > POSITIVE * program.costs[size:][excess.indices] / excess.data)
    # One column z in every constraint. Where it is not zero, it is eliminated by the first tight
    # constraint of its own.
    column = excess.indices[tight]
    is_zero = excess.T @ y < program.costs[size:] * (1.0 - POSITIVE)
    first = np.full(excess.shape[1], -1)
    first[column[::-1]] = tight[::-1]
    reference = first[column]
    scale = np.where(is_zero[column], 0.0, excess.data[tight] / excess.data[reference])
    left = slopes[tight].toarray() - scale[:, None] * slopes[reference].toarray()
    right = program.row_lower[tight] - scale * program.row_lower[reference]
    low, high = program.col_lower[:size], program.col_upper[:size]
    theta = np.where(s > t, low, high)
    free = np.maximum(s, t) <= POSITIVE
    at_bounds = left[:, ~free] @ theta[~free]
    if free.any():
        theta[free] = np.linalg.lstsq(left[:, free], right - at_bounds, rcond=None)[0]
    theta = np.clip(theta, low, high)
    least = np.zeros(excess.shape[1])
    np.maximum.at(least, excess.indices, (program.row_lower - slopes @ theta) / excess.data)
    return np.concatenate([theta, least])
