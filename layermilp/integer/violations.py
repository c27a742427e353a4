"""Integer points that violate as little as possible: the program of one neuron whose effect on
every sample is known.

    minimize   sum_g w_g e_g + sum_r v_r s(H_r theta)
    subject to H_r theta >= t_r - M_r e_g(r),   e binary,   theta integer in a box

Rows with the same group share a violation; ``M_r = t_r - min H_r theta`` over the box. The optional
loss `s` is the maximum of some linear functions and zero."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from layermilp.algorithms.tolerances import NO_EFFECT
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
    groups : (R,) array of int
        Violation of every row, from 0 to `G` - 1.
    prices : (G,) array
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
    groups: IntArray
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
        """Whether each group has a row that is not satisfied, exactly; shape ``(G,)``."""
        broken = np.zeros(self.prices.size, dtype=bool)
        np.logical_or.at(broken, self.groups, self.matrix @ theta < self.least)
        return broken

    def soft(self, theta: FloatArray) -> FloatArray:
        """Return `s` of every row, shape ``(R,)``; without slopes there is none, shape ``(0,)``."""
        if not self.slopes.size:
            return np.zeros(0)
        lines = (self.matrix @ theta)[:, None] * self.slopes + self.intercepts
        return np.asarray(np.maximum(lines.max(axis=1), 0.0))

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`."""
        return float(self.prices[self.violated(theta)].sum() + self.weights @ self.soft(theta))


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
        groups=np.arange(counts.size),
        prices=np.abs(merged[counts]),
        lower=lower,
        upper=upper,
        start=start,
    )


def added(place: IntArray, values: FloatArray) -> FloatArray:
    """Return the sums of the values by their place."""
    return np.asarray(np.bincount(place.reshape(-1), values), dtype=np.float64)


def violations(problem: Violations) -> Program:
    """Return the program; groups that no point of the box violates, or every one does, are
    constants.

    Columns are `theta`, a binary for every open group, and with losses `s` one for each row.
    """
    h, t, p = problem.matrix, problem.least, problem.n_unknowns
    low = np.maximum(h, 0.0) @ problem.lower + np.minimum(h, 0.0) @ problem.upper
    high = np.maximum(h, 0.0) @ problem.upper + np.minimum(h, 0.0) @ problem.lower
    hopeless = np.zeros(problem.prices.size, dtype=bool)
    np.logical_or.at(hopeless, problem.groups, high < t)
    rows = np.flatnonzero((low < t) & ~hopeless[problem.groups])
    opened, column = np.unique(problem.groups[rows], return_inverse=True)
    big_m = sparse.csr_array(
        (t[rows] - low[rows], (np.arange(rows.size), column)), shape=(rows.size, opened.size)
    )
    blocks: list[list[Any]] = [[sparse.csr_array(h[rows]), big_m]]
    row_lower = [t[rows]]
    start = [problem.start, problem.violated(problem.start)[opened]]
    n_soft = t.size if problem.slopes.size else 0
    if n_soft:
        blocks[0].append(sparse.csr_array((rows.size, n_soft)))
        for slope, intercept in zip(problem.slopes, problem.intercepts, strict=True):
            blocks.append(
                [
                    sparse.csr_array(-slope * h),
                    sparse.csr_array((n_soft, opened.size)),
                    sparse.eye_array(n_soft),
                ]
            )
            row_lower.append(np.full(n_soft, intercept))
        start.append(problem.soft(problem.start))
    lowers = np.concatenate(row_lower)
    return Program(
        costs=np.concatenate([np.zeros(p), problem.prices[opened], problem.weights]),
        matrix=sparse.block_array(blocks, format="csr")
        if lowers.size
        else sparse.csr_array((0, p + opened.size)),
        row_lower=lowers,
        row_upper=np.full(lowers.size, np.inf),
        col_lower=np.concatenate([problem.lower, np.zeros(opened.size + n_soft)]),
        col_upper=np.concatenate([problem.upper, np.ones(opened.size), np.full(n_soft, np.inf)]),
        integrality=np.repeat([True, False], [p + opened.size, n_soft]),
        offset=float(problem.prices[hopeless].sum()),
        start=np.concatenate(start).astype(np.float64),
        name="violations",
        column_groups=(("theta", p), ("e", opened.size), ("s", n_soft)),
    )
