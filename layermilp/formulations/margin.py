"""Programs of an output layer with a margin: linear, all outputs jointly."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.formulations.pieces import MarginPieces
from layermilp.formulations.regression import MarginRegression
from layermilp.program import FloatArray, IntArray, Program


def margin(problem: MarginRegression) -> Program:
    """LP for ``min sum_k xi_k + mu |theta - start|_1`` with ``o_y - o_j >= 1 - xi_k`` for all
    rivals `j` of every sample.

    With one column ``xi >= 0`` per sample. Where the price `mu` of a change is positive, one more
    column per unknown holds its decrease: ``|theta - start| = theta - start + 2 minus`` for the
    smallest ``minus >= start - theta``."""
    n_samples, size = problem.n_rows // problem.n_rivals, problem.n_unknowns
    priced = size if problem.penalty else 0
    slack = sparse.kron(sparse.eye_array(n_samples), np.ones((problem.n_rivals, 1)), format="csr")
    matrix = [[problem.coefficients, slack, None]]
    row_lower = [1.0 - problem.constants]
    if priced:
        eye = sparse.eye_array(size, format="csr")
        matrix.append([eye, None, eye])
        row_lower.append(problem.start)
    n_rows = sum(part.size for part in row_lower)
    return Program(
        costs=np.repeat([problem.penalty, 1.0, 2.0 * problem.penalty], [size, n_samples, priced]),
        offset=-problem.penalty * float(problem.start.sum()),
        matrix=sparse.block_array([row[: 3 if priced else 2] for row in matrix], format="csr"),
        row_lower=np.concatenate(row_lower),
        row_upper=np.full(n_rows, np.inf),
        col_lower=np.concatenate([problem.lower, np.zeros(n_samples + priced)]),
        col_upper=np.concatenate(
            [problem.upper, np.full(n_samples, np.inf), (problem.start - problem.lower)[:priced]]
        ),
        start=np.concatenate([problem.start, problem.losses(problem.start), np.zeros(priced)]),
        name="margin",
        column_groups=(("theta", size), ("xi", n_samples), ("minus", priced)),
    )


def weight_leads(pieces: MarginPieces) -> tuple[sparse.csr_array, FloatArray]:
    """Return `H` and `g` of the leads ``a_kj = o_y - o_j = H_kj . theta + g_kj`` in the parameters
    of the last block.

    A lead is one less the piece of its rival.

    Parameters
    ----------
    pieces : MarginPieces
        The loss of `m` samples and `n` outputs, with `p` parameters.

    Returns
    -------
    (m * (n - 1), p) CSR array, (m * (n - 1),) array
        Rows sample by sample, rivals ascending.
    """
    n_outputs = pieces.parameters.n_outputs
    sample = np.repeat(np.arange(pieces.n_rows), n_outputs - 1)
    rival = rivals(pieces.labels, n_outputs).reshape(-1)
    return -pieces.coefficients(sample, rival), 1.0 - pieces.constants(sample, rival)


def input_leads(
    weights: FloatArray, bias: FloatArray, labels: IntArray
) -> tuple[sparse.csr_array, FloatArray]:
    """Return `H` and `g` of the leads in the inputs of the last layer: unknown ``k d + i`` is input
    `i` of sample `k`."""
    n = len(weights)
    own, rival = np.repeat(labels, n - 1), rivals(labels, n).reshape(-1)
    blocks = (weights[own] - weights[rival]).reshape(len(labels), n - 1, -1)
    rows, d = own.size, weights.shape[1]
    columns = np.arange(len(labels) * d).reshape(len(labels), 1, d).repeat(n - 1, axis=1)
    coefficients = sparse.csr_array(
        (blocks.reshape(-1), columns.reshape(-1), np.arange(rows + 1) * d),
        shape=(rows, len(labels) * d),
    )
    return coefficients, bias[own] - bias[rival]


def rivals(labels: IntArray, n_outputs: int) -> IntArray:
    """Return the outputs other than each label, ascending, shape ``(m, n_outputs - 1)``."""
    others = np.arange(n_outputs - 1)[None, :]
    return np.asarray(others + (others >= labels[:, None]))
