"""Convex piecewise linear sums over many rows, with few unknowns.

    minimize  f(theta) = sum_r w_r max_p (G_rp . theta + h_rp)  over a box

Every post-processing of the output layer is such a sum: one row per sample, at most as many pieces
as there are outputs."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from layermilp.formulations.problem import Problem
from layermilp.program import FloatArray


class PiecewiseLinear(Problem):
    """A sum of `R` losses, each the weighted maximum of at most `P` functions linear in `p`
    unknowns, and never negative.

    Attributes
    ----------
    row_weights : (R,) array
        `w`, positive.
    """

    row_weights: FloatArray

    @property
    def n_rows(self) -> int:
        """Number of rows `R`."""
        return int(self.row_weights.size)

    @abstractmethod
    def values(self, theta: FloatArray) -> FloatArray:
        """All pieces at `theta`, shape ``(R, P)``; ``-inf`` where a row has no such piece."""

    @abstractmethod
    def linear(self, theta: FloatArray) -> FloatArray:
        """Return ``G_rp . theta`` of all pieces, shape ``(R, P)``; anything finite where a row has
        no such piece."""

    @abstractmethod
    def adjoint(self, multipliers: FloatArray) -> FloatArray:
        """Return ``sum_rp lam_rp G_rp``, shape ``(p,)``, for multipliers of shape ``(R, P)``, zero
        where there is no piece."""

    @abstractmethod
    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return ``sum_r G_r' (diag(D_r) - D_r D_r' / sum D_r) G_r``, shape ``(p, p)``.

        `weights` are ``D``, of shape ``(R, P)``, zero where a row has no such piece, with a
        positive sum in every row."""

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, shape ``(R,)``."""
        return np.asarray(self.row_weights * self.values(theta).max(axis=1))

    def loss(self, theta: FloatArray) -> float:
        """The objective ``f(theta)``."""
        return self.total(self.values(theta))

    def total(self, values: FloatArray) -> float:
        """The objective at the point of the given ``values``, shape ``(R, P)``."""
        return float(self.row_weights @ values.max(axis=1))
