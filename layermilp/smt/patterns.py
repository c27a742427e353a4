"""Search of firing patterns: the last two layers by linear programs in turns.

Let neuron `h` have the coefficient ``v_yh - v_jh`` in the lead of the label `y` over another output
`j`. Where it is negative, ``-relu(a)`` is concave in the neuron's weights, and a linear program has
it as it is. Where it is positive, ``relu(a)`` is replaced by ``a`` where the neuron fires and by 0
where it does not, which is never more; so the loss that the program promises is an upper bound of
the true one, and from program to program, each with the pattern of the solution before, it can only
fall (the convex-concave procedure). Between them the last layer has its own program."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray, IntArray, Limits, Program
from layermilp.smt.problem import leads
from layermilp.solvers import solve

BOX = 1e3
"""Weights lie in [-BOX, BOX], which keeps the programs bounded; the lead asked for is 1."""

PROGRESS = 0.02
"""Share of the loss by which a round has to lower it, or the descent ends."""

ROUNDS = 40


def descent(
    features: FloatArray, labels: IntArray, hidden: FloatArray, last: FloatArray, limits: Limits
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield better and better last two layers, one round after the other.

    The descent ends when all leads are above zero, or when the loss, the sum of what the leads lack
    to 1, hardly falls.

    Parameters
    ----------
    features : (m, d) array
        Inputs of the last hidden layer.
    labels : (m,) array of int
        Labels.
    hidden, last : (n, d + 1), (n_outputs, n + 1) arrays
        Extended weights to begin with.
    limits : Limits
        Limits of each program.
    """
    inputs = np.column_stack([features, np.ones(len(features))])
    before = np.inf
    for _ in range(ROUNDS):
        hidden, last = _balanced(hidden, last)
        found = solve(_program(inputs, labels, hidden, last), "highs", limits)
        if found.x is None:
            return
        theta, biases = found.x[: hidden.size], found.x[hidden.size : hidden.size + len(last)]
        hidden, last = theta.reshape(hidden.shape), np.column_stack([last[:, :-1], biases])
        yield hidden, last
        loss = _loss(inputs, labels, hidden, last)
        if loss <= 0.0 or loss > (1.0 - PROGRESS) * before:
            return
        before = loss


def _loss(inputs: FloatArray, labels: IntArray, hidden: FloatArray, last: FloatArray) -> float:
    """Return what the leads lack to 1, or 0 if all are above zero."""
    lead = leads(np.maximum(inputs @ hidden.T, 0.0) @ last[:, :-1].T + last[:, -1], labels)
    return float(np.maximum(1.0 - lead, 0.0).sum()) if lead.min() <= 0.0 else 0.0


def _balanced(hidden: FloatArray, last: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale every neuron so that its largest difference of weights in the last layer is one; its
    output does not change."""
    size = np.ptp(last[:, :-1], axis=0)
    factor = np.where(size > 1e-9, size, 1.0)
    return hidden * factor[:, None], np.column_stack([last[:, :-1] / factor, last[:, -1]])


def _program(inputs: FloatArray, labels: IntArray, hidden: FloatArray, last: FloatArray) -> Program:
    """Return the linear program of hidden layer and last biases, the other weights fixed: columns
    are these, bounds of relu(a), and what the leads lack."""
    m, (n, p), k = len(inputs), hidden.shape, len(last)
    sample, other = np.nonzero(np.arange(k) != labels[:, None])
    coefficients = last[labels[sample], :-1] - last[other, :-1]
    fires = inputs @ hidden.T > 0.0
    r, eye = sample.size, np.eye(k)
    # A neuron with a positive coefficient that fires enters with its preactivation.
    linear = np.where((coefficients > 0.0) & fires[sample], coefficients, 0.0)
    weights = (linear[:, :, None] * inputs[sample][:, None, :]).reshape(r, n * p)
    concave = np.minimum(coefficients, 0.0)
    row, neuron = np.nonzero(concave)
    above = sparse.csr_array(
        (concave[row, neuron], (row, sample[row] * n + neuron)), shape=(r, m * n)
    )
    leading = [weights, eye[labels[sample]] - eye[other], above, sparse.eye_array(r)]
    # relu(a) <= u where u is needed: u - a >= 0 and u >= 0.
    needed = np.unique(sample[row] * n + neuron)
    places = np.arange(needed.size)
    select = sparse.csr_array((np.ones(needed.size), (places, needed)), shape=(needed.size, m * n))
    columns = (needed % n)[:, None] * p + np.arange(p)
    of_weights = sparse.csr_array(
        (-inputs[needed // n].ravel(), (np.repeat(places, p), columns.ravel())),
        shape=(needed.size, n * p),
    )
    blocks = [[sparse.csr_array(block) for block in leading], [of_weights, None, select, None]]
    lower = np.concatenate([np.full(n * p + k, -BOX), np.zeros(m * n + r)])
    upper = np.concatenate([np.full(n * p + k, BOX), np.full(m * n + r, np.inf)])
    return Program(
        costs=np.concatenate([np.zeros(n * p + k + m * n), np.ones(r)]),
        matrix=sparse.block_array(blocks, format="csr"),
        row_lower=np.concatenate([np.ones(r), np.zeros(needed.size)]),
        row_upper=np.full(r + needed.size, np.inf),
        col_lower=lower,
        col_upper=upper,
        name="patterns",
    )
