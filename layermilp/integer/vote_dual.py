"""Samples that no vote of neurons gets right: the dual of the largest margin (LPBoost, Demiriz,
Bennett and Shawe-Taylor 2002).

An output of a network with one hidden layer is ``a_i = sum_j w_j h_j(i) + b`` with ``|w_j| <= P``
and ``|b| <= P``. Whatever its neurons are, weights ``u >= 0`` of the samples give::

    sum_i u_i y_i a_i  <=  P N e + P |sum_i u_i y_i|,   e = max_h |sum_i u_i y_i h(i)|

over all neurons `h`. If that is less than ``sum_i u_i t_i``, not every sample has ``y_i a_i >=
t_i``. The program looks for such weights with the neurons that are known. Each neuron that is found
later is a row more, until no violated one is left."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray, Program


def vote_dual(
    votes: FloatArray, signs: FloatArray, targets: FloatArray, weight: float, bias: float
) -> Program:
    """Return the program; it minimizes ``weight e + bias |sum_i u_i y_i| - sum_i u_i t_i`` over ``u
    >= 0, sum_i u_i <= 1``.

    Columns are `u`, then `e` and the absolute sum. An objective below zero is a proof if no other
    neuron has a larger `e`.

    Parameters
    ----------
    votes : (K, m) array of -1 and 1
        What each known neuron says of the samples.
    signs : (m,) array of -1 and 1
        `y`.
    targets : (m,) array
        `t`.
    weight : float
        Sum of the largest absolute output weights, ``P N``.
    bias : float
        Largest absolute bias, `P`.
    """
    k, m = votes.shape
    signed = np.vstack([votes, np.ones(m)]) * signs
    ends = sparse.csr_array(
        (np.ones(k + 1), (np.arange(k + 1), np.r_[np.zeros(k, dtype=int), 1])), shape=(k + 1, 2)
    )
    total = sparse.csr_array(np.r_[np.ones(m), 0.0, 0.0][None])
    rows = sparse.vstack(
        [sparse.hstack([-signed, ends]), sparse.hstack([signed, ends]), -total], format="csr"
    )
    return Program(
        costs=np.r_[-targets, weight, bias],
        matrix=rows,
        row_lower=np.r_[np.zeros(2 * (k + 1)), -1.0],
        row_upper=np.full(rows.shape[0], np.inf),
        col_lower=np.zeros(m + 2),
        col_upper=np.full(m + 2, np.inf),
        name="vote_dual",
        column_groups=(("u", m), ("e", 2)),
    )
