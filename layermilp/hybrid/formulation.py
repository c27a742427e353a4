"""Programs of the last layer of any network, around its present weights (GDSolver, Ashok et al.
2022).

With the features ``h_t`` of sample `t`, which the layers below give, the outputs are ``o_tj = s(W_j
h_t + b_j)`` with `s` the identity or the ReLU. Unknown are ``theta = (W, b)``, each within an
interval around its present value: constraints (1) and (2) of the paper's Figure 2, (8) and (9) of
its Figure 3.

The paper spends a binary on every ReLU (4), (5), (13), (14). Hardly any is needed. A sample is
classified by a ReLU only if its own sum is positive and above the others; an error that must not
grow bounds the sum itself; and a total error is the least absolute deviation that `reduced` has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from layermilp.algorithms.tolerances import ERROR_ROOM, MARGIN_ROOM
from layermilp.formulations.big_m import reduced
from layermilp.formulations.margin import rivals
from layermilp.formulations.problem import Problem, Rows
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program

OUTPUTS = ("identity", "relu")
"""Activations of the outputs."""


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A last layer with samples of its inputs, and the interval of its weights.

    Parameters
    ----------
    features : (m, N) array
        `h`.
    weights : (M, N) array
        `W`, at present.
    offsets : (M,) array
        `b`, at present.
    radius : float
        Half of the width of every interval, above 0.
    output : {"identity", "relu"}
        `s`.
    """

    features: FloatArray
    weights: FloatArray
    offsets: FloatArray
    radius: float
    output: str = "identity"

    @property
    def n_outputs(self) -> int:
        """Number of outputs `M`."""
        return len(self.offsets)

    @property
    def extended(self) -> FloatArray:
        """The features and a column of ones, shape ``(m, N + 1)``."""
        return np.column_stack([self.features, np.ones(len(self.features))])

    @property
    def theta(self) -> FloatArray:
        """The present weights, each output's followed by its offset, shape ``(M, N + 1)``."""
        return np.column_stack([self.weights, self.offsets])

    def outputs(self, theta: FloatArray) -> FloatArray:
        """Return `o` for weights of the shape of `theta`, shape ``(m, M)``."""
        sums = self.extended @ theta.T
        return np.maximum(sums, 0.0) if self.output == "relu" else sums

    def errors(self, theta: FloatArray, targets: FloatArray) -> FloatArray:
        """Return ``|o_tj - y_tj|``, shape ``(m, M)``."""
        return np.abs(self.outputs(theta) - targets)


def regression(
    layer: LastLayer, targets: FloatArray, j: int, *, each: bool, total: bool
) -> Program:
    """Return the program of output `j`; the outputs share nothing. Its first columns are
    ``theta_j``.

    Parameters
    ----------
    layer : LastLayer
        The layer.
    targets : (m, M) array
        `y`.
    j : int
        The output.
    each : bool
        Whether no sample's error may exceed the present one, constraint (6).
    total : bool
        Whether the sum of the errors is minimized. If not, any feasible point is as good, as in the
        paper.
    """
    h, y, theta = sparse.csr_array(layer.extended), targets[:, j], layer.theta[j]
    is_relu = layer.output == "relu"
    lower, upper = theta - layer.radius, theta + layer.radius
    if total:
        # Shifted far enough up, an output without ReLU is one whose neuron always fires.
        low, _ = Rows(h, np.zeros(len(y)), lower, upper, theta).interval
        shift = 0.0 if is_relu else max(0.0, -float(y.min()), -float(low.min()))
        shifted = np.maximum(y + shift, 0.0)
        constants = np.full(len(y), shift)
        program = reduced(ReluRegression(h, constants, lower, upper, theta, shifted, big_m=0.0))
        # No output of a ReLU is below zero: what a negative target lacks is a constant.
        lacking = float(np.maximum(-y - shift, 0.0).sum())
        program = replace(program, offset=program.offset + lacking)
    else:
        program = Program(
            costs=np.zeros(theta.size),
            matrix=sparse.csr_array((0, theta.size)),
            row_lower=np.zeros(0),
            row_upper=np.zeros(0),
            col_lower=lower,
            col_upper=upper,
            start=theta,
            name="last_layer_regression",
            column_groups=(("theta", theta.size),),
        )
    if not each:
        return program
    errors = layer.errors(layer.theta, targets)[:, j]
    errors = errors + ERROR_ROOM * np.maximum(1.0, np.abs(y) + errors)
    least = y - errors
    if is_relu:
        least = np.where(least <= 0.0, -np.inf, least)  # silence is allowed
    sums = h.copy()
    sums.resize((len(y), program.n_columns))
    return replace(
        program,
        matrix=sparse.vstack([program.matrix, sums], format="csr"),
        row_lower=np.concatenate([program.row_lower, least]),
        row_upper=np.concatenate([program.row_upper, y + errors]),
    )


@dataclass(frozen=True, eq=False)
class MarginCount(Rows, Problem):
    """Number of samples whose own output does not exceed all its rivals by `epsilon`.

    The rows are the margins, one for every sample and rival; the unknowns are the weights of all
    outputs, each output's followed by its offset.

    Parameters
    ----------
    samples : (R,) array of int
        The sample of every row.
    epsilon : float
        The margin of a right sample, above 0.
    """

    samples: IntArray
    epsilon: float

    @property
    def n_rows(self) -> int:
        """Number of samples."""
        return int(self.samples.max(initial=-1)) + 1

    @property
    def scale(self) -> float:
        """Number of samples."""
        return float(self.n_rows)

    def is_right(self, theta: FloatArray, epsilon: float) -> BoolArray:
        """Whether every sample exceeds all its rivals by at least a margin, shape ``(m,)``."""
        right = np.ones(self.n_rows, dtype=bool)
        np.logical_and.at(right, self.samples, self.preactivation(theta) >= epsilon)
        return right

    def is_about_right(self, theta: FloatArray) -> BoolArray:
        """Whether every sample is right, one at the edge included: a row holds within the solver's
        tolerance only."""
        return self.is_right(theta, self.epsilon * (1.0 - MARGIN_ROOM))

    def losses(self, theta: FloatArray) -> FloatArray:
        """1 for every sample that is not right, else 0; shape ``(m,)``."""
        return np.asarray(~self.is_about_right(theta), dtype=np.float64)

    def program(self, start: FloatArray) -> Program:
        """Mixed-integer program of as few wrong samples as possible.

        minimize ``sum_t e_t`` subject to ``margin_r >= epsilon - M_r e_t`` for every row `r` of
        sample `t`, `M_r` the largest shortfall within the box, and ``sum_t e_t`` no larger than at
        the start: (7), (15) and (16) of the paper with ``c = 1 - e``. There is a row only where the
        box leaves it open, and a binary only for samples that have one; samples that no point of
        the box makes right are a constant. Columns are `theta` and the binaries. It starts at
        weights of the box, shape ``(M (N + 1),)``.
        """
        low, high = self.interval
        hopeless = np.zeros(self.n_rows, dtype=bool)
        hopeless[self.samples[high < self.epsilon]] = True
        kept = np.flatnonzero((low < self.epsilon) & ~hopeless[self.samples])
        opened, place = np.unique(self.samples[kept], return_inverse=True)
        big_m = sparse.csr_array(
            (self.epsilon - low[kept], (np.arange(kept.size), place)),
            shape=(kept.size, opened.size),
        )
        wrong = ~self.is_right(start, self.epsilon)[opened]
        p, n_open = self.n_unknowns, opened.size
        count = [sparse.csr_array((1, p)), sparse.csr_array(np.ones((1, n_open)))]
        return Program(
            costs=np.repeat([0.0, 1.0], [p, n_open]),
            matrix=sparse.block_array([[self.coefficients[kept], big_m], count], format="csr"),
            row_lower=np.concatenate([np.full(kept.size, self.epsilon), [-np.inf]]),
            row_upper=np.concatenate([np.full(kept.size, np.inf), [wrong.sum()]]),
            col_lower=np.concatenate([self.lower, np.zeros(n_open)]),
            col_upper=np.concatenate([self.upper, np.ones(n_open)]),
            integrality=np.repeat([False, True], [p, n_open]),
            offset=float(hopeless.sum()),
            start=np.concatenate([start, wrong]),
            name="last_layer_classification",
            column_groups=(("theta", p), ("e", n_open)),
        )

    def nearest(self, right: BoolArray) -> Program:
        """LP for the weights nearest to the present ones, in the l1 norm, at which the samples of a
        mask of shape ``(m,)`` are right.

        Of many weights that make the same samples right a solver returns a vertex, far from what
        gradient descent had learned. Columns are ``theta = start + plus - minus``, as `plus` and
        then `minus`.
        """
        rows, p = self.coefficients[np.flatnonzero(right[self.samples])], self.n_unknowns
        least = self.epsilon - rows @ self.start
        return Program(
            costs=np.ones(2 * p),
            matrix=sparse.hstack([rows, -rows], format="csr"),
            row_lower=least,
            row_upper=np.full(least.size, np.inf),
            col_lower=np.zeros(2 * p),
            col_upper=np.concatenate([self.upper - self.start, self.start - self.lower]),
            name="last_layer_nearest",
            column_groups=(("plus", p), ("minus", p)),
        )


def margin_count(layer: LastLayer, labels: IntArray, epsilon: float) -> MarginCount:
    """Return the problem of all samples.

    A single output tells two classes apart by its sign: its margin is itself for class 1, its
    opposite for class 0. The outputs of ReLUs have one more rival, zero: only an output above it is
    itself.

    Parameters
    ----------
    layer : LastLayer
        The layer.
    labels : (m,) array of int
        The output of every sample's class; 0 or 1 with a single output.
    epsilon : float
        The margin of a right sample, above 0.
    """
    h, n = layer.extended, layer.n_outputs
    theta, samples = layer.theta.reshape(-1), np.arange(len(h))
    if n == 1:
        rows = sparse.csr_array(h * np.where(labels == 1, 1.0, -1.0)[:, None])
    else:
        own = _placed(h, samples, labels, n)
        pairs = np.repeat(samples, n - 1)
        rows = own[pairs] - _placed(h, pairs, rivals(labels, n).reshape(-1), n)
        if layer.output == "relu":
            rows, pairs = sparse.vstack([rows, own]), np.concatenate([pairs, samples])
        samples = pairs
    constants, box = np.zeros(samples.size), (theta - layer.radius, theta + layer.radius)
    return MarginCount(sparse.csr_array(rows), constants, *box, theta, samples, epsilon)


def _placed(
    h: FloatArray, samples: IntArray, outputs: IntArray, n_outputs: int
) -> sparse.csr_array:
    """Return a row for every pair of sample and output: the sample's features in the columns of the
    output."""
    p = h.shape[1]
    columns = outputs[:, None] * p + np.arange(p)
    ends = np.arange(samples.size + 1) * p
    return sparse.csr_array(
        (h[samples].reshape(-1), columns.reshape(-1), ends), shape=(samples.size, n_outputs * p)
    )
