"""Problems: a loss to be minimized over a box, and preactivations that are linear in the unknowns.

Rows ``r`` of the preactivations ``a = H theta + g`` are samples, or pairs of a sample and a neuron
(tied weights; input proposals), or pairs of a sample and a rival of its class (`margin`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray, Program


class Problem(ABC):
    """A loss, never negative, to be minimized over a box.

    Attributes
    ----------
    lower, upper : (p,) arrays
        Box of the unknowns `theta`, finite.
    start : (p,) array
        A point of the box: the present value of `theta`.
    """

    lower: FloatArray
    upper: FloatArray
    start: FloatArray

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns `p`."""
        return int(self.start.size)

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows `R`, whose losses are added up."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """A loss that measures what is at stake: see the subclass."""

    @abstractmethod
    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, or of every sample."""

    def loss(self, theta: FloatArray) -> float:
        """The objective at `theta`."""
        return float(self.losses(theta).sum())


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear preactivations ``a = H theta + g`` over a box.

    Parameters
    ----------
    coefficients : (R, p) CSR array
        `H`.
    constants : (R,) array
        `g`.
    lower, upper, start : (p,) arrays
        As in `Problem`.
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

    def preactivation(self, theta: FloatArray) -> FloatArray:
        """``H theta + g``, shape ``(R,)``."""
        return np.asarray(self.coefficients @ theta) + self.constants

    def scaled(self, outputs: float, unknowns: float) -> Self:
        """Return the same with preactivations in units of `outputs` and `theta` in units of
        `unknowns`, both positive."""
        return replace(
            self,
            coefficients=self.coefficients * (unknowns / outputs),
            constants=self.constants / outputs,
            lower=self.lower / unknowns,
            upper=self.upper / unknowns,
            start=self.start / unknowns,
        )

    @cached_property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest preactivation of every row over the box, by interval arithmetic
        (exact for one row)."""
        positive, negative = self.coefficients.maximum(0.0), self.coefficients.minimum(0.0)
        low = positive @ self.lower + negative @ self.upper + self.constants
        high = positive @ self.upper + negative @ self.lower + self.constants
        return np.asarray(low), np.asarray(high)


class Regression(Rows, Problem):
    """A loss of preactivations."""

    @property
    def is_priced(self) -> bool:
        """Whether the loss prices the distance from the start, which leaves a tie-break no
        choice."""
        return False

    @abstractmethod
    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation that holds its value at `theta` and in which its loss is
        no larger than there, two arrays of shape ``(R,)``."""


class OutputRegression(Regression):
    """A loss of linear outputs, whose program is linear.

    Attributes
    ----------
    penalty : float
        Price of a change of the unknowns in the l1 norm, at least 0.
    """

    penalty: float = 0.0

    @abstractmethod
    def program(self) -> Program:
        """The linear program. Its first columns are the unknowns."""
