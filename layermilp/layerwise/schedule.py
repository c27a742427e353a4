"""What changes from batch to batch: the samples, the bounds of the weights, the average of the
weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layermilp.datasets.parts import part_of
from layermilp.errors import DataError
from layermilp.formulations.loss import Box
from layermilp.layerwise.options import Sweeps
from layermilp.networks.network import Network
from layermilp.program import FloatArray, IntArray


def sample_order(n_samples: int, settings: Sweeps) -> IntArray:
    """Order in which samples fill the batches of all epochs.

    The first epoch takes the samples of its part as they come, from `first_sample` on (and from the
    beginning after the last one); every further pass over the same samples is reshuffled.

    Raises
    ------
    DataError
        If a batch is larger than the data.
    """
    if settings.batch_size > n_samples:
        raise DataError(
            f"a batch of {settings.batch_size} needs more than the {n_samples} training samples "
            "there are"
        )
    rng = np.random.default_rng(settings.seed)
    per_epoch = settings.batches * settings.batch_size
    pool, wanted = min(per_epoch, n_samples), settings.n_epochs * per_epoch
    passes = [np.arange(pool)]
    while len(passes) * pool < wanted:
        passes.append(rng.permutation(pool))
    part = part_of(np.arange(n_samples), pool, settings.part)
    samples = (part + settings.first_sample) % n_samples
    return np.asarray(samples[np.concatenate(passes)[:wanted]])


def whole_box(theta: FloatArray, bound: float) -> Box:
    """Bounds ``-bound`` and ``bound`` of every parameter."""
    whole = np.full(theta.shape, bound)
    return Box(-whole, whole)


def trust_box(theta: FloatArray, settings: Sweeps, *, first: bool) -> Box:
    """Bounds of the parameters in a batch: the box in the first, (10) within the box in the
    others."""
    whole = whole_box(theta, settings.box)
    if first:
        return whole
    theta = np.clip(theta, whole.lower, whole.upper)
    reach = settings.trust_factor * np.abs(theta) + settings.trust_offset
    return Box(np.maximum(theta - reach, whole.lower), np.minimum(theta + reach, whole.upper))


@dataclass(frozen=True, eq=False)
class WeightAverage:
    """Exponential average of the weights over batches, ``sum_t f^(T - t) theta_t / sum_t f^(T -
    t)`` after `T` batches.

    Single batches pull the weights to and fro; their average has a lower variance (Polyak and
    Juditsky 1992). It is what a run returns; the batches go on from the weights themselves.

    Parameters
    ----------
    factor : float
        `f`, at least 0 and below 1; with 0 the average is the last.
    total : float
        Sum of the factors.
    sums : tuple of arrays
        Weighted sums of the parameters of every block.
    """

    factor: float
    total: float = 0.0
    sums: tuple[FloatArray, ...] = ()

    def with_weights(self, network: Network) -> WeightAverage:
        """Return the average that takes in the weights after one more batch."""
        old = self.sums or tuple(np.zeros_like(block.theta) for block in network.blocks)
        sums = tuple(
            self.factor * s + block.theta for s, block in zip(old, network.blocks, strict=True)
        )
        return WeightAverage(self.factor, self.factor * self.total + 1.0, sums)

    def of(self, network: Network) -> Network:
        """Return the network with the average as its weights."""
        return with_thetas(network, [s / self.total for s in self.sums])


def with_thetas(network: Network, thetas: Sequence[FloatArray]) -> Network:
    """Return the network with the parameters of its first blocks, one array each."""
    for i, theta in enumerate(thetas):
        network = network.with_block(i, network.blocks[i].with_theta(theta))
    return network
