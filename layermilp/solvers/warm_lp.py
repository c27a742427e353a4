"""Many small linear programs that differ in numbers only, one after the other, in one HiGHS
object."""

from __future__ import annotations

import importlib.util

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray
from layermilp.solvers.base import PRIMAL_TOLERANCE, Option
from layermilp.solvers.highs import run, silent_highs

SOLVER = "highs"
"""Name of the solver that is used."""


def is_available() -> bool:
    """Whether HiGHS is installed."""
    return importlib.util.find_spec("highspy") is not None


class WarmLp:
    """Linear programs with one matrix, ``min c . x`` with ``A x = b`` and ``lower <= x <= upper``.

    Every solve starts from the basis of the last one, so that a program much like the last takes
    few pivots. What it answers is a claim, as any solver's; it is for callers who compute what they
    need from it in numpy.

    Parameters
    ----------
    matrix : (m, n) sparse array
        `A`.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        import highspy

        self._n_rows, self._n_columns = matrix.shape
        self._columns = np.arange(self._n_columns, dtype=np.int32)
        self._rows = np.arange(self._n_rows, dtype=np.int32)
        self._highs = silent_highs()
        options: dict[str, Option] = {
            "threads": 1,
            "presolve": "off",
            "primal_feasibility_tolerance": PRIMAL_TOLERANCE,
            "dual_feasibility_tolerance": PRIMAL_TOLERANCE,
        }
        for name, value in options.items():
            self._highs.setOptionValue(name, value)
        zeros, rhs = np.zeros(self._n_columns), np.zeros(self._n_rows)
        self._highs.passModel(
            self._n_columns,
            self._n_rows,
            matrix.nnz,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            zeros,
            zeros,
            zeros,
            rhs,
            rhs,
            matrix.indptr.astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
            np.zeros(self._n_columns, dtype=np.int32),
        )

    def solve(
        self, costs: FloatArray, rhs: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return the solution, shape ``(n,)``, and the duals of the rows, ``(m,)``; None if there
        is none or it failed."""
        import highspy

        highs = self._highs
        highs.changeColsCost(self._n_columns, self._columns, costs)
        highs.changeColsBounds(self._n_columns, self._columns, lower, upper)
        highs.changeRowsBounds(self._n_rows, self._rows, rhs, rhs)
        run(highs, highs.run)
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = highs.getSolution()
        return np.array(solution.col_value), np.array(solution.row_dual)
