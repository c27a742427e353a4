"""Noise on the targets of the last layer.

With the targets `t` of its outputs, ones and zeros, moved to ``t + e``, every loss of ``o - t`` is
one of ``o - e - t``: noise on the targets is its negative on the outputs, whatever the loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from layermilp.formulations.loss import Box, Loss, OutputLoss
from layermilp.formulations.problem import Regression
from layermilp.networks.network import Block
from layermilp.networks.parameters import Group
from layermilp.program import FloatArray, IntArray

R = TypeVar("R", bound=Regression)


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """Labels, shape ``(m,)``, and the noise `e` of the targets, shape ``(m, n_outputs)``."""

    labels: IntArray
    noise: FloatArray

    @classmethod
    def drawn(
        cls, labels: IntArray, n_outputs: int, reach: float, rng: np.random.Generator
    ) -> NoisyLabels:
        """Draw noise uniform in ``[-reach, reach]``; a target of zero does not become negative,
        which no output of a ReLU is."""
        noise = rng.uniform(-reach, reach, (len(labels), n_outputs))
        is_one = labels[:, None] == np.arange(n_outputs)
        return cls(labels, np.where(is_one, noise, np.maximum(noise, 0.0)))

    def __getitem__(self, part: slice | IntArray) -> NoisyLabels:
        return NoisyLabels(self.labels[part], self.noise[part])


@dataclass(frozen=True)
class Noisy(Loss):
    """A loss of the last layer whose targets are `NoisyLabels`."""

    loss: OutputLoss

    def groups(self, block: Block) -> tuple[Group, ...]:
        """Return those of the loss."""
        return self.loss.groups(block)

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, targets: NoisyLabels, box: Box
    ) -> Regression:
        """Return the problem of the loss, with the noise taken off the outputs."""
        problem = self.loss.of_weights(block, group, inputs, targets.labels, box)
        return self._moved(problem, targets, group.neurons)

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: NoisyLabels
    ) -> Regression:
        """Return the problem of the loss, with the noise taken off the outputs."""
        problem = self.loss.of_inputs(weights, bias, inputs, targets.labels)
        return self._moved(problem, targets, np.arange(len(bias)))

    def _moved(self, problem: R, targets: NoisyLabels, neurons: IntArray) -> R:
        noise = self.loss.by_rows(targets.noise, targets.labels, neurons)
        return replace(problem, constants=problem.constants - noise)
