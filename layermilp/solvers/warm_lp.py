"""Many small linear programs that differ in numbers only, one after the other, in one HiGHS
object."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray, Limits, Program
from layermilp.solvers.highs import Highs, pass_model, run, silent_highs

SOLVER = Highs.name
"""Name of the solver that is used."""

is_available = Highs.is_available


class WarmLp:
    """Linear programs with one matrix `A` of shape ``(m, n)``: ``min c . x`` with ``A x = b`` and
    ``lower <= x <= upper``.

    Every solve starts from the basis of the last one, so that a program much like the last takes
    few pivots. What it answers is a claim, as any solver's; it is for callers who compute what they
    need from it in numpy."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._n_rows, self._n_columns = matrix.shape
        self._columns = np.arange(self._n_columns, dtype=np.int32)
        self._rows = np.arange(self._n_rows, dtype=np.int32)
        self._highs = silent_highs()
        zeros, rhs = np.zeros(self._n_columns), np.zeros(self._n_rows)
        program = Program(zeros, matrix, rhs, rhs, zeros, zeros)
        for name, value, _ in Highs().settings(program, Limits(), {"presolve": "off"}):
            self._highs.setOptionValue(name, value)
        pass_model(self._highs, program)

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
