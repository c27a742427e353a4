"""What integer networks with sign activations are trained for (Thorbjarnarson and Yorke-Smith
2020), as losses of samples.

All take the sums of the output layer, whole numbers `a`, and the labels; labels are +1 for the own
output and -1 for all others, and the outputs of (1) are ``2 a / (P (N + 1))`` with `N` neurons in
the last hidden layer. Equation (1) is read with the bias inside the sum that is scaled, as
"approximately between -1 and 1" demands."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from layermilp.algorithms.tolerances import WHOLE_ROOM
from layermilp.program import BoolArray, FloatArray, IntArray

MARGIN = 0.5
"""`m` of sat-margin. The paper's (24) declares it binary; its text, and (18), have one half."""


@dataclass(frozen=True)
class Objective(ABC):
    """Losses of samples, zero at best.

    Parameters
    ----------
    bound : int
        `P`.
    n_last : int
        Neurons of the last hidden layer.
    n_outputs : int
        Output neurons.
    """

    name: ClassVar[str]
    is_shared: ClassVar[bool] = False
    """Whether a sample has one loss for all its outputs; else one for each."""
    bound: int
    n_last: int
    n_outputs: int

    @property
    def scale(self) -> float:
        """Output of (1) for a sum of one."""
        return 2.0 / (self.bound * (self.n_last + 1))

    @abstractmethod
    def losses(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return the loss of every sample, shape ``(m,)``, for sums of shape ``(m, n_outputs)``."""

    @abstractmethod
    def least_loss(self, counts: IntArray) -> float:
        """Return a lower bound of the loss of samples that no network tells apart; `counts`, shape
        ``(G, n_outputs)``, says for every group of equal samples how many have each label."""

    @abstractmethod
    def targets(self, own: BoolArray) -> FloatArray:
        """Return for every sample the ``a y`` from which on an output costs it nothing; `own`:
        whether it is the label's."""

    @abstractmethod
    def reported(self, loss: float, n_samples: int) -> float:
        """Return the paper's objective for a loss summed over samples."""

    def least_loss_of_group(self, weights: IntArray, most: int, own: BoolArray) -> float:
        """Return a lower bound of the loss of samples by one output, of which ``sum_i weights_i a_i
        y_i`` is at most `most`.

        Weights, shape ``(g,)``, are positive whole numbers; `own`, ``(g,)``: whether the output is
        the label's. Unless an objective has it otherwise, a sample below its target loses one, and
        takes from the sum at most its way down from the target to the least ``a y``."""
        targets = self.targets(own)
        missing = float(weights @ targets) - most
        if missing <= WHOLE_ROOM:
            return 0.0
        ways = np.sort(weights * (targets + self.bound * (self.n_last + 1)))[::-1]
        return float(np.searchsorted(np.cumsum(ways), missing - WHOLE_ROOM)) + 1.0

    def signed(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return ``a y``, shape ``(m, n_outputs)``, where `y` is +1 for the own output, else -1."""
        signs = np.where(np.arange(self.n_outputs) == labels[:, None], 1.0, -1.0)
        return np.asarray(sums * signs)


class MaxCorrect(Objective):
    """(13) to (17): the number of samples whose own output, and no other, is at least zero.

    Constraint (16) as printed sums over the samples, for every output; it is read as the sum over
    outputs, for every sample, as its text says: one positive output per sample. A sample that
    breaks it counts as wrong here; the program of the whole network forbids it."""

    name = "max-correct"
    is_shared = True

    def losses(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return 0 or 1 for every sample."""
        fires = sums >= 0.0
        wanted = np.arange(self.n_outputs) == labels[:, None]
        return np.asarray(np.any(fires != wanted, axis=1), dtype=np.float64)

    def least_loss(self, counts: IntArray) -> float:
        """All of a group but those of one label are wrong."""
        return float(counts.sum() - counts.max(axis=1).sum())

    def targets(self, own: BoolArray) -> FloatArray:
        """Return 0 for the own output, 1 for others: ``a`` is a whole number below zero."""
        return np.where(own, 0.0, 1.0)

    def reported(self, loss: float, n_samples: int) -> float:
        """Return (13)."""
        return n_samples - loss


class SatMargin(Objective):
    """(20) to (24): the number of outputs, over all samples, with ``y`` times the output at least
    one half."""

    name = "sat-margin"

    @property
    def least(self) -> int:
        """Smallest ``a y``, a whole number, that satisfies the margin."""
        return math.ceil(MARGIN / self.scale - 1e-9)

    def losses(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return the number of outputs without the margin."""
        return np.asarray((self.signed(sums, labels) < self.least).sum(axis=1).astype(np.float64))

    def least_loss(self, counts: IntArray) -> float:
        """Every output has the margin for its own label or for the others."""
        others = counts.sum(axis=1, keepdims=True) - counts
        return float(np.minimum(counts, others).sum())

    def targets(self, own: BoolArray) -> FloatArray:
        """Return `least`."""
        return np.full(own.size, float(self.least))

    def reported(self, loss: float, n_samples: int) -> float:
        """Return (20)."""
        return n_samples * self.n_outputs - loss


class MinHinge(Objective):
    """(18) and (19): the squared hinge ``max(0, 1/2 - y output)^2``, piecewise linear between the
    break points."""

    name = "min-hinge"
    N_PIECES: ClassVar[int] = 10

    @property
    def breaks(self) -> FloatArray:
        """Break points of ``y`` times the output: evenly from its least value -2 to one half, where
        the loss becomes zero."""
        return np.linspace(-2.0, MARGIN, self.N_PIECES + 1)

    @property
    def pieces(self) -> tuple[FloatArray, FloatArray]:
        """Slopes and intercepts in units of ``a y``; the loss is their maximum, and at least
        zero."""
        at = self.breaks
        values = (MARGIN - at) ** 2
        slopes = np.diff(values) / np.diff(at)
        return slopes * self.scale, values[:-1] - slopes * at[:-1]

    def losses(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return the sum over the outputs."""
        outputs = self.signed(sums, labels) * self.scale
        return np.asarray(self._loss(outputs).sum(axis=1))

    def _loss(self, outputs: FloatArray) -> FloatArray:
        at = self.breaks
        return np.interp(outputs, at, (MARGIN - at) ** 2, right=0.0)

    def least_loss(self, counts: IntArray) -> float:
        """For every output the least sum of a convex piecewise linear function, which lies at one
        of its break points."""
        others = counts.sum(axis=1, keepdims=True) - counts
        at = np.concatenate([self.breaks, -self.breaks])
        sums = counts[..., None] * self._loss(at) + others[..., None] * self._loss(-at)
        return float(sums.min(axis=2).sum())

    def targets(self, own: BoolArray) -> FloatArray:
        """Return where the loss becomes zero."""
        return np.full(own.size, MARGIN / self.scale)

    def least_loss_of_group(self, weights: IntArray, most: int, own: BoolArray) -> float:
        """Return ``max_p sum_i min_t (s(t) + p w_i t) - p most``: concave in `p`, linear between
        slopes of `s` over weights."""
        slopes, _ = self.pieces
        at = np.append(self.breaks, -self.breaks[0]) / self.scale
        prices = np.unique(-slopes[:, None] / weights)
        prices = prices[prices * weights.max() <= -slopes.min() * (1.0 + 1e-12)]
        sums = self._loss(at * self.scale) + prices[:, None, None] * weights[:, None] * at
        least = sums.min(axis=2).sum(axis=1) - prices * most
        return float(least.max(initial=0.0))

    def reported(self, loss: float, n_samples: int) -> float:
        """Return (19)."""
        return loss


OBJECTIVES: dict[str, type[Objective]] = {
    kind.name: kind for kind in (SatMargin, MinHinge, MaxCorrect)
}
"""Objectives by name, the default first."""
