"""Fewer unknowns with the same optimum: empty columns are left out, equal ones aggregated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from layermilp.formulations.problem import Rows
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray


def nonzero_columns(matrix: sparse.csr_array) -> BoolArray:
    """Mask of the unknowns that occur in some row; the others cannot change any loss."""
    occurs = np.zeros(matrix.shape[1], dtype=bool)
    occurs[matrix.indices[matrix.data != 0.0]] = True
    return occurs


def restricted(problem: ReluRegression, unknowns: BoolArray) -> ReluRegression:
    """Return the problem in the given unknowns alone; the others stay at their start."""
    rest = ~unknowns
    fixed = problem.coefficients[:, np.flatnonzero(rest)] @ problem.start[rest]
    return replace(
        problem,
        coefficients=problem.coefficients[:, np.flatnonzero(unknowns)],
        constants=problem.constants + fixed,
        lower=problem.lower[unknowns],
        upper=problem.upper[unknowns],
        start=problem.start[unknowns],
    )


@dataclass(frozen=True, eq=False)
class Aggregation:
    """Unknowns with equal columns of `H`, of which only the sums matter to any row.

    Parameters
    ----------
    group : (p,) array of int
        Number of the sum in which an unknown occurs.
    firsts : (q,) array of int
        One unknown of each sum.
    """

    group: IntArray
    firsts: IntArray

    @classmethod
    def of(cls, coefficients: sparse.csr_array) -> Aggregation:
        """Find the equal columns."""
        columns = coefficients.toarray().T
        _, firsts, group = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        # In the order of their first unknowns, so that nothing moves where no columns are equal.
        rank = np.argsort(np.argsort(firsts))
        return cls(rank[group.reshape(-1)], np.sort(firsts))

    def apply(self, problem: ReluRegression) -> ReluRegression:
        """Return the problem in the sums; it has the same optimum."""
        return replace(
            problem,
            coefficients=problem.coefficients[:, self.firsts],
            lower=self.sums(problem.lower),
            upper=self.sums(problem.upper),
            start=self.sums(problem.start),
        )

    def sums(self, values: FloatArray) -> FloatArray:
        """Add up values of the unknowns, shape ``(p,)`` to ``(q,)``."""
        return np.bincount(self.group, values, self.firsts.size).astype(np.float64, copy=False)

    def spread(self, sums: FloatArray, rows: Rows) -> FloatArray:
        """Return unknowns with the given sums: every one moves from its start by the same share of
        its room in the box.

        Among the points with these sums it is one of the nearest to the start in the l1 norm.
        """
        change = sums - self.sums(rows.start)
        room = np.where(change[self.group] > 0.0, rows.upper - rows.start, rows.start - rows.lower)
        total = self.sums(room)
        share = np.divide(np.abs(change), total, out=np.zeros_like(total), where=total > 0.0)
        moved = rows.start + np.sign(change)[self.group] * np.minimum(share, 1.0)[self.group] * room
        return np.asarray(np.clip(moved, rows.lower, rows.upper))
