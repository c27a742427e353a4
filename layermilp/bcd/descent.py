"""Block coordinate descent with auxiliary variables, all samples at once.

Preactivations `U_i` and activations `V_i` of every hidden layer are variables of their own (the
method of auxiliary coordinates of Carreira-Perpinan and Wang, AISTATS 2014; block coordinate
descent of Zeng, Lau, Lin and Yao, ICML 2019; the splitting of Taylor et al., ICML 2016). With
``V_0 = X`` and `m` samples::

    minimize  |Y - W_L V_{L-1}|^2
              + sum_{i<L} [tau |U_i - W_i V_{i-1}|^2 + rho |V_i - max(0, U_i)|^2]
              + lambda m sum_i |W_i|^2

A sweep goes backwards through the layers, as Goebbels' does: weights, then better inputs, which
become the targets of the layer before. The penalties stand in place of the bounds (9), and every
block is put at its exact minimum: the weights are a ridge regression, the activations a linear
system, and the preactivations, which hold the binaries of (4) to (6), are decided entry by entry.
So the objective never rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layermilp.bcd.blocks import best_activations, best_preactivations
from layermilp.bcd.normal_equations import Factors, WeightFit, gram, moments
from layermilp.bcd.options import Penalties
from layermilp.networks.network import Network
from layermilp.program import FloatArray


@dataclass(frozen=True, eq=False)
class Point:
    """Where a descent is: the weights, and the auxiliary variables that they do not decide.

    Parameters
    ----------
    network : Network
        The weights.
    activations : tuple of (m, n_i) arrays
        `V_i` of every hidden layer, from the first with parameters on.
    sums : tuple of (m, n_i) arrays
        ``W_i V_{i-1}`` of every layer from there on.
    """

    network: Network
    activations: tuple[FloatArray, ...]
    sums: tuple[FloatArray, ...]


class Descent:
    """The objective for samples and targets, and its sweeps.

    Parameters
    ----------
    network : Network
        Its layers, and the weights of those without parameters.
    X : (m, n_inputs) array
        Samples.
    targets : (m, n_outputs) array
        `Y`, what the outputs of the last layer are to be.
    penalties : Penalties
        Prices of the objective's terms.
    """

    def __init__(
        self, network: Network, X: FloatArray, targets: FloatArray, penalties: Penalties
    ) -> None:
        self.first, self.last = network.first_trained, len(network.blocks) - 1
        # What comes before the first layer with parameters has nothing to learn.
        self.inputs, self.targets = network.activations(X)[self.first], targets
        self.penalties, self.ridge = penalties, penalties.ridge * len(X)
        self.fits = [WeightFit(block.parameters) for block in network.blocks]

    def begin(self, network: Network) -> Point:
        """Return the point at which all auxiliary variables are those of the network."""
        found, values = [], self.inputs
        for block in network.blocks[self.first : -1]:
            values = block.forward(values)
            found.append(values)
        return self.point(network, found)

    def point(self, network: Network, activations: Sequence[FloatArray]) -> Point:
        """Return the point of weights and activations."""
        pairs = zip(network.blocks[self.first :], [self.inputs, *activations], strict=True)
        sums = tuple(block.preactivation(inputs) for block, inputs in pairs)
        return Point(network, tuple(activations), sums)

    @cached_property
    def _of_inputs(self) -> Factors:
        """What all ridge regressions of the first layer share."""
        return self._factors(self.first, self.inputs)

    def _factors(self, i: int, inputs: FloatArray) -> Factors:
        weight = 1.0 if i == self.last else self.penalties.tau
        return self.fits[i].factored(gram(inputs), self.ridge / weight)

    def sweep(self, point: Point) -> Point:
        """Put every block at its minimum, backwards from the last layer."""
        network, layers = point.network, [self.inputs, *point.activations]
        tau, rho = self.penalties.tau, self.penalties.rho
        targets, weight = self.targets, 1.0
        for k in reversed(range(len(layers))):
            network = self._fitted(network, self.first + k, layers[k], targets)
            if k:
                z, block = point.sums[k - 1], network.blocks[self.first + k]
                u = best_preactivations(z, layers[k], tau, rho)
                layers[k] = best_activations(block, targets, weight, u, rho)
                targets, weight = best_preactivations(z, layers[k], tau, rho), tau
        return self.point(network, layers[1:])

    def _fitted(self, network: Network, i: int, inputs: FloatArray, targets: FloatArray) -> Network:
        """Return the network with the weights of a layer moved to their minimum, or beyond it."""
        block = network.blocks[i]
        if not block.theta.size:
            return network
        factors = self._of_inputs if i == self.first else self._factors(i, inputs)
        best = self.fits[i].best(factors, moments(inputs, targets))
        step = self.penalties.relaxation * (best - block.theta)
        return network.with_block(i, block.with_theta(block.theta + step))

    def objective(self, point: Point) -> float:
        """Return the objective, with the preactivations at their minimum."""
        tau, rho = self.penalties.tau, self.penalties.rho
        total = ((self.targets - point.sums[-1]) ** 2).sum()
        for z, v in zip(point.sums[:-1], point.activations, strict=True):
            u = best_preactivations(z, v, tau, rho)
            total += tau * ((u - z) ** 2).sum() + rho * ((v - np.maximum(u, 0.0)) ** 2).sum()
        pairs = zip(self.fits, point.network.blocks, strict=True)
        return float(total + self.ridge * sum(fit.price(block.theta) for fit, block in pairs))

    def outputs(self, point: Point) -> FloatArray:
        """Return the outputs of the network for the samples, shape ``(m, n_outputs)``."""
        values = point.sums[0]
        for block in point.network.blocks[self.first + 1 :]:
            values = block.preactivation(np.maximum(values, 0.0))
        return values
