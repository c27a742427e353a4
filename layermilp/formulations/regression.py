"""The two problems behind all programs of the layerwise method, as data with their loss in numpy.

Rows ``r`` are samples (weight programs: the parameters are the unknowns) or pairs of sample and
neuron (tied weights; input proposals: the inputs are the unknowns). In every case the
preactivations are linear in the unknowns, ``a = H theta + g`` with `theta` in a box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from layermilp.program import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear preactivations ``a = H theta + g`` over a box.

    Parameters
    ----------
    coefficients : (R, p) CSR array
        `H`.
    constants : (R,) array
        `g`.
    lower, upper : (p,) arrays
        Box of `theta`, finite.
    start : (p,) array
        A point of the box: the present value of `theta`.
    """

    coefficients: sparse.csr_array
    constants: FloatArray
    lower: FloatArray
    upper: FloatArray
    start: FloatArray

    @property
    def n_rows(self) -> int:
        """Number of rows `R`."""
        return int(self.coefficients.shape[0])

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns `p`."""
        return int(self.coefficients.shape[1])

    def preactivation(self, theta: FloatArray) -> FloatArray:
        """``H theta + g``, shape ``(R,)``."""
        return np.asarray(self.coefficients @ theta) + self.constants

    @cached_property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest preactivation of every row over the box, by interval arithmetic
        (exact for one row)."""
        positive, negative = self.coefficients.maximum(0.0), self.coefficients.minimum(0.0)
        low = positive @ self.lower + negative @ self.upper + self.constants
        high = positive @ self.upper + negative @ self.lower + self.constants
        return np.asarray(low), np.asarray(high)

    @cached_property
    def live(self) -> BoolArray:
        """Mask of the unknowns that occur in some row; the others cannot change any loss."""
        occurs = np.zeros(self.n_unknowns, dtype=bool)
        occurs[self.coefficients.indices[self.coefficients.data != 0.0]] = True
        return occurs


@dataclass(frozen=True, eq=False)
class Merger:
    """Unknowns with equal columns of `H`, of which only the sums matter to any row.

    Parameters
    ----------
    group : (p,) array of int
        Number of the sum in which an unknown occurs.
    firsts : (q,) array of int
        One unknown of each sum.
    """

    group: IntArray
    firsts: IntArray

    @classmethod
    def of(cls, coefficients: sparse.csr_array) -> Merger:
        """Find the equal columns."""
        if not coefficients.shape[1]:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        columns = coefficients.toarray().T
        _, firsts, group = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        # In the order of their first unknowns, so that nothing moves where no columns are equal.
        rank = np.argsort(np.argsort(firsts))
        return cls(rank[group.reshape(-1)], np.sort(firsts))

    def sums(self, values: FloatArray) -> FloatArray:
        """Add up values of the unknowns, shape ``(p,)`` to ``(q,)``."""
        sums: FloatArray = np.zeros(self.firsts.size)
        np.add.at(sums, self.group, values)
        return sums

    def spread(self, sums: FloatArray, rows: Rows) -> FloatArray:
        """Return unknowns with the given sums: every one moves from its start by the same share of
        its room in the box.

        Among the points with these sums it is one of the nearest to the start in the l1 norm.
        """
        change = sums - self.sums(rows.start)
        room = np.where(change[self.group] > 0.0, rows.upper - rows.start, rows.start - rows.lower)
        total = self.sums(room)
        share = np.divide(np.abs(change), total, out=np.zeros_like(total), where=total > 0.0)
        moved = rows.start + np.sign(change)[self.group] * np.minimum(share, 1.0)[self.group] * room
        return np.asarray(np.clip(moved, rows.lower, rows.upper))


@dataclass(frozen=True, eq=False)
class ReluRegression(Rows):
    """Least absolute deviations through a ReLU: minimize ``sum_r |max(0, a_r) - t_r|``.

    Objective (2) under (1) and (3) to (6) of Goebbels 2021, with the binaries eliminated.

    Parameters
    ----------
    targets : (R,) array
        `t`, non-negative.
    big_m : float
        The report's `M`, a bound of every ``|a_r|``; only the reference form needs it.
    """

    targets: FloatArray
    big_m: float

    @cached_property
    def scale(self) -> float:
        """Sum of the targets: the loss of a silent neuron."""
        return float(self.targets.sum())

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, shape ``(R,)``."""
        return np.abs(np.maximum(self.preactivation(theta), 0.0) - self.targets)

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`."""
        return float(self.losses(theta).sum())

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation that holds its value at `theta` and in which its loss is
        no larger than there.

        Where the neuron fires, ``max(0, t - e) <= a <= t + e`` with the loss `e`; where it does not
        and ``t > 0``, ``a <= 0``; where ``t = 0``, ``a <= e``."""
        a, t, e = self.preactivation(theta), self.targets, self.losses(theta)
        fires = (t > 0.0) & (a > 0.0)
        low = np.where(fires, np.maximum(t - e, 0.0), -np.inf)
        high = np.where(fires, t + e, np.where(t > 0.0, 0.0, e))
        return np.minimum(low, a), np.maximum(high, np.where(fires, a, high))

    def restricted(self, unknowns: BoolArray) -> ReluRegression:
        """Return the problem in the given unknowns alone; the others stay at their start."""
        rest = ~unknowns
        return replace(
            self,
            coefficients=self.coefficients[:, np.flatnonzero(unknowns)],
            constants=self.constants
            + self.coefficients[:, np.flatnonzero(rest)] @ self.start[rest],
            lower=self.lower[unknowns],
            upper=self.upper[unknowns],
            start=self.start[unknowns],
        )

    def merged(self, merger: Merger) -> ReluRegression:
        """Return the problem in the sums of unknowns with equal columns; it has the same
        optimum."""
        return replace(
            self,
            coefficients=self.coefficients[:, merger.firsts],
            lower=merger.sums(self.lower),
            upper=merger.sums(self.upper),
            start=merger.sums(self.start),
        )


def reference_big_m(inputs: FloatArray, weights: FloatArray) -> float:
    """Return the report's ``M = d (1.1 max |x| + 0.1) + 1``, which bounds every output of a layer
    with `d` inputs.

    Parameters
    ----------
    inputs : (m, d) array
        Inputs of the layer.
    weights : array
        Weights and biases, or the ends of their box. The report has them in [-1, 1]; beyond it `M`
        grows with them.
    """
    largest = float(np.abs(inputs).max(initial=0.0))
    scale = max(1.0, float(np.abs(weights).max(initial=0.0)))
    return scale * float(inputs.shape[1] * (1.1 * largest + 0.1) + 1.0)


@dataclass(frozen=True, eq=False)
class HingeRegression(Rows):
    """The last layer: ReLU replaced by the identity, with a dead zone.

    minimize ``sum_r max(0, a_r - s)`` over the rows with target zero plus ``sum_r max(0, |a_r - 1|
    - s)`` over those with target one: (7) and (8) of Goebbels 2021 for ``s = 0``, its section 2.3
    for ``s = 0.49``.

    Parameters
    ----------
    is_target : (R,) array of bool
        Where the target is one.
    tolerance : float
        The dead zone `s`, at least 0.
    one_weight : float or (R,) array
        Factor of the loss of the rows with target one, above 0: a class weight. The report's is 1.
    """

    is_target: BoolArray
    tolerance: float
    one_weight: float | FloatArray = 1.0

    @cached_property
    def scale(self) -> float:
        """Sum of the weighted targets."""
        return float(self.weights[self.is_target].sum())

    @cached_property
    def weights(self) -> FloatArray:
        """Factor of the loss of every row, shape ``(R,)``."""
        return np.asarray(np.where(self.is_target, self.one_weight, 1.0), dtype=np.float64)

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, shape ``(R,)``."""
        return self.weights * self._excess(theta)

    def _excess(self, theta: FloatArray) -> FloatArray:
        """Deviation of every row beyond the dead zone."""
        a = self.preactivation(theta)
        deviation = np.where(self.is_target, np.abs(a - 1.0), a)
        return np.maximum(deviation - self.tolerance, 0.0)

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`."""
        return float(self.losses(theta).sum())

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation that holds its value at `theta` and in which its loss is
        no larger than there."""
        a, reach = self.preactivation(theta), self.tolerance + self._excess(theta)
        low = np.where(self.is_target, 1.0 - reach, -np.inf)
        return np.minimum(low, a), np.maximum(self.is_target + reach, a)


@dataclass(frozen=True, eq=False)
class MarginRegression(Rows):
    """The last layer with a margin: every sample's own output shall exceed all others by one.

    minimize ``sum_k max(0, 1 - min_j a_kj) + mu |theta - start|_1``, where ``a_kj = o_y - o_j`` is
    the lead of the sample's own output `y` over its rival `j`, linear in `theta` because the
    outputs are read before their ReLU. It is the loss of Crammer and Singer's multi-class support
    vector machine (JMLR 2, 2001). Rows are pairs ``(k, j)``, sample by sample.

    Parameters
    ----------
    n_rivals : int
        Rows per sample: the number of outputs less one.
    penalty : float
        `mu`, the price of a change, at least 0.
    """

    n_rivals: int
    penalty: float = 0.0

    @cached_property
    def scale(self) -> float:
        """Number of samples: the loss where all outputs are equal."""
        return self.n_rows / self.n_rivals

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every sample, shape ``(R / n_rivals,)``."""
        return np.asarray(
            np.maximum(1.0 - self.preactivation(theta).reshape(-1, self.n_rivals).min(axis=1), 0.0)
        )

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`, the price of the change included."""
        return float(self.losses(theta).sum()) + self.penalty * float(
            np.abs(theta - self.start).sum()
        )

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every lead that holds its value at `theta` and in which its sample's loss is
        no larger than there."""
        a = self.preactivation(theta)
        return np.minimum(1.0 - np.repeat(self.losses(theta), self.n_rivals), a), np.full(
            a.size, np.inf
        )


LinearRegression = HingeRegression | MarginRegression
"""The problems of an output layer, whose programs are linear."""
