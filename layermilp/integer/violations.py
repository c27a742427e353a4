"""Integer points that violate as little as possible: the program of one neuron whose effect on
every sample is known.

    minimize   sum_r w_r e_r + v_r s(H_r theta)
    subject to H_r theta >= t_r - M_r e_r,   e binary,   theta integer in a box

``M_r = t_r - min H_r theta`` over the box. The optional loss `s` is the maximum of some linear
functions and zero."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from layermilp.algorithms.tolerances import NO_EFFECT
from layermilp.networks.integer import GRID
from layermilp.program import BoolArray, FloatArray, IntArray, Program


@dataclass(frozen=True, eq=False)
class Violations:
    """The problem.

    Parameters
    ----------
    matrix : (R, p) array
        `H`.
    least : (R,) array
        `t`.
    prices : (R,) array
        `w`, positive.
    lower, upper, start : (p,) arrays
        Box of `theta`, whole numbers, and a point of it.
    slopes, intercepts : (K,) arrays, optional
        Of the linear functions of `s`.
    weights : (R,) array, optional
        `v`, not negative.
    """

    matrix: FloatArray
    least: FloatArray
    prices: FloatArray
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    slopes: FloatArray = field(default_factory=lambda: np.zeros(0))
    intercepts: FloatArray = field(default_factory=lambda: np.zeros(0))
    weights: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns `p`."""
        return int(self.start.size)

    @property
    def nonzero_columns(self) -> IntArray:
        """Unknowns that occur in a row."""
        return np.flatnonzero(self.matrix.any(axis=0))

    def restricted(self, unknowns: IntArray) -> Violations:
        """Return the problem of some unknowns, in which all that occur in a row must be."""
        return replace(
            self,
            matrix=self.matrix[:, unknowns],
            lower=self.lower[unknowns],
            upper=self.upper[unknowns],
            start=self.start[unknowns],
        )

    def violated(self, theta: FloatArray) -> BoolArray:
        """Whether each row is not satisfied, exactly; shape ``(R,)``."""
        return np.asarray(self.matrix @ theta < self.least)

    def soft(self, theta: FloatArray) -> FloatArray:
        """Return `s` of every row, shape ``(R,)``; without slopes there is none, shape ``(0,)``."""
        if not self.slopes.size:
            return np.zeros(0)
        lines = (self.matrix @ theta)[:, None] * self.slopes + self.intercepts
        return np.asarray(np.maximum(lines.max(axis=1), 0.0))

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`."""
        return float(self.prices[self.violated(theta)].sum() + self.weights @ self.soft(theta))


def free_neuron(inputs: FloatArray, effects: FloatArray, bound: int) -> Violations:
    """Return the problem of a neuron of the first layer with all weights from ``-bound`` to
    `bound`; see `neuron`."""
    ends = np.full(inputs.shape[1] + 1, float(bound))
    return neuron(inputs, effects, 1.0 / GRID, -ends, ends, np.zeros(ends.size))


def neuron(
    inputs: FloatArray,
    effects: FloatArray,
    step: float,
    lower: FloatArray,
    upper: FloatArray,
    start: FloatArray,
) -> Violations:
    """Return the problem of one neuron: a sample is violated if the neuron decides against its
    effect.

    Parameters
    ----------
    inputs : (m, d) array
        Inputs of the neuron. Equal ones cannot be told apart, so their effects are added.
    effects : (m,) array
        What a sample loses if the neuron does not fire, less what it loses if it does.
    step : float
        Distance of the possible sums: a neuron that does not fire stays below zero by it.
    lower, upper, start : (d + 1,) arrays
        Box of weights and bias, and a point of it.
    """
    rows, place = np.unique(inputs, axis=0, return_inverse=True)
    merged = added(place, effects)
    counts = np.flatnonzero(np.abs(merged) > NO_EFFECT)
    wants = np.where(merged[counts] > 0.0, 1.0, -1.0)
    return Violations(
        matrix=np.column_stack([rows[counts], np.ones(counts.size)]) * wants[:, None],
        least=np.where(wants > 0.0, 0.0, step),
        prices=np.abs(merged[counts]),
        lower=lower,
        upper=upper,
        start=start,
    )


def added(place: IntArray, values: FloatArray) -> FloatArray:
    """Return the sums of the values by their place."""
    return np.asarray(np.bincount(place.reshape(-1), values), dtype=np.float64)


def violations(problem: Violations) -> Program:
    """Return the program; rows that no point of the box violates, or every one does, are constants.

    Columns are `theta`, a binary for every open row, and with losses `s` one for each row.
    """
    h, t = problem.matrix, problem.least
    low = np.maximum(h, 0.0) @ problem.lower + np.minimum(h, 0.0) @ problem.upper
    high = np.maximum(h, 0.0) @ problem.upper + np.minimum(h, 0.0) @ problem.lower
    hopeless = high < t
    rows = np.flatnonzero((low < t) & ~hopeless)
    p, n_open, n_soft = problem.n_unknowns, rows.size, t.size if problem.slopes.size else 0
    places = np.arange(n_open)
    big_m = sparse.csr_array((t[rows] - low[rows], (places, places)), shape=(n_open, n_open))
    blocks = [sparse.hstack([h[rows], big_m, sparse.csr_array((n_open, n_soft))])]
    row_lower = [t[rows]]
    for slope, intercept in zip(problem.slopes, problem.intercepts, strict=True):
        empty = sparse.csr_array((n_soft, n_open))
        blocks.append(sparse.hstack([-slope * h, empty, sparse.eye_array(n_soft)]))
        row_lower.append(np.full(n_soft, intercept))
    lowers, start = np.concatenate(row_lower), problem.start
    parts = [start, problem.violated(start)[rows], problem.soft(start)]
    return Program(
        costs=np.concatenate([np.zeros(p), problem.prices[rows], problem.weights]),
        matrix=sparse.vstack(blocks, format="csr"),
        row_lower=lowers,
        row_upper=np.full(lowers.size, np.inf),
        col_lower=np.concatenate([problem.lower, np.zeros(n_open + n_soft)]),
        col_upper=np.concatenate([problem.upper, np.ones(n_open), np.full(n_soft, np.inf)]),
        integrality=np.repeat([True, False], [p + n_open, n_soft]),
        offset=float(problem.prices[hopeless].sum()),
        start=np.concatenate(parts).astype(np.float64),
        name="violations",
        column_groups=(("theta", p), ("e", n_open), ("s", n_soft)),
    )
