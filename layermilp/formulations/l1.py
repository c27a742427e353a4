"""The last layer: the deviation of linear outputs from zeros and ones, with a dead zone `s`.

    ``minimize  sum_r w_r max(0, a_r - s)`` over the rows with target zero
    ``+ sum_r w_r max(0, |a_r - 1| - s)`` over those with target one, ``a = H theta + g``

(7) and (8) of Goebbels 2021 for ``s = 0``, its section 2.3 for ``s = 0.49``. The program is linear,
because the prediction is the output closest to one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from layermilp.formulations.loss import Box, OutputLoss, input_rows
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.formulations.problem import OutputRegression
from layermilp.networks.network import Block
from layermilp.networks.parameters import Group
from layermilp.program import BoolArray, FloatArray, IntArray, Program


@dataclass(frozen=True, eq=False)
class HingeRegression(PiecewiseLinear, OutputRegression):
    """Outputs fitted to zeros and ones.

    The pieces of a row are ``0`` and ``a - s`` where the target is zero, and ``0``, ``a - 1 - s``
    and ``1 - a - s`` where it is one. `coefficients` may be dense where there are many rows.

    Parameters
    ----------
    is_target : (R,) array of bool
        Where the target is one.
    row_weights : (R,) array
        `w`, such as class weights; positive.
    tolerance : float
        The dead zone `s`, at least 0.
    """

    is_target: BoolArray
    row_weights: FloatArray
    tolerance: float = 0.0

    @property
    def scale(self) -> float:
        """Sum of the weights of the rows with target one."""
        return float(self.row_weights @ self.is_target)

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation in which its loss at `theta` is not exceeded."""
        a, reach = self.preactivation(theta), self.tolerance + self.values(theta).max(axis=1)
        low = np.where(self.is_target, 1.0 - reach, -np.inf)
        return np.minimum(low, a), np.maximum(self.is_target + reach, a)

    def program(self) -> Program:
        """Linear program with one loss column ``z >= 0`` per row.

        It bounds the loss of the row from below::

            target 0      z >= a - s                            (d+ beyond the slack)
            target 1      z >= a - 1 - s,   z >= 1 - a - s      (d+ + d- beyond the slack)

        The deviations and slacks of the paper are eliminated; the objective is the same.
        """
        ones = np.flatnonzero(self.is_target)
        kept = np.concatenate([ones, np.flatnonzero(~self.is_target)])
        h, g, s = self.coefficients, self.constants, self.tolerance
        matrix = sparse.block_array(
            [
                [-h[kept], sparse.eye_array(kept.size)],
                [h[ones], sparse.eye_array(ones.size, kept.size)],
            ],
            format="csr",
        )
        row_lower = np.concatenate([g[kept] - self.is_target[kept] - s, 1.0 - g[ones] - s])
        return Program(
            costs=np.concatenate([np.zeros(self.n_unknowns), self.row_weights[kept]]),
            matrix=matrix,
            row_lower=row_lower,
            row_upper=np.full(row_lower.size, np.inf),
            col_lower=np.concatenate([self.lower, np.zeros(kept.size)]),
            col_upper=np.concatenate([self.upper, np.full(kept.size, np.inf)]),
            start=np.concatenate([self.start, self.values(self.start).max(axis=1)[kept]]),
            name="output",
            column_groups=(("theta", self.n_unknowns), ("z", kept.size)),
        )

    def values(self, theta: FloatArray) -> FloatArray:
        """All pieces at `theta`, shape ``(R, 3)``."""
        deviation = self.preactivation(theta) - self.is_target
        below = np.where(self.is_target, -deviation - self.tolerance, -np.inf)
        return np.column_stack([np.zeros(self.n_rows), deviation - self.tolerance, below])

    def linear(self, theta: FloatArray) -> FloatArray:
        """``0``, ``H theta`` and ``-H theta``, shape ``(R, 3)``."""
        a = self.coefficients @ theta
        return np.column_stack([np.zeros(self.n_rows), a, -a])

    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return ``H' (lam_1 - lam_2)``, shape ``(p,)``."""
        return np.asarray((multipliers[:, 1] - multipliers[:, 2]) @ self.coefficients)

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return ``H' diag(k) H``, where `k` sums ``D_p D_q / sum D`` times the squared difference
        of the pieces' signs."""
        none, above, below = weights.T
        k = (none * above + none * below + 4.0 * above * below) / weights.sum(axis=1)
        return np.asarray((self.coefficients * k[:, None]).T @ self.coefficients)

    def gradients(self, rows: IntArray, pieces: IntArray) -> sparse.csr_array:
        """Return ``G_rp`` of `N` pairs of row and piece, shape ``(N, p)``: the rows of `H` with the
        sign of their piece."""
        return sparse.csr_array(_signs(pieces)[:, None] * self.coefficients[rows])

    def intercepts(self, rows: IntArray, pieces: IntArray) -> FloatArray:
        """Return ``h_rp`` of `N` pairs of row and piece, shape ``(N,)``; ``-inf`` where the row has
        no such piece."""
        shifted = _signs(pieces) * (self.constants[rows] - self.is_target[rows])
        known = shifted - self.tolerance * (pieces > 0)
        return np.where((pieces == 2) & ~self.is_target[rows], -np.inf, known)

    def combinations(self, rows: IntArray, choices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the `K` linear functions ``sum_r w_r v_rp`` over `N` rows, for choices of one
        piece of each, shape ``(K, N)``: coefficients ``(K, p)`` and constants ``(K,)``."""
        weights = self.row_weights[rows]
        costs = (weights * _signs(choices)) @ self.coefficients[rows]
        return costs, self.intercepts(rows, choices) @ weights

    def part(self, rows: IntArray) -> Self:
        """Return the sum over some of the rows."""
        return replace(
            self,
            coefficients=self.coefficients[rows],
            constants=self.constants[rows],
            is_target=self.is_target[rows],
            row_weights=self.row_weights[rows],
        )


def _signs(pieces: IntArray) -> FloatArray:
    """Return the signs that `a` has in the pieces of a row."""
    return np.array([0.0, 1.0, -1.0])[pieces]


@dataclass(frozen=True)
class L1(OutputLoss):
    """Deviation from one-hot targets, every output by itself.

    Parameters
    ----------
    one_weights : (n_outputs,) array
        Factor of the loss where an output's target is one, positive; the paper's is 1.
    tolerance : float
        The dead zone, at least 0.
    """

    one_weights: FloatArray
    tolerance: float = 0.0
    name: ClassVar[str] = "l1"
    decision: ClassVar[str] = "closest_to_one"
    output_box: ClassVar[float] = 1.0

    @classmethod
    def of(cls, one_weights: FloatArray, input_penalty: float) -> Self:
        """Return the loss with its class weights."""
        return cls(one_weights)

    def postprocessed(self, tolerance: float) -> Self:
        """Return the loss with a dead zone."""
        return replace(self, tolerance=tolerance)

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, targets: IntArray, box: Box
    ) -> HingeRegression:
        """One row per sample and neuron."""
        problem = self.of_many(block, group, inputs, targets, box)
        return replace(problem, coefficients=sparse.csr_array(problem.coefficients))

    def of_many(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> HingeRegression:
        """The same with dense coefficients."""
        is_target = (labels[:, None] == group.neurons).reshape(-1)
        weights = np.tile(self.one_weights[group.neurons], len(labels))
        return HingeRegression(
            *block.parameters.rows(group, inputs),
            *box.around(block.theta, group.parameters),
            is_target,
            np.where(is_target, weights, 1.0),
            self.tolerance,
        )

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: IntArray
    ) -> HingeRegression:
        """One row per sample and output."""
        is_target = targets[:, None] == np.arange(len(weights))
        return hinge_of_inputs(weights, bias, inputs, is_target, self.one_weights)


def hinge_of_inputs(
    weights: FloatArray,
    bias: FloatArray,
    inputs: FloatArray,
    is_target: BoolArray,
    one_weights: FloatArray | float = 1.0,
) -> HingeRegression:
    """Return the problem in the inputs of all samples; any number of a sample's targets may be one,
    `is_target` of shape ``(m, n)``. The other arguments are those of `L1`."""
    row_weights = np.where(is_target, one_weights, 1.0).reshape(-1)
    return HingeRegression(*input_rows(weights, bias, inputs), is_target.reshape(-1), row_weights)
