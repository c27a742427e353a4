"""What keeps a batch from being learned by heart: noise on the targets, and dropout (Goebbels 2021,
section 3, which tried both and does not say how).

Everything is drawn by the seed and the numbers of batch and sweep alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layermilp.formulations.loss import Loss, OutputLoss
from layermilp.formulations.noise import Noisy, NoisyLabels
from layermilp.layerwise.options import Sweeps
from layermilp.networks.network import Network
from layermilp.program import BoolArray, FloatArray, IntArray

# A loss of a layer's outputs, and their targets.
Aim = tuple[Loss, Any]

NOISE, DROPOUT = 1, 2
"""Streams of random numbers besides those of the order of the samples and of the solvers."""


def noisy(loss: OutputLoss, labels: IntArray, n_outputs: int, settings: Sweeps, batch: int) -> Aim:
    """Return the loss and the targets of a batch, with noise where the settings have some.

    It is the same in all sweeps of the batch, so that they have one aim."""
    if not settings.target_noise:
        return loss, labels
    rng = _stream(settings.seed, NOISE, batch)
    return Noisy(loss), NoisyLabels.drawn(labels, n_outputs, settings.target_noise, rng)


@dataclass(frozen=True, eq=False)
class Dropout:
    """Dropout of hidden neurons, for every sample by itself (Srivastava et al., JMLR 15, 2014).

    With the rate `p`, an output of a hidden layer is zero with probability `p` and ``1 / (1 - p)``
    times itself otherwise, as an input of the next layer.

    Parameters
    ----------
    factors : sequence of arrays or None
        For every block, the factors of its inputs, shape ``(m, d)``, 0 or ``1 / (1 - p)``; None
        where nothing is dropped.
    """

    factors: Sequence[FloatArray | None]

    @classmethod
    def drawn(
        cls, network: Network, n_samples: int, settings: Sweeps, batch: int, sweep: int
    ) -> Dropout:
        """Draw what is dropped in a sweep. Inputs of the network stay, and what is made of them
        before the first block that has parameters."""
        first = network.first_trained
        if not settings.dropout:
            return cls([None] * len(network.blocks))
        rng, stays = _stream(settings.seed, DROPOUT, batch, sweep), 1.0 - settings.dropout
        return cls(
            [
                (rng.random((n_samples, block.n_inputs)) < stays) / stays if i > first else None
                for i, block in enumerate(network.blocks)
            ]
        )

    def inputs(self, network: Network, X: FloatArray) -> list[FloatArray]:
        """Return the inputs of every block for samples of shape ``(m, d)``."""
        found, outputs = [], X
        for block, factors in zip(network.blocks, self.factors, strict=True):
            found.append(outputs if factors is None else factors * outputs)
            outputs = block.forward(found[-1])
        return found

    def factors_from(self, i: int, part: slice) -> list[FloatArray | None]:
        """Return the factors of some samples, of block `i` and all later ones."""
        return [None if each is None else each[part] for each in self.factors[i:]]

    def dropped(self, i: int, part: slice) -> BoolArray | None:
        """Return where inputs of block `i` are dropped for some samples; None for nowhere."""
        factors = self.factors[i]
        return None if factors is None else factors[part] == 0.0

    def targets(self, i: int, proposed: FloatArray, outputs: FloatArray) -> FloatArray:
        """Return what the outputs of the block before block `i` are to be, for the proposed inputs
        of that: where they are dropped, what they are."""
        factors = self.factors[i]
        if factors is None:
            return proposed
        return np.where(factors > 0.0, proposed / np.maximum(factors, 1.0), outputs)


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
