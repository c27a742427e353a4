"""Convex underestimates of regressions through a ReLU, as linear programs whose matrix never
changes.

With the firing of some rows decided, every row has a convex piecewise linear function ``f_r`` of
its preactivation, with slopes ``s0 <= s1 <= ...`` that change at the kinks ``k1 <= k2 <= ...``.
Those of a `ReluRegression` with `H`, `g` and `t` have three slopes::

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
    """The functions ``f_r`` of all rows: slopes ``(R, S)``, kinks ``(R, S - 1)``, and values
    ``(R,)`` at the first kinks."""

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
        first, *inner, last = self.slopes.T
        kinks = self.kinks.T
        found = self.values + first * np.minimum(a - kinks[0], 0.0)
        for slope, begin, end in zip(inner, kinks, kinks[1:], strict=False):
            found = found + slope * np.clip(a - begin, 0.0, end - begin)
        return np.asarray(found + last * np.maximum(a - kinks[-1], 0.0))

    def clipped(self, multipliers: FloatArray) -> FloatArray:
        """Return multipliers within the slopes, for which `constants_of` is finite."""
        return np.clip(multipliers, self.slopes[:, 0], self.slopes[:, -1])

    def constants_of(self, multipliers: FloatArray, g: FloatArray) -> FloatArray:
        """Return ``min_a (f_r(a) - pi_r a) + pi_r g_r`` of every row, for multipliers ``pi`` within
        the slopes.

        With ``q = H' pi`` the sum is the constant of a linear function below the sum of all rows
        everywhere, ``constant + q . theta``."""
        left, found = multipliers, self.values
        # From the last kink to the first: what of the multiplier is above the slope before it.
        for slope, kink in zip(self.slopes.T[-2:0:-1], self.kinks.T[:0:-1], strict=True):
            part = np.maximum(left - slope, 0.0)
            left, found = left - part, found + part * (g - kink)
        return np.asarray(found + left * (g - self.kinks[:, 0]))


# Costs, right-hand side, lower and upper bounds of a program ``min c . x, A x = b``.
Numbers = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


class PrimalLp:
    """A row for each row of the regression: ``H theta + u - v_1 - v_2 - ... = k1 - g``.

    The columns are `theta` and the parts of ``a - k1``: below the first kink, between each two
    kinks, above the last."""

    def __init__(self, h: FloatArray | sparse.csr_array, g: FloatArray, n_slopes: int = 3) -> None:
        self.g, self.n_unknowns = g, h.shape[1]
        eye = sparse.eye_array(len(g))
        parts = [sparse.csr_array(h), eye, *[-eye] * (n_slopes - 1)]
        self.matrix = sparse.csr_array(sparse.hstack(parts))

    def numbers(self, envelope: Envelope, lower: FloatArray, upper: FloatArray) -> Numbers:
        """Return what the program has for an envelope and a box besides its matrix."""
        (first, *others), kinks = envelope.slopes.T, envelope.kinks.T
        none, infinite = np.zeros(envelope.slopes.size), np.full(self.g.size, np.inf)
        return (
            np.concatenate([np.zeros(self.n_unknowns), -first, *others]),
            kinks[0] - self.g,
            np.concatenate([lower, none]),
            np.concatenate([upper, infinite, *np.diff(kinks, axis=0), infinite]),
        )

    def multipliers(
        self, envelope: Envelope, x: FloatArray, duals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the multipliers ``pi`` of the rows of the regression, and `theta`, of a
        solution."""
        return envelope.clipped(-duals), x[: self.n_unknowns]


class DualLp:
    """A row for each unknown: ``H' (x_1 + x_2 + ...) - p + n = -H' s0``, where ``pi = s0 + x_1 +
    x_2 + ...``.

    The columns are the parts ``x_i <= s_i - s_{i-1}`` of the multipliers, and the prices `p` and
    `n` of the lower and upper bounds of the unknowns."""

    def __init__(self, h: FloatArray, g: FloatArray, n_slopes: int = 3) -> None:
        self.h, self.g = h, g
        transposed, eye = sparse.csr_array(h.T), sparse.eye_array(h.shape[1])
        parts = [*[transposed] * (n_slopes - 1), -eye, eye]
        self.matrix = sparse.csr_array(sparse.hstack(parts))

    def numbers(self, envelope: Envelope, lower: FloatArray, upper: FloatArray) -> Numbers:
        """See `PrimalLp`."""
        slopes, kinks = envelope.slopes.T, envelope.kinks.T
        infinite = np.full(2 * lower.size, np.inf)
        return (
            np.concatenate([*(kinks - self.g), -lower, upper]),
            -(slopes[0] @ self.h),
            np.zeros(kinks.size + infinite.size),
            np.concatenate([*np.diff(slopes, axis=0), infinite]),
        )

    def multipliers(
        self, envelope: Envelope, x: FloatArray, duals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `PrimalLp`."""
        parts = x[: envelope.kinks.size].reshape(-1, self.g.size)
        return envelope.clipped(sum(parts, start=envelope.slopes[:, 0])), duals


EnvelopeLp = PrimalLp | DualLp
"""A linear program of the minimum."""


def envelope_lp(h: FloatArray, g: FloatArray, n_slopes: int = 3) -> EnvelopeLp:
    """Return the program with fewer rows."""
    kind = DualLp if h.shape[1] <= h.shape[0] else PrimalLp
    return kind(h, g, n_slopes)
