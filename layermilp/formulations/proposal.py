"""Input proposals (Goebbels 2021, section 2.2) as regressions: the weights are given, the inputs
are the unknowns.

The samples are independent, so a set of them is one regression with a block-diagonal `H`: unknown
``k d + i`` is input `i` of sample `k`, row ``k n + j`` is neuron `j` of sample `k`."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.formulations.regression import HingeRegression, ReluRegression, reference_big_m
from layermilp.program import FloatArray

SHRINK, GROW, MARGIN = 0.9, 1.1, 0.1
"""Factors and offset of the bounds (9)."""


def bounds(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds (9): ``max(0, 0.9 x - 0.1) <= x' <= 1.1 x + 0.1`` for present inputs `x` of any
    shape."""
    return np.maximum(0.0, SHRINK * inputs - MARGIN), GROW * inputs + MARGIN


def hidden(
    weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: FloatArray
) -> ReluRegression:
    """Proposals for a hidden layer: minimize (2) over the inputs under (1), (3) to (6) and (9).

    Parameters
    ----------
    weights, bias : (n, d) array, (n,) array
        The layer.
    inputs : (m, d) array
        Present inputs, non-negative.
    targets : (m, n) array
        Targets of the outputs, non-negative.
    """
    coefficients, constants, lower, upper, start = _rows(weights, bias, inputs)
    big_m = reference_big_m(inputs, np.column_stack([weights, bias]))
    return ReluRegression(
        coefficients, constants, lower, upper, start, targets=targets.reshape(-1), big_m=big_m
    )


def last(
    weights: FloatArray,
    bias: FloatArray,
    inputs: FloatArray,
    targets: FloatArray,
    one_weights: FloatArray | float = 1.0,
) -> HingeRegression:
    """Proposals for the output layer: minimize (7) over the inputs under (1), (3), (8) and (9).

    The arguments are those of `hidden`; targets are zero or one, `one_weights` the class weights of
    the `n` outputs."""
    factors = np.broadcast_to(one_weights, targets.shape).reshape(-1)
    return HingeRegression(*_rows(weights, bias, inputs), targets.reshape(-1) > 0.5, 0.0, factors)


def _rows(
    weights: FloatArray, bias: FloatArray, inputs: FloatArray
) -> tuple[sparse.csr_array, FloatArray, FloatArray, FloatArray, FloatArray]:
    lower, upper = bounds(inputs)
    coefficients = sparse.csr_array(
        sparse.kron(sparse.eye_array(len(inputs)), sparse.csr_array(weights), format="csr")
    )
    return (
        coefficients,
        np.tile(bias, len(inputs)),
        lower.reshape(-1),
        upper.reshape(-1),
        inputs.reshape(-1),
    )
