"""The forward pass in exact rational arithmetic.

Every floating-point number is a whole number divided by a power of two. So the numbers of a layer
are brought to a common denominator, and the pass is one of whole numbers, which are not rounded: of
64 bits where no sum can exceed them, else of Python's, which have no limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.program import FloatArray, IntArray

WholeArray = NDArray[Any]
"""Whole numbers: of 64 bits where all sums fit, else Python's own."""

ROWS = 64
"""Samples at a time: numbers without a size limit take memory."""


def least_lead(weights: Sequence[NDArray[Any]], X: FloatArray, labels: IntArray) -> Fraction:
    """Least lead, over all samples, of the label's output over the largest other, exactly;
    arguments as in `outputs`."""
    leads = []
    for begin in range(0, len(X), ROWS):
        rows = slice(begin, begin + ROWS)
        values, denominator = outputs(weights, X[rows])
        for row, label in zip(values.tolist(), labels[rows], strict=True):
            largest = max(value for j, value in enumerate(row) if j != label)
            leads.append(Fraction(row[label] - largest, denominator))
    return min(leads)


def outputs(weights: Sequence[NDArray[Any]], X: FloatArray) -> tuple[WholeArray, int]:
    """Exact outputs of a ReLU network whose last layer is linear.

    Parameters
    ----------
    weights : sequence of (n, d + 1) arrays
        Extended weights ``(W, c)`` of every layer, as floating-point numbers or objects that are
        fractions.
    X : (m, d) array
        Samples, finite.

    Returns
    -------
    (m, n_outputs) array, int
        Whole numbers, and the denominator that makes them the outputs.
    """
    values, denominator = _whole(X)
    for i, layer in enumerate(_without_idle(weights)):
        if i > 0:
            values = np.maximum(values, 0)
        theta, scale = _whole(layer)
        # (v / denominator) (w / scale) + b / scale = (v w + b denominator) / (denominator scale)
        values = _sums(values, theta, denominator)
        denominator *= scale
    return values, denominator


def _sums(values: WholeArray, theta: WholeArray, denominator: int) -> WholeArray:
    """Return ``values W^T + c denominator``; on 64 bits, which is much faster, where nothing can
    exceed them."""
    weights, biases = (
        int(np.abs(part).sum(axis=1).max(initial=0)) for part in (theta[:, :-1], theta[:, -1:])
    )
    inputs = int(np.abs(values).max(initial=0))
    most = max(inputs * weights + biases * denominator, inputs, weights, biases)
    kind: Any = np.int64 if most < 2**63 else object
    numbers, extended = values.astype(kind), theta.astype(kind)
    return np.asarray(
        numbers @ extended[:, :-1].T + extended[:, -1] * (denominator if biases else 0)
    )


def _without_idle(weights: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Drop the neurons whose outputs all have the weight zero."""
    kept = [weights[-1]]
    for layer in reversed(weights[:-1]):
        used = np.any(kept[0][:, :-1] != 0, axis=0)
        kept[0] = np.column_stack([kept[0][:, :-1][:, used], kept[0][:, -1]])
        kept.insert(0, layer[used])
    return kept


def _whole(values: NDArray[Any]) -> tuple[WholeArray, int]:
    """Return whole numbers and the denominator that makes them the values."""
    if values.dtype == object:
        fractions = [Fraction(value) for value in values.ravel()]
        denominator = math.lcm(*(value.denominator for value in fractions))
        whole = [value.numerator * (denominator // value.denominator) for value in fractions]
        return np.array(whole, dtype=object).reshape(values.shape), denominator
    mantissas, exponents = np.frexp(values)
    digits = np.ldexp(mantissas, 53).astype(np.int64)
    # Trailing zeros would only make long numbers of short ones.
    zeros = np.where(digits == 0, 0, np.frexp((digits & -digits).astype(np.float64))[1] - 1)
    least = int((exponents.astype(np.int64) - 53 + zeros)[digits != 0].min(initial=0))
    shifts = np.where(digits == 0, 0, exponents.astype(np.int64) - 53 + zeros - least)
    return (digits >> zeros).astype(object) << shifts.astype(object), 2**-least
