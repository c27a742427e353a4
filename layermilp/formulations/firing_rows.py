"""Losses of rows of a layer's preactivations whose neurons fire or are silent, and their convex
underestimates: what `layermilp.algorithms.branch_and_bound` needs to know of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layermilp.formulations.envelope import OPEN, SILENT, Envelope
from layermilp.program import BoolArray, FloatArray, IntArray


class FiringRows(ABC):
    """Losses of some rows as functions of their preactivations: where the neuron fires, and where
    it is silent, which some rows may choose; arrays of shape ``(R,)``.

    Attributes
    ----------
    n_slopes : int
        Slopes of the underestimates.
    thresholds : array
        Preactivation up to which a row is silent, if it may be, or has no loss.
    can_choose : array of bool
        Whether a row may be silent though that has a loss.
    """

    n_slopes: int
    thresholds: FloatArray
    can_choose: BoolArray

    @abstractmethod
    def losses(self, a: FloatArray) -> FloatArray:
        """Return the losses."""

    @abstractmethod
    def choices(self, a: FloatArray) -> FloatArray:
        """Return the losses of firing, and of being silent, shape ``(2, R)``."""

    @abstractmethod
    def relaxed(self, low: FloatArray, decided: IntArray) -> Envelope:
        """Return underestimates for smallest preactivations and decisions."""

    @abstractmethod
    def fixed(self, fires: BoolArray) -> Envelope:
        """Return functions that equal the losses where the rows fire as given, and are no less
        elsewhere."""


def square(knots: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return slopes and kinks of the square's interpolation at zero and at knots on both sides."""
    points = np.array([0.0, *knots])
    rising = points[1:] + points[:-1]
    inner = points[1:-1]
    return np.concatenate([-rising[::-1], rising]), np.concatenate([-inner[::-1], [0.0], inner])


@dataclass(frozen=True, eq=False)
class PiecewiseRows(FiringRows):
    """Rows with a convex piecewise linear loss where they fire, and a constant one where they are
    silent.

    Parameters
    ----------
    slopes : (R, S) array
        Of the loss where the neuron fires, ascending.
    kinks : (R, S - 1) array
        Where they change, ascending.
    silence : (R,) array
        Loss where the neuron is silent; infinite where that is no choice.
    """

    slopes: FloatArray
    kinks: FloatArray
    silence: FloatArray

    @property
    def n_slopes(self) -> int:  # type: ignore[override]
        """Number of slopes `S`."""
        return int(self.slopes.shape[1])

    @cached_property
    def convex(self) -> Envelope:
        """The losses where all fire, whose least value is zero."""
        steps = self.slopes[:, 1:-1] * np.diff(self.kinks, axis=1)
        rises = np.cumsum(np.column_stack([np.zeros(len(steps)), steps]), axis=1)
        return Envelope(self.slopes, self.kinks, -rises.min(axis=1))

    @cached_property
    def at_kinks(self) -> FloatArray:
        """The losses where all fire at the kinks, shape ``(R, S - 1)``."""
        return np.column_stack([self.convex.at(kink) for kink in self.kinks.T])

    @cached_property
    def can_choose(self) -> BoolArray:  # type: ignore[override]
        """Whether silence has a finite price."""
        return np.asarray(np.isfinite(self.silence))

    @cached_property
    def thresholds(self) -> FloatArray:  # type: ignore[override]
        """Where firing begins to be the better choice; without a choice the end of the part without
        loss, if there is one."""
        values, kinks, slopes = self.at_kinks, self.kinks, self.slopes
        flat = np.cumprod(slopes == 0.0, axis=1).sum(axis=1)
        ends = kinks[np.arange(len(slopes)), np.maximum(flat, 1) - 1]
        found: FloatArray = np.full(len(slopes), -np.inf)
        np.copyto(found, ends, where=flat > 0)
        before = np.full(len(slopes), np.inf)
        for slope, kink, value in zip(slopes.T, kinks.T, values.T, strict=False):
            is_here = self.can_choose & (slope < 0.0) & (value <= self.silence)
            is_here &= self.silence <= before
            np.copyto(found, kink + self._run(value, slope, is_here), where=is_here)
            before = value
        return found

    @cached_property
    def beyond(self) -> FloatArray:
        """Where the loss of firing exceeds that of silence above the target."""
        values, kinks, slopes = self.at_kinks.T, self.kinks.T, self.slopes.T
        found = kinks[-1] + self._run(values[-1], slopes[-1], self.can_choose)
        for slope, kink, value in zip(slopes[-2:0:-1], kinks[:0:-1], values[:0:-1], strict=True):
            is_here = self.can_choose & (slope > 0.0) & (value > self.silence)
            np.copyto(found, kink + self._run(value, slope, is_here), where=is_here)
        return np.asarray(found)

    def _run(self, value: FloatArray, slope: FloatArray, part: BoolArray) -> FloatArray:
        """Return how far some rows go from a loss to that of silence."""
        run = np.zeros_like(value)
        return np.asarray(np.divide(self.silence - value, slope, out=run, where=part))

    def losses(self, a: FloatArray) -> FloatArray:
        """Return the losses of the better choices."""
        fires = self.convex.at(a)
        is_silent = self.can_choose & (a <= self.thresholds)
        return np.where(is_silent, np.minimum(self.silence, fires), fires)

    def choices(self, a: FloatArray) -> FloatArray:
        """Return the losses of firing, and of being silent."""
        return np.stack([self.convex.at(a), self.silence])

    def relaxed(self, low: FloatArray, decided: IntArray) -> Envelope:
        """Return underestimates: of an open row the envelope of both choices, of a silent one with
        a price for preactivations above the threshold."""
        slopes, kinks, values = self.slopes, self.kinks, self.convex.values
        is_open = (decided == OPEN) & self.can_choose & (low < self.thresholds)
        is_silent = (decided == SILENT) & self.can_choose
        price = np.where(self.can_choose, self.silence, 0.0)
        # The envelope is a line from the silent loss at the lower end to the kink that it meets
        # first from below, and the loss of firing from there on.
        reach = kinks - np.where(is_open, low, 0.0)[:, None]
        chords = np.full(kinks.shape, np.inf)
        np.divide(self.at_kinks - price[:, None], reach, out=chords, where=reach > 0.0)
        # Of equal kinks the last: the parts between them go.
        meets = self.n_slopes - 2 - chords[:, ::-1].argmin(axis=1)
        rows = np.arange(len(low))
        chord = np.where(is_open, chords[rows, meets], 0.0)
        before = np.arange(slopes.shape[1]) <= meets[:, None]
        first = self.at_kinks[rows, meets] - chord * (kinks[rows, meets] - kinks[:, 0])
        open_slopes = np.maximum.accumulate(np.where(before, chord[:, None], slopes), axis=1)
        silent_slopes = np.zeros_like(slopes)
        silent_slopes[:, -1] = 2.0 * slopes[:, -1]
        return Envelope(
            np.where(
                is_open[:, None], open_slopes, np.where(is_silent[:, None], silent_slopes, slopes)
            ),
            np.where(is_silent[:, None], self.thresholds[:, None], kinks),
            np.where(is_open, first, np.where(is_silent, price, values)),
        )

    def fixed(self, fires: BoolArray) -> Envelope:
        """Return the losses of firing, or of silence as far as that is at least the loss."""
        off = (self.can_choose & ~fires)[:, None]
        slopes = np.where(off, np.maximum(self.slopes, 0.0), self.slopes)
        kinks = np.where(off, np.maximum(self.kinks, self.beyond[:, None]), self.kinks)
        return Envelope(slopes, kinks, np.where(off[:, 0], self.silence, self.convex.values))
