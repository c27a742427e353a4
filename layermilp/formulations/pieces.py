"""Convex piecewise linear sums with many rows and few unknowns, and the linear programs of parts of
their pieces.

    minimize  f(theta) = sum_r w_r max_p v_rp(theta),   v_rp(theta) = G_rp . theta + h_rp,   theta
    in a box

Every post-processing of the output layer is such a sum: one row per sample, at most as many pieces
as there are outputs. With some of its pieces left out a row is underestimated, and with one piece
it is linear. So the optimum of any `working_program` is a lower bound of `f`, and few rows of it
need constraints of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from layermilp.networks.parameters import ParameterMap
from layermilp.program import BoolArray, FloatArray, IntArray, Program

_POSITIVE = 1e-9
"""Share of its bound above which a dual value counts as positive."""


class Pieces(ABC):
    """A sum of `R` losses, each the weighted maximum of at most `P` functions linear in `p`
    unknowns, and never negative.

    Attributes
    ----------
    lower, upper : (p,) arrays
        Box of `theta`, finite.
    start : (p,) array
        A point of the box.
    row_weights : (R,) array
        `w`, positive.
    has_few_pieces : bool
        Whether rows have so few pieces that working programs are solved fast by their duals.
    """

    has_few_pieces: ClassVar[bool] = False
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    row_weights: FloatArray

    @property
    def n_rows(self) -> int:
        """Number of rows `R`."""
        return int(self.row_weights.size)

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns `p`."""
        return int(self.start.size)

    @property
    @abstractmethod
    def scale(self) -> float:
        """A loss that measures what is at stake: see the subclass."""

    @abstractmethod
    def values(self, theta: FloatArray) -> FloatArray:
        """All pieces at `theta`, shape ``(R, P)``; ``-inf`` where a row has no such piece."""

    @abstractmethod
    def linear(self, theta: FloatArray) -> FloatArray:
        """Return ``G_rp . theta`` of all pieces, shape ``(R, P)``; anything finite where a row has
        no such piece."""

    @abstractmethod
    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return ``sum_rp lam_rp G_rp``, shape ``(p,)``, for multipliers of shape ``(R, P)``, zero
        where there is no piece."""

    @abstractmethod
    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return ``sum_r G_r' (diag(D_r) - D_r D_r' / sum D_r) G_r``, shape ``(p, p)``.

        `weights` are ``D``, of shape ``(R, P)``, zero where a row has no such piece, with a
        positive sum in every row."""

    @abstractmethod
    def coefficients(self, rows: IntArray, pieces: IntArray) -> sparse.csr_array:
        """Return ``G_rp`` of `N` pairs of row and piece, shape ``(N, p)``."""

    @abstractmethod
    def constants(self, rows: IntArray, pieces: IntArray) -> FloatArray:
        """Return ``h_rp`` of `N` pairs of row and piece, shape ``(N,)``; ``-inf`` where the row has
        no such piece."""

    @abstractmethod
    def combinations(self, rows: IntArray, choices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return `K` linear functions: for each choice of pieces the weighted sum ``sum_r w_r
        v_rp`` over `N` rows.

        Parameters
        ----------
        rows : (N,) array of int
            The rows.
        choices : (K, N) array of int
            One piece of each row, `K` times.

        Returns
        -------
        (K, p) array, (K,) array
            Coefficients and constants.
        """

    @abstractmethod
    def part(self, rows: IntArray) -> Self:
        """Return the sum over some of the rows."""

    def loss(self, theta: FloatArray) -> float:
        """The objective ``f(theta)``."""
        return self.total(self.values(theta))

    def total(self, values: FloatArray) -> float:
        """The objective at the point of the given ``values``, shape ``(R, P)``."""
        return float(self.row_weights @ values.max(axis=1))


@dataclass(frozen=True, eq=False)
class HingePieces(Pieces):
    """One output fitted to zeros and ones with a dead zone `s`: section 2.3 of Goebbels 2021, (7)
    and (8) for ``s = 0``.

    With ``a = H theta + g`` the pieces of a row are ``0`` and ``a - s`` where the target is zero,
    and ``0``, ``a - 1 - s`` and ``1 - a - s`` where it is one.

    Parameters
    ----------
    matrix : (R, p) array
        `H`, dense: for one neuron its inputs and a column of ones.
    offsets : (R,) array
        `g`.
    is_target : (R,) array of bool
        Where the target is one.
    lower, upper, start : (p,) arrays
        Box of `theta`, and a point of it.
    row_weights : (R,) array
        Weights of the rows, such as those of their classes; positive.
    tolerance : float
        The dead zone `s`, at least 0.
    """

    has_few_pieces: ClassVar[bool] = True
    matrix: FloatArray
    offsets: FloatArray
    is_target: BoolArray
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    row_weights: FloatArray
    tolerance: float = 0.49

    @property
    def scale(self) -> float:
        """Weighted number of targets that are one."""
        return float(self.row_weights @ self.is_target)

    def values(self, theta: FloatArray) -> FloatArray:
        """All pieces at `theta`, shape ``(R, 3)``."""
        deviation = self.matrix @ theta + self.offsets - self.is_target
        below = np.where(self.is_target, -deviation - self.tolerance, -np.inf)
        return np.column_stack([np.zeros(self.n_rows), deviation - self.tolerance, below])

    def linear(self, theta: FloatArray) -> FloatArray:
        """Return the linear parts, shape ``(R, 3)``."""
        a = self.matrix @ theta
        return np.column_stack([np.zeros(self.n_rows), a, -a])

    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return the combination of the linear parts, shape ``(p,)``."""
        return np.asarray((multipliers[:, 1] - multipliers[:, 2]) @ self.matrix)

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return ``H' diag(k) H``, where `k` sums ``D_p D_q / sum D`` times the squared difference
        of the pieces' signs."""
        none, above, below = weights.T
        k = (none * above + none * below + 4.0 * above * below) / weights.sum(axis=1)
        return np.asarray((self.matrix * k[:, None]).T @ self.matrix)

    def coefficients(self, rows: IntArray, pieces: IntArray) -> sparse.csr_array:
        """Return the rows of `H` with the sign of their piece, shape ``(N, p)``."""
        return sparse.csr_array(_signs(pieces)[:, None] * self.matrix[rows])

    def constants(self, rows: IntArray, pieces: IntArray) -> FloatArray:
        """Return ``h_rp``, shape ``(N,)``."""
        shifted = _signs(pieces) * (self.offsets[rows] - self.is_target[rows])
        known = shifted - self.tolerance * (pieces > 0)
        return np.where((pieces == 2) & ~self.is_target[rows], -np.inf, known)

    def combinations(self, rows: IntArray, choices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return `K` weighted sums of pieces, by one product with the rows of `H`."""
        weights = self.row_weights[rows]
        return (weights * _signs(choices)) @ self.matrix[rows], self.constants(
            rows, choices
        ) @ weights

    def part(self, rows: IntArray) -> Self:
        """Return the sum over some of the rows."""
        return replace(
            self,
            matrix=self.matrix[rows],
            offsets=self.offsets[rows],
            is_target=self.is_target[rows],
            row_weights=self.row_weights[rows],
        )


def _signs(pieces: IntArray) -> FloatArray:
    return np.array([0.0, 1.0, -1.0])[pieces]


@dataclass(frozen=True, eq=False)
class MarginPieces(Pieces):
    """All outputs jointly with a margin: the multi-class hinge loss of Crammer and Singer (2001).

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
    lower, upper, start : (p,) arrays
        Box of `theta`, and a point of it.
    row_weights : (R,) array
        Weights of the samples, positive.
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
        leads = outputs - outputs[samples, self.labels][:, None] + 1.0
        leads[samples, self.labels] = 0.0
        return leads

    def linear(self, theta: FloatArray) -> FloatArray:
        """Return the linear parts, shape ``(R, n_outputs)``."""
        outputs = self.extended @ (self._gathered.T @ theta).reshape(self.parameters.index.shape).T
        return np.asarray(outputs - outputs[np.arange(self.n_rows), self.labels][:, None])

    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return the combination of the linear parts, shape ``(p,)``."""
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

    def coefficients(self, rows: IntArray, pieces: IntArray) -> sparse.csr_array:
        """Return the gradients, shape ``(N, p)``: the inputs at the weights of output `j`, their
        negatives at those of `y`."""
        own = self.labels[rows]
        x = np.where(pieces == own, 0.0, 1.0)[:, None] * self.extended[rows]
        index = np.hstack([self.parameters.index[pieces], self.parameters.index[own]])
        values = np.hstack([x, -x])
        pair, entry = np.nonzero((index >= 0) & (values != 0.0))
        shape = (rows.size, self.n_unknowns)
        return sparse.csr_array((values[pair, entry], (pair, index[pair, entry])), shape=shape)

    def constants(self, rows: IntArray, pieces: IntArray) -> FloatArray:
        """Return ``h_rp``, shape ``(N,)``: the margin, and the difference of the outputs' fixed
        parts."""
        own, fixed = self.labels[rows], self.parameters.fixed
        margins: FloatArray = (pieces != own).astype(np.float64)
        if not fixed.any():
            return margins
        return np.asarray(
            margins + np.einsum("nd,nd->n", self.extended[rows], fixed[pieces] - fixed[own])
        )

    def combinations(self, rows: IntArray, choices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return `K` weighted sums of pieces, by one product with the inputs for each."""
        weights, x, order = self.row_weights[rows], self.extended[rows], np.arange(rows.size)
        costs: FloatArray = np.zeros((len(choices), self.n_unknowns))
        for cost, chosen in zip(costs, choices, strict=True):
            signed = np.zeros((rows.size, self.parameters.n_outputs))
            signed[order, chosen] += weights
            signed[order, self.labels[rows]] -= weights
            cost += self._gathered @ (signed.T @ x).reshape(-1)
        return costs, np.array([self.constants(rows, chosen) @ weights for chosen in choices])

    def part(self, rows: IntArray) -> Self:
        """Return the sum over some of the rows."""
        return replace(
            self,
            inputs=self.inputs[rows],
            labels=self.labels[rows],
            row_weights=self.row_weights[rows],
        )


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
    def of(cls, problem: Pieces, choice: IntArray) -> Cut:
        """Add up the chosen pieces."""
        costs, constants = problem.combinations(np.arange(problem.n_rows), choice[None])
        return cls(choice, costs[0], float(constants[0]))

    def minimum(self, lower: FloatArray, upper: FloatArray) -> float:
        """Least value of the function over a box: a lower bound of the sum there."""
        return float(np.minimum(self.costs * lower, self.costs * upper).sum()) + self.constant


def working_program(
    problem: Pieces, kept: BoolArray, cuts: Sequence[Cut], lower: FloatArray, upper: FloatArray
) -> Program:
    """LP that underestimates the sum: some rows by some of their pieces, all others jointly by
    cuts.

    The first kept piece `b` of a row goes into the costs, every other one is a constraint on a
    column ``z_r >= 0``, by which the row exceeds that piece. For the rows without a kept piece the
    first cut `C_0` goes into the costs, and every other one is a constraint on a column ``e >= 0``;
    each cut is taken without the rows that have kept pieces::

        minimize  sum_r w_r (v_rb(theta) + z_r) + C_0(theta) + e
        subject to  z_r >= v_rp(theta) - v_rb(theta),   e >= C_i(theta) - C_0(theta)

    With one cut this fixes the signs of all rows that are not kept.

    Parameters
    ----------
    problem : Pieces
        The sum.
    kept : (R, P) array of bool
        The pieces.
    cuts : sequence of Cut
        May be empty only if every row has a kept piece.
    lower, upper : (p,) arrays
        Box of `theta`: that of the problem, or a part of it.

    Returns
    -------
    Program
        With columns `theta`, `z` and `e`. Its optimum is at most the minimum of the sum over the
        box.
    """
    bent = np.flatnonzero(kept.any(axis=1))
    bases = kept[bent].argmax(axis=1)
    others = kept[bent]
    others[np.arange(bent.size), bases] = False
    place, pieces = np.nonzero(others)
    rows, base = bent[place], bases[place]
    costs, constants = problem.combinations(bent, bases[None])
    slopes = problem.coefficients(rows, pieces) - problem.coefficients(rows, base)
    excess = sparse.csr_array(
        (np.ones(rows.size), (np.arange(rows.size), place)), shape=(rows.size, bent.size)
    )
    blocks = [[-slopes, excess, None]]
    row_lower = [problem.constants(rows, pieces) - problem.constants(rows, base)]
    n_joint = int(len(cuts) > 1)
    if cuts:
        joint, joint_constants = _without(problem, cuts, bent)
        costs, constants = costs + joint[:1], constants + joint_constants[:1]
        # A cut adds up thousands of rows: its constraint is scaled to the size of theirs.
        size = np.maximum(np.abs(joint[1:] - joint[0]).max(axis=1, initial=0.0), 1.0)[:, None]
        if n_joint:
            blocks.append(
                [
                    sparse.csr_array((joint[0] - joint[1:]) / size),
                    None,
                    sparse.csr_array(1.0 / size),
                ]
            )
            row_lower.append((joint_constants[1:] - joint_constants[0]) / size[:, 0])
    bounds = np.concatenate(row_lower)
    return Program(
        costs=np.concatenate([costs[0], problem.row_weights[bent], np.ones(n_joint)]),
        offset=float(constants[0]),
        matrix=sparse.block_array([block[: 2 + n_joint] for block in blocks], format="csr"),
        row_lower=bounds,
        row_upper=np.full(bounds.size, np.inf),
        col_lower=np.concatenate([lower, np.zeros(bent.size + n_joint)]),
        col_upper=np.concatenate([upper, np.full(bent.size + n_joint, np.inf)]),
        name="pieces",
        column_groups=(("theta", problem.n_unknowns), ("z", bent.size), ("e", n_joint)),
    )


def _without(problem: Pieces, cuts: Sequence[Cut], rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients ``(K, p)`` and constants ``(K,)`` of the cuts less some rows."""
    costs, constants = problem.combinations(rows, np.stack([cut.choice[rows] for cut in cuts]))
    return np.stack([cut.costs for cut in cuts]) - costs, np.array(
        [cut.constant for cut in cuts]
    ) - constants


def complete_program(problem: Pieces) -> Program:
    """LP of all rows and pieces: the problem itself."""
    every = np.isfinite(problem.values(problem.start))
    return working_program(problem, every, (), problem.lower, problem.upper)


def dual_program(program: Program) -> Program:
    """Dual of a working program, which has as few equations as there are unknowns besides bounds of
    short sums.

    For ``min c . theta + w . z + offset`` subject to ``A theta + B z >= b``, theta in [l, u] and
    ``z >= 0``::

        minimize  -b . y - l . s + u . t - offset   subject to  A' y + s - t = c,  B' y <= w,  y, s,
        t >= 0

    Its optimum is minus that of the program.

    Returns
    -------
    Program
        With columns `y`, `s` and `t`; minus the objective of any point of it is a lower bound of
        the program.
    """
    size = program.column_groups[0][1]
    transposed = sparse.csr_array(program.matrix.T)
    eye = sparse.eye_array(size, format="csr")
    matrix = sparse.block_array(
        [[transposed[:size], eye, -eye], [transposed[size:], None, None]], format="csr"
    )
    n_columns = program.n_rows + 2 * size
    row_lower = program.costs.copy()
    row_lower[size:] = -np.inf
    return Program(
        costs=np.concatenate(
            [-program.row_lower, -program.col_lower[:size], program.col_upper[:size]]
        ),
        offset=-program.offset,
        matrix=matrix,
        row_lower=row_lower,
        row_upper=program.costs,
        col_lower=np.zeros(n_columns),
        col_upper=np.full(n_columns, np.inf),
        name="pieces_dual",
        column_groups=(("y", program.n_rows), ("s", size), ("t", size)),
    )


def recover(program: Program, dual: FloatArray) -> FloatArray:
    """Return the point of a working program that is complementary to a vertex of its dual.

    Constraints with ``y > 0`` hold with equality, unknowns with ``s > 0`` or ``t > 0`` lie on their
    bounds, and columns `z` whose dual constraint is slack are zero. Where the vertex is not
    degenerate these equations have one solution; else what is returned need not be optimal, and its
    objective tells.

    Parameters
    ----------
    program : Program
        From `working_program`.
    dual : (n_rows + 2 p,) array
        A solution of `dual_program`.

    Returns
    -------
    (n_columns,) array
        Feasible, with every `z` and `e` as small as it can be.
    """
    size = program.column_groups[0][1]
    slopes, excess = program.matrix[:, :size], program.matrix[:, size:]
    y, s, t = np.split(dual, [program.n_rows, program.n_rows + size])
    tight = np.flatnonzero(y > _POSITIVE * program.costs[size:][excess.indices] / excess.data)
    # One column z in every constraint. Where it is not zero, it is eliminated by the first tight
    # constraint of its own.
    column = excess.indices[tight]
    is_zero = excess.T @ y < program.costs[size:] * (1.0 - _POSITIVE)
    first = np.full(excess.shape[1], -1)
    first[column[::-1]] = tight[::-1]
    reference = first[column]
    scale = np.where(is_zero[column], 0.0, excess.data[tight] / excess.data[reference])
    left = slopes[tight].toarray() - scale[:, None] * slopes[reference].toarray()
    right = program.row_lower[tight] - scale * program.row_lower[reference]
    low, high = program.col_lower[:size], program.col_upper[:size]
    theta = np.where(s > t, low, high)
    free = np.maximum(s, t) <= _POSITIVE
    at_bounds = left[:, ~free] @ theta[~free]
    if free.any():
        theta[free] = np.linalg.lstsq(left[:, free], right - at_bounds, rcond=None)[0]
    theta = np.clip(theta, low, high)
    least = np.zeros(excess.shape[1])
    np.maximum.at(least, excess.indices, (program.row_lower - slopes @ theta) / excess.data)
    return np.concatenate([theta, least])
