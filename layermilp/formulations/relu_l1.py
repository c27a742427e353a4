"""Hidden layers: the least absolute deviation of ReLU outputs from their targets.

    ``minimize  sum_r |max(0, a_r) - t_r|  over a box,   a = H theta + g``

Objective (2) under (1) and (3) to (6) of Goebbels 2021, with the binaries eliminated. Its programs
are in `layermilp.formulations.big_m`, convex underestimates in `layermilp.formulations.envelope`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy import sparse

from layermilp.formulations.envelope import Envelope
from layermilp.formulations.firing_rows import FiringRows
from layermilp.formulations.loss import Box, Loss, input_rows
from layermilp.formulations.problem import Regression
from layermilp.networks.network import Block
from layermilp.networks.parameters import Group
from layermilp.program import BoolArray, FloatArray, IntArray


class FiringRegression(Regression):
    """A loss of the outputs of neurons that fire or are silent."""

    @abstractmethod
    def firing_rows(self, part: BoolArray) -> FiringRows:
        """Return the losses of some rows, marked by an array of shape ``(R,)``."""

    def reach(self, loss: float) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation at the points of no greater loss, two arrays of shape
        ``(R,)``, as far as the box does not say it."""
        return np.full(self.n_rows, -np.inf), np.full(self.n_rows, np.inf)


@dataclass(frozen=True, eq=False)
class ReluRows(FiringRows):
    """Least absolute deviations through a ReLU from the targets, shape ``(R,)``."""

    targets: FloatArray

    n_slopes = 3

    @cached_property
    def thresholds(self) -> FloatArray:  # type: ignore[override]
        """Zero."""
        return np.zeros_like(self.targets)

    @cached_property
    def can_choose(self) -> BoolArray:  # type: ignore[override]
        """Whether the target is above zero."""
        return np.asarray(self.targets > 0.0)

    def losses(self, a: FloatArray) -> FloatArray:
        """Return ``|max(0, a) - t|``."""
        return np.abs(np.maximum(a, 0.0) - self.targets)

    def choices(self, a: FloatArray) -> FloatArray:
        """Return ``|t - a|`` and `t`."""
        return np.stack([np.abs(self.targets - a), self.targets])

    def relaxed(self, low: FloatArray, decided: IntArray) -> Envelope:
        """See `Envelope.of`."""
        return Envelope.of(self.targets, low, decided)

    def fixed(self, fires: BoolArray) -> Envelope:
        """See `Envelope.of_pattern`."""
        return Envelope.of_pattern(self.targets, fires)


@dataclass(frozen=True, eq=False)
class ReluRegression(FiringRegression):
    """Least absolute deviations through a ReLU.

    Parameters
    ----------
    targets : (R,) array
        `t`, non-negative.
    big_m : float
        `M` of the paper, a bound of every ``|a_r|``; only the reference form needs it.
    """

    targets: FloatArray
    big_m: float

    @cached_property
    def scale(self) -> float:
        """Sum of the targets: the loss of a silent neuron."""
        return float(self.targets.sum())

    def scaled(self, outputs: float, unknowns: float) -> Self:
        """Return the same in other units."""
        return replace(
            super().scaled(outputs, unknowns),
            targets=self.targets / outputs,
            big_m=self.big_m / outputs,
        )

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, shape ``(R,)``."""
        return ReluRows(self.targets).losses(self.preactivation(theta))

    def firing_rows(self, part: BoolArray) -> ReluRows:
        """Return the losses of some rows."""
        return ReluRows(self.targets[part])

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation in which its loss ``e`` at `theta` is not exceeded.

        Where the neuron fires, ``max(0, t - e) <= a <= t + e``; where it does not and ``t > 0``,
        ``a <= 0``; where ``t = 0``, ``a <= e``."""
        a, t, e = self.preactivation(theta), self.targets, self.losses(theta)
        fires = (t > 0.0) & (a > 0.0)
        low = np.where(fires, np.maximum(t - e, 0.0), -np.inf)
        high = np.where(fires, t + e, np.where(t > 0.0, 0.0, e))
        return np.minimum(low, a), np.maximum(high, np.where(fires, a, high))


class ReluL1(Loss):
    """Deviation of a hidden layer's outputs from their targets, non-negative numbers; a row is a
    pair of sample and neuron."""

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, targets: FloatArray, box: Box
    ) -> ReluRegression:
        """One row per sample and neuron."""
        coefficients, constants = block.parameters.rows(group, inputs)
        around = box.around(block.theta, group.parameters)
        ends = np.concatenate([*around[:2], block.parameters.fixed[group.neurons].reshape(-1)])
        return ReluRegression(
            sparse.csr_array(coefficients),
            constants,
            *around,
            targets=targets[:, group.neurons].reshape(-1),
            big_m=reference_big_m(inputs, ends),
        )

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: FloatArray
    ) -> ReluRegression:
        """One row per sample and neuron."""
        big_m = reference_big_m(inputs, np.column_stack([weights, bias]))
        rows = input_rows(weights, bias, inputs)
        return ReluRegression(*rows, targets=targets.reshape(-1), big_m=big_m)


def reference_big_m(inputs: FloatArray, weights: FloatArray) -> float:
    """Return ``M = d (1.1 max |x| + 0.1) + 1`` of the paper, which bounds every output of a layer
    with `d` inputs `x`, shape ``(m, d)``.

    The paper has weights and biases, or the ends of their box, in [-1, 1]; beyond it `M` grows with
    them."""
    largest = float(np.abs(inputs).max(initial=0.0))
    scale = max(1.0, float(np.abs(weights).max(initial=0.0)))
    return scale * float(inputs.shape[1] * (1.1 * largest + 0.1) + 1.0)
