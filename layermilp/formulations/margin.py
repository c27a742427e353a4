"""The last layer with a margin: every sample's own output shall exceed all others by one.

    ``minimize  sum_k max(0, 1 - min_j a_kj) + mu |theta - start|_1  over a box``

where ``a_kj = o_y - o_j`` is the margin of the sample's own output `y` over its rival `j`, linear
in the unknowns because the outputs are read before their ReLU. It is the loss of Crammer and
Singer's multi-class support vector machine (JMLR 2, 2001), of all outputs jointly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from layermilp.formulations.loss import Box, OutputLoss, input_box
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.formulations.problem import OutputRegression
from layermilp.networks.network import Block
from layermilp.networks.parameters import Group, ParameterMap
from layermilp.program import FloatArray, IntArray, Program


@dataclass(frozen=True, eq=False)
class MarginRegression(OutputRegression):
    """Margins of samples over their rivals: rows are pairs ``(k, j)``, sample by sample.

    Parameters
    ----------
    n_rivals : int
        Rows per sample: the number of outputs less one.
    penalty : float
        `mu`, the price of a change, at least 0.
    """

    n_rivals: int
    penalty: float = 0.0

    @property
    def is_priced(self) -> bool:
        """Whether a change has a price."""
        return self.penalty > 0.0

    @cached_property
    def scale(self) -> float:
        """Number of samples: the loss where all outputs are equal."""
        return self.n_rows / self.n_rivals

    def scaled(self, outputs: float, unknowns: float) -> Self:
        """Return the same in other units of the unknowns; margins are measured in ones."""
        return replace(super().scaled(outputs, unknowns), penalty=self.penalty * unknowns)

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every sample, shape ``(R / n_rivals,)``."""
        margins = self.preactivation(theta).reshape(-1, self.n_rivals).min(axis=1)
        return np.asarray(np.maximum(1.0 - margins, 0.0))

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`, the price of the change included."""
        return super().loss(theta) + self.penalty * float(np.abs(theta - self.start).sum())

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every margin in which its sample's loss at `theta` is not exceeded."""
        a = self.preactivation(theta)
        low = np.minimum(1.0 - np.repeat(self.losses(theta), self.n_rivals), a)
        return low, np.full(a.size, np.inf)

    def program(self) -> Program:
        """Linear program with one column ``xi >= 0`` per sample.

        It bounds the loss of the sample from below::

            minimize  sum_k xi_k + mu |theta - start|_1   subject to  a_kj >= 1 - xi_k

        Where the price `mu` of a change is positive, one more column per unknown holds its
        decrease: ``|theta - start| = theta - start + 2 minus`` for the smallest ``minus >= start -
        theta``."""
        n_samples, size = self.n_rows // self.n_rivals, self.n_unknowns
        priced = size if self.is_priced else 0
        slack = sparse.kron(sparse.eye_array(n_samples), np.ones((self.n_rivals, 1)), format="csr")
        blocks, row_lower = [[self.coefficients, slack]], 1.0 - self.constants
        if priced:
            eye = sparse.eye_array(size, format="csr")
            blocks = [[self.coefficients, slack, None], [eye, None, eye]]
            row_lower = np.concatenate([row_lower, self.start])
        minus_upper = (self.start - self.lower)[:priced]
        return Program(
            costs=np.repeat([self.penalty, 1.0, 2.0 * self.penalty], [size, n_samples, priced]),
            offset=-self.penalty * float(self.start.sum()),
            matrix=sparse.block_array(blocks, format="csr"),
            row_lower=row_lower,
            row_upper=np.full(row_lower.size, np.inf),
            col_lower=np.concatenate([self.lower, np.zeros(n_samples + priced)]),
            col_upper=np.concatenate([self.upper, np.full(n_samples, np.inf), minus_upper]),
            start=np.concatenate([self.start, self.losses(self.start), np.zeros(priced)]),
            name="margin",
            column_groups=(("theta", size), ("xi", n_samples), ("minus", priced)),
        )


@dataclass(frozen=True, eq=False)
class MarginPieces(PiecewiseLinear):
    """The problem in the weights, with the structure that its rows have.

    With ``o = W x + c`` the pieces of a sample of class `y` are ``[j != y] + o_j - o_y`` for every
    output `j`; that of ``j = y`` is 0.

    Parameters
    ----------
    parameters : ParameterMap
        Which entries of ``(W, c)`` are free, tied or fixed.
    inputs : (R, d) array
        `x`.
    labels : (R,) array of int
        `y`.
    lower, upper, start, row_weights
        As in `PiecewiseLinear`, one row a sample.
    """

    parameters: ParameterMap
    inputs: FloatArray
    labels: IntArray
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    row_weights: FloatArray

    @property
    def scale(self) -> float:
        """Sum of the weights: the loss where all outputs are equal."""
        return float(self.row_weights.sum())

    @cached_property
    def extended(self) -> FloatArray:
        """The inputs with a column of ones, shape ``(R, d + 1)``."""
        return np.column_stack([self.inputs, np.ones(len(self.inputs))])

    def values(self, theta: FloatArray) -> FloatArray:
        """All pieces at `theta`, shape ``(R, n_outputs)``."""
        outputs = self.extended @ self.parameters.expand(theta).T
        samples = np.arange(self.n_rows)
        values = outputs - outputs[samples, self.labels][:, None] + 1.0
        values[samples, self.labels] = 0.0
        return values

    def linear(self, theta: FloatArray) -> FloatArray:
        """Differences of the outputs' linear parts, shape ``(R, n_outputs)``."""
        outputs = self.extended @ (self._gathered.T @ theta).reshape(self.parameters.index.shape).T
        return np.asarray(outputs - outputs[np.arange(self.n_rows), self.labels][:, None])

    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return ``sum_rp lam_rp G_rp``, shape ``(p,)``, by one product with the inputs."""
        signed = multipliers.copy()
        signed[np.arange(self.n_rows), self.labels] -= multipliers.sum(axis=1)
        return np.asarray(self._gathered @ (signed.T @ self.extended).reshape(-1))

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return the sum over pairs of outputs `j` and `k` of ``(e_j - e_k) (e_j - e_k)'`` times
        ``X' diag(c_jk) X``.

        With ``c_jk = D_j D_k / sum D``; the output of the sample's class, which all pieces
        subtract, cancels."""
        n, x, d = self.parameters.n_outputs, self.extended, self.extended.shape[1]
        total, blocks = weights.sum(axis=1), np.zeros((n, d, n, d))
        for j in range(n):
            for k in range(j):
                block = (x * (weights[:, j] * weights[:, k] / total)[:, None]).T @ x
                blocks[j, :, k] -= block
                blocks[k, :, j] -= block
                blocks[j, :, j] += block
                blocks[k, :, k] += block
        gathered = self._gathered
        return np.asarray(gathered @ (gathered @ blocks.reshape(n * d, n * d)).T)

    @cached_property
    def _gathered(self) -> sparse.csr_array:
        """Matrix that sums what belongs to the same parameter, shape ``(p, n_outputs (d + 1))``."""
        entries = np.flatnonzero(self.parameters.index >= 0)
        unknowns = self.parameters.index.reshape(-1)[entries]
        shape = (self.n_unknowns, self.parameters.index.size)
        return sparse.csr_array((np.ones(entries.size), (unknowns, entries)), shape=shape)

    def rows(self) -> MarginRegression:
        """Return the problem with its rows written down; all weights must be 1."""
        n_rivals = self.parameters.n_outputs - 1
        sample = np.repeat(np.arange(self.n_rows), n_rivals)
        own, rival = self.labels[sample], rivals(self.labels, n_rivals + 1).reshape(-1)
        x, index, fixed = self.extended[sample], self.parameters.index, self.parameters.fixed
        # A margin has the inputs at the weights of the sample's output, their negatives at those of
        # the rival.
        unknowns, values = np.hstack([index[rival], index[own]]), np.hstack([-x, x])
        row, entry = np.nonzero((unknowns >= 0) & (values != 0.0))
        coefficients = sparse.csr_array(
            (values[row, entry], (row, unknowns[row, entry])), shape=(own.size, self.n_unknowns)
        )
        # It is one less the piece of the rival, whose constant is this one.
        piece = 1.0 + np.einsum("nd,nd->n", x, fixed[rival] - fixed[own])
        box = self.lower, self.upper, self.start
        return MarginRegression(coefficients, 1.0 - piece, *box, n_rivals=n_rivals)


@dataclass(frozen=True)
class Margin(OutputLoss):
    """A margin of one over every other output, all outputs jointly.

    Parameters
    ----------
    penalty : float
        Price `mu` of a change of the inputs, at least 0.
    """

    penalty: float
    name: ClassVar[str] = "margin"
    decision: ClassVar[str] = "argmax"
    output_box: ClassVar[float] = 10.0
    postprocess_gap: ClassVar[float | None] = 0.01

    @classmethod
    def of(cls, one_weights: FloatArray, input_penalty: float) -> Self:
        """Return the loss with its price of a change."""
        return cls(input_penalty)

    def groups(self, block: Block) -> tuple[Group, ...]:
        """All neurons as one."""
        return (Group(np.arange(block.n_outputs), np.arange(block.parameters.n_parameters)),)

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, targets: IntArray, box: Box
    ) -> MarginRegression:
        """One row per sample and rival."""
        return self.of_many(block, group, inputs, targets, box).rows()

    def by_rows(self, values: FloatArray, labels: IntArray, neurons: IntArray) -> FloatArray:
        """Return the differences of the sample's own output and its rivals."""
        own = np.take_along_axis(values, labels[:, None], axis=1)
        others = np.take_along_axis(values, rivals(labels, neurons.size), axis=1)
        return np.asarray(own - others).reshape(-1)

    def of_many(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> MarginPieces:
        """One row per sample; there is no dead zone, because a margin of one is enough anyway."""
        around = box.around(block.theta, group.parameters)
        return MarginPieces(block.parameters, inputs, labels, *around, np.ones(len(labels)))

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: IntArray
    ) -> MarginRegression:
        """One row per sample and rival."""
        (n, d), size = weights.shape, inputs.size
        own, rival = np.repeat(targets, n - 1), rivals(targets, n).reshape(-1)
        blocks = (weights[own] - weights[rival]).reshape(-1)
        columns = np.arange(size).reshape(-1, 1, d).repeat(n - 1, axis=1).reshape(-1)
        starts = np.arange(own.size + 1) * d
        coefficients = sparse.csr_array((blocks, columns, starts), shape=(own.size, size))
        constants = bias[own] - bias[rival]
        return MarginRegression(
            coefficients, constants, *input_box(inputs), n_rivals=n - 1, penalty=self.penalty
        )


def rivals(labels: IntArray, n_outputs: int) -> IntArray:
    """Return the outputs other than each label, ascending, shape ``(m, n_outputs - 1)``."""
    others = np.arange(n_outputs - 1)[None, :]
    return np.asarray(others + (others >= labels[:, None]))
