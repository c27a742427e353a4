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

from layermilp.formulations.big_m import reduced
from layermilp.formulations.margin import rivals
from layermilp.formulations.problem import Rows
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program

OUTPUTS = ("identity", "relu")
"""What the outputs are of their weighted sums."""


EDGE = 1e-7
"""Relative room of an error that may not grow: with many samples the present weights are the only
ones that have none."""


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
    h, y, theta = layer.extended, targets[:, j], layer.theta[j]
    is_relu = layer.output == "relu"
    lower, upper = theta - layer.radius, theta + layer.radius
    # Shifted far enough up, an output without ReLU is one whose neuron always fires.
    rows = Rows(sparse.csr_array(h), np.zeros(len(y)), lower, upper, theta)
    shift = 0.0 if is_relu else max(0.0, -float(y.min()), -float(rows.interval[0].min()))
    problem = ReluRegression(
        coefficients=rows.coefficients,
        constants=np.full(len(y), shift),
        lower=lower,
        upper=upper,
        start=theta,
        targets=np.maximum(y + shift, 0.0),
        big_m=0.0,
    )
    program = reduced(problem) if total else _any_point(problem)
    # No output of a ReLU is below zero: what a negative target lacks is a constant.
    program = replace(
        program, offset=program.offset + float(np.maximum(-y - shift, 0.0).sum()) * total
    )
    if not each:
        return program
    errors = layer.errors(layer.theta, targets)[:, j]
    errors = errors + EDGE * np.maximum(1.0, np.abs(y) + errors)
    least = y - errors
    if is_relu:
        least = np.where(least <= 0.0, -np.inf, least)  # silence is allowed
    sums = rows.coefficients.copy()
    sums.resize((len(y), program.n_columns))
    return replace(
        program,
        matrix=sparse.vstack([program.matrix, sums], format="csr"),
        row_lower=np.concatenate([program.row_lower, least]),
        row_upper=np.concatenate([program.row_upper, y + errors]),
    )


def _any_point(problem: ReluRegression) -> Program:
    """Return the program without rows and objective."""
    p = problem.n_unknowns
    return Program(
        costs=np.zeros(p),
        matrix=sparse.csr_array((0, p)),
        row_lower=np.zeros(0),
        row_upper=np.zeros(0),
        col_lower=problem.lower,
        col_upper=problem.upper,
        start=problem.start,
        name="last_layer_regression",
        column_groups=(("theta", p),),
    )


@dataclass(frozen=True, eq=False)
class Leads:
    """By how much the output of a sample's own class exceeds its rivals: ``rows @ theta``, theta
    flat, row by row.

    Parameters
    ----------
    rows : (R, M (N + 1)) CSR array
        A row for every sample and rival.
    samples : (R,) array of int
        The sample of every row.
    """

    rows: sparse.csr_array
    samples: IntArray

    def is_right(self, theta: FloatArray, epsilon: float) -> BoolArray:
        """Return whether every sample leads all its rivals by at least `epsilon`, shape
        ``(m,)``."""
        right = np.ones(int(self.samples.max(initial=-1)) + 1, dtype=bool)
        np.logical_and.at(right, self.samples, self.rows @ theta.reshape(-1) >= epsilon)
        return right


def leads(layer: LastLayer, labels: IntArray) -> Leads:
    """Return the leads of all samples.

    A single output tells two classes apart by its sign: it leads by itself for class 1, by its
    opposite for class 0. The outputs of ReLUs have one more rival, zero: only an output above it is
    itself.

    Parameters
    ----------
    labels : (m,) array of int
        The output of every sample's class; 0 or 1 with a single output.
    """
    h, n = layer.extended, layer.n_outputs
    each = np.arange(len(h))
    if n == 1:
        return Leads(sparse.csr_array(h * np.where(labels == 1, 1.0, -1.0)[:, None]), each)
    samples = np.repeat(each, n - 1)
    rows = _placed(h, samples, labels[samples], n) - _placed(
        h, samples, rivals(labels, n).reshape(-1), n
    )
    if layer.output == "relu":
        rows, samples = (
            sparse.vstack([rows, _placed(h, each, labels, n)]),
            np.concatenate([samples, each]),
        )
    return Leads(sparse.csr_array(rows), samples)


def _placed(
    h: FloatArray, samples: IntArray, outputs: IntArray, n_outputs: int
) -> sparse.csr_array:
    """Return a row for every pair of sample and output: the sample's features in the columns of the
    output."""
    count, p = samples.size, h.shape[1]
    columns = outputs[:, None] * p + np.arange(p)
    ends = np.arange(count + 1) * p
    return sparse.csr_array(
        (h[samples].reshape(-1), columns.reshape(-1), ends), shape=(count, n_outputs * p)
    )


def classification(layer: LastLayer, found: Leads, epsilon: float, start: FloatArray) -> Program:
    """Return the program of as few samples as possible that do not lead all their rivals by
    `epsilon`.

    minimize ``sum_t e_t`` subject to ``lead_r >= epsilon - M_r e_t`` for every row `r` of sample
    `t`, `M_r` the largest shortfall within the box, and ``sum_t e_t`` no larger than at the start:
    (7), (15) and (16) with ``c = 1 - e``. There is a row only where the box leaves it open, and a
    binary only for samples that have one; samples that no point of the box makes right are a
    constant. Columns are `theta` and the binaries.

    Parameters
    ----------
    layer : LastLayer
        The layer.
    found : Leads
        Its `leads`.
    epsilon : float
        The lead of a right sample, above 0.
    start : (M, N + 1) array
        Weights of the box to start from.
    """
    theta = layer.theta.reshape(-1)
    lower, upper = theta - layer.radius, theta + layer.radius
    low, high = Rows(found.rows, np.zeros(found.samples.size), lower, upper, theta).interval
    hopeless = np.zeros(len(layer.features), dtype=bool)
    hopeless[found.samples[high < epsilon]] = True
    kept = np.flatnonzero((low < epsilon) & ~hopeless[found.samples])
    opened, place = np.unique(found.samples[kept], return_inverse=True)
    big_m = sparse.csr_array(
        (epsilon - low[kept], (np.arange(kept.size), place)), shape=(kept.size, opened.size)
    )
    wrong = ~found.is_right(start, epsilon)[opened]
    p, n_open = theta.size, opened.size
    count = [sparse.csr_array((1, p)), sparse.csr_array(np.ones((1, n_open)))]
    return Program(
        costs=np.repeat([0.0, 1.0], [p, n_open]),
        matrix=sparse.block_array([[found.rows[kept], big_m], count], format="csr"),
        row_lower=np.concatenate([np.full(kept.size, epsilon), [-np.inf]]),
        row_upper=np.concatenate([np.full(kept.size, np.inf), [wrong.sum()]]),
        col_lower=np.concatenate([lower, np.zeros(n_open)]),
        col_upper=np.concatenate([upper, np.ones(n_open)]),
        integrality=np.repeat([False, True], [p, n_open]),
        offset=float(hopeless.sum()),
        start=np.concatenate([start.reshape(-1), wrong]),
        name="last_layer_classification",
        column_groups=(("theta", p), ("e", n_open)),
    )


def nearest(layer: LastLayer, found: Leads, right: BoolArray, epsilon: float) -> Program:
    """LP for the weights nearest to the present ones, in the l1 norm, at which some samples are
    right.

    Of many weights that make the same samples right a solver returns a vertex, far from what
    gradient descent had learned. Columns are ``theta = start + plus - minus``, as `plus` and then
    `minus`.

    Parameters
    ----------
    found : Leads
        The leads of all samples.
    right : (m,) array of bool
        The samples.
    """
    rows = found.rows[np.flatnonzero(right[found.samples])]
    theta = layer.theta.reshape(-1)
    least = epsilon - rows @ theta
    return Program(
        costs=np.ones(2 * theta.size),
        matrix=sparse.hstack([rows, -rows], format="csr"),
        row_lower=least,
        row_upper=np.full(least.size, np.inf),
        col_lower=np.zeros(2 * theta.size),
        col_upper=np.full(2 * theta.size, layer.radius),
        name="last_layer_nearest",
        column_groups=(("plus", theta.size), ("minus", theta.size)),
    )
