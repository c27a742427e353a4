"""Convex underestimates of a `ReluRegression`, as linear programs whose matrix never changes.

With `H`, `g` and `t` as in the regression, and the firing of some rows decided, every row has a
convex piecewise linear function ``f_r`` of its preactivation with three slopes ``s0 <= s1 <= s2``
that change at the kinks ``k1 <= k2``::

    row                     s0           s1   s2    k1   k2   f at k1
    t = 0                   0            0    1     0    0    0
    t > 0, open             -c           -c   1     t    t    0
    t > 0, decided: a >= 0  -1 - price   -1   1     0    t    t
    t > 0, decided: a <= 0  0            0    price 0    0    t
    t > 0, taken to fire    -1           -1   1     t    t    0
    t > 0, taken to be off  0            0    1     2 t  2 t  t

with ``c = t / (t - min(A-, 0))`` for the smallest preactivation ``A-``, see `reduced`.

A decided row may be on the wrong side, at a price. From a price of 1 on, ``f`` is nowhere below the
loss of a decided row, so that with all rows decided the minimum of ``sum_r f_r(a_r)`` is attained
where the loss is no larger. The last two lines are those of the reduced form with its binaries
fixed, also nowhere below the loss: steps of a descent.

The minimum over a box is a linear program with a row for each row of the regression, and its dual
has a row for each unknown: the one with fewer rows is solved faster. A decision changes costs,
bounds and right-hand sides, never a coefficient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from layermilp.program import BoolArray, FloatArray, IntArray

OPEN, FIRES, SILENT = 0, 1, -1
"""What is decided of a row: nothing, ``a >= 0``, or ``a <= 0``."""

PRICE = 10.0
"""Price of a decided row on the wrong side. Any of at least 1 is exact; a small one bounds less, a
large one is ill-scaled."""


@dataclass(frozen=True, eq=False)
class Envelope:
    """The functions ``f_r`` of all rows: slopes ``(R, 3)``, kinks ``(R, 2)``, and values ``(R,)``
    at the first kinks."""

    slopes: FloatArray
    kinks: FloatArray
    values: FloatArray

    @classmethod
    def of(
        cls, targets: FloatArray, low: FloatArray, decided: IntArray, price: float = PRICE
    ) -> Envelope:
        """Build the functions from targets, smallest preactivations and decisions, all of shape
        ``(R,)``."""
        positive, zero = targets > 0.0, np.zeros_like(targets)
        below = np.minimum(low, 0.0)
        chord = np.divide(targets, targets - below, out=zero.copy(), where=positive)
        fires, silent = decided == FIRES, decided == SILENT
        first = np.where(fires, -1.0 - price, np.where(silent, 0.0, -chord))
        second, third = np.where(fires, -1.0, first), np.where(silent, price, 1.0)
        k1 = np.where(fires | silent, 0.0, targets)
        return cls(
            np.column_stack([first, second, third]),
            np.column_stack([k1, np.where(silent, 0.0, targets)]),
            np.where(fires | silent, targets, 0.0),
        )

    @classmethod
    def of_pattern(cls, targets: FloatArray, fires: BoolArray) -> Envelope:
        """Build the functions that equal the loss where the rows fire as given, and are no less
        elsewhere."""
        positive = targets > 0.0
        off, first = positive & ~fires, np.where(positive & fires, -1.0, 0.0)
        kink = np.where(off, 2.0 * targets, targets)
        return cls(
            np.column_stack([first, first, np.ones_like(first)]),
            np.column_stack([kink, kink]),
            np.where(off, targets, 0.0),
        )

    def at(self, a: FloatArray) -> FloatArray:
        """Return ``f_r(a_r)``, shape ``(R,)``."""
        (first, second, third), (k1, k2) = self.slopes.T, self.kinks.T
        left, right = np.minimum(a - k1, 0.0), np.maximum(a - k2, 0.0)
        return np.asarray(
            self.values + first * left + second * np.clip(a - k1, 0.0, k2 - k1) + third * right
        )

    def clipped(self, multipliers: FloatArray) -> FloatArray:
        """Return multipliers within the slopes, for which `constants_of` is finite."""
        return np.clip(multipliers, self.slopes[:, 0], self.slopes[:, 2])

    def constants_of(self, multipliers: FloatArray, g: FloatArray) -> FloatArray:
        """Return ``min_a (f_r(a) - pi_r a) + pi_r g_r`` of every row, for multipliers ``pi`` within
        the slopes.

        With ``q = H' pi`` the sum is the constant of a linear function below the sum of all rows
        everywhere, ``constant + q . theta``."""
        second, (k1, k2) = self.slopes[:, 1], self.kinks.T
        upper = np.maximum(multipliers - second, 0.0)
        lower = multipliers - upper
        return np.asarray(self.values + lower * (g - k1) + upper * (g - k2))


# Costs, right-hand side, lower and upper bounds of a program ``min c . x, A x = b``.
Numbers = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


class PrimalLp:
    """A row for each row of the regression: ``H theta + u - m - v = k1 - g``.

    The columns are `theta` and three parts of ``a - k1``: below the first kink, between the kinks,
    above the second."""

    def __init__(self, h: FloatArray | sparse.csr_array, g: FloatArray) -> None:
        self.g, self.n_unknowns = g, h.shape[1]
        eye = sparse.eye_array(len(g))
        self.matrix = sparse.csr_array(sparse.hstack([sparse.csr_array(h), eye, -eye, -eye]))

    def numbers(self, envelope: Envelope, lower: FloatArray, upper: FloatArray) -> Numbers:
        """Return what the program has for an envelope and a box besides its matrix."""
        (first, second, third), (k1, k2) = envelope.slopes.T, envelope.kinks.T
        none, infinite = np.zeros(3 * k1.size), np.full(k1.size, np.inf)
        return (
            np.concatenate([np.zeros(self.n_unknowns), -first, second, third]),
            k1 - self.g,
            np.concatenate([lower, none]),
            np.concatenate([upper, infinite, k2 - k1, infinite]),
        )

    def multipliers(
        self, envelope: Envelope, x: FloatArray, duals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the multipliers ``pi`` of the rows of the regression, and `theta`, of a
        solution."""
        return envelope.clipped(-duals), x[: self.n_unknowns]


class DualLp:
    """A row for each unknown: ``H' (x1 + x2) - p + n = -H' s0``, where ``pi = s0 + x1 + x2``.

    The columns are the parts ``x1 <= s1 - s0`` and ``x2 <= s2 - s1`` of the multipliers, and the
    prices `p` and `n` of the lower and upper bounds of the unknowns."""

    def __init__(self, h: FloatArray, g: FloatArray) -> None:
        self.h, self.g = h, g
        transposed, eye = sparse.csr_array(h.T), sparse.eye_array(h.shape[1])
        self.matrix = sparse.csr_array(sparse.hstack([transposed, transposed, -eye, eye]))

    def numbers(self, envelope: Envelope, lower: FloatArray, upper: FloatArray) -> Numbers:
        """See `PrimalLp`."""
        (first, second, third), (k1, k2) = envelope.slopes.T, envelope.kinks.T
        infinite = np.full(2 * lower.size, np.inf)
        return (
            np.concatenate([k1 - self.g, k2 - self.g, -lower, upper]),
            -(first @ self.h),
            np.zeros(2 * k1.size + infinite.size),
            np.concatenate([second - first, third - second, infinite]),
        )

    def multipliers(
        self, envelope: Envelope, x: FloatArray, duals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `PrimalLp`."""
        n_rows = self.g.size
        return envelope.clipped(envelope.slopes[:, 0] + x[:n_rows] + x[n_rows : 2 * n_rows]), duals


EnvelopeLp = PrimalLp | DualLp
"""A linear program of the minimum."""


def envelope_lp(h: FloatArray, g: FloatArray) -> EnvelopeLp:
    """Return the program with fewer rows."""
    return DualLp(h, g) if h.shape[1] <= h.shape[0] else PrimalLp(h, g)
