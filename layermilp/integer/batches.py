"""Training on more samples than one program takes: batches, each for itself, and averages of their
networks.

The method is the second one of Thorbjarnarson and Yorke-Smith 2023, "Optimal training of
integer-valued neural networks with mixed integer programming": batches are solved independently,
the weights averaged with the validation accuracy of each as weight, and rounded; the weights of the
next epoch stay in an interval around that average, which shrinks by one per epoch; the best average
on the validation samples is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import methodcaller

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.integer.neighbourhood import Box, Goal, Samples
from layermilp.integer.search import Found, Search
from layermilp.networks.integer import IntegerLayer, IntegerNetwork, correct
from layermilp.parallel import Workers
from layermilp.program import IntArray

NEIGHBOURHOODS = 4
"""Programs of a batch in an epoch: more follow a batch where only all of them count."""


@dataclass(frozen=True, eq=False)
class BatchTask:
    """One batch, ready for a worker."""

    network: IntegerNetwork
    samples: Samples
    goal: Goal
    box: Box
    options: SolveOptions
    seed: int

    def solve(self) -> Found:
        """Improve the network on the batch."""
        budget = Budget.of(self.options.limits.time_limit)
        with Workers(1) as alone:
            search = Search(
                self.samples,
                self.goal,
                self.box,
                self.options,
                alone,
                1.0,
                budget,
                self.seed,
            )
            found = search.found(self.network)
            for better in search.improve(self.network, NEIGHBOURHOODS):
                found = better
        return found


@dataclass(frozen=True, eq=False)
class Epoch:
    """The average after an epoch: its network and validation accuracy, and the programs and nodes
    of the epoch."""

    network: IntegerNetwork
    validation_accuracy: float
    programs: int
    nodes: int


def epochs(
    search: Search,
    network: IntegerNetwork,
    batches: list[Samples],
    validation: Samples,
    count: int,
    seed: int,
) -> Iterator[Epoch]:
    """Train epoch by epoch, from a network that is common to all batches.

    Parameters
    ----------
    search : Search
        Goal, options of every program, workers that take the batches, and the time for all of them.
    network : IntegerNetwork
        The start; without a common one, averages would mix neurons that mean different things.
    batches : list of Samples
        The batches.
    validation : Samples
        What the networks are weighed by.
    count : int
        Number of epochs. The interval of the last one is one to either side of the average.
    seed : int
        Of all that is random.
    """
    for epoch in range(count):
        box = around(network, max(1, min(network.bound, count) - epoch))
        seeds = np.random.SeedSequence((seed, epoch)).generate_state(len(batches))
        limits = search.budget.limits(search.options.limits, len(batches), search.workers.n_jobs)
        options = replace(search.options, limits=limits)
        tasks = [
            BatchTask(network, batch, search.goal, box, options, int(own >> 1))
            for batch, own in zip(batches, seeds, strict=True)
        ]
        found: list[Found] = list(search.workers.map(methodcaller("solve"), tasks))
        weights = [accuracy(each.network, validation) for each in found]
        network = average([each.network for each in found], weights)
        yield Epoch(
            network,
            accuracy(network, validation),
            sum(each.programs for each in found),
            sum(each.nodes for each in found),
        )


def around(network: IntegerNetwork, radius: int) -> Box:
    """Return the bounds that far around the weights, within those of the network."""
    p = network.bound
    return Box(
        tuple(np.maximum(layer.theta - radius, -p) for layer in network.layers),
        tuple(np.minimum(layer.theta + radius, p) for layer in network.layers),
    )


def average(networks: list[IntegerNetwork], weights: list[float]) -> IntegerNetwork:
    """Return the weighted mean of networks, rounded; plain if all weights are zero."""
    shares = np.asarray(weights) if any(weights) else np.ones(len(networks))
    layers = [
        IntegerLayer.of(
            np.rint(
                np.average(
                    [network.layers[i].theta for network in networks], axis=0, weights=shares
                )
            )
        )
        for i in range(len(networks[0].layers))
    ]
    return IntegerNetwork(layers, networks[0].bound, networks[0].classes)


def accuracy(network: IntegerNetwork, samples: Samples) -> float:
    """Return the accuracy on samples; ties count as errors."""
    return float(correct(network.output_sums_of_rounded(samples.inputs), samples.labels).mean())


def validated(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Return samples to learn from, and a share to validate with, drawn at random."""
    order = np.random.default_rng((seed, 1)).permutation(len(samples.labels))
    count = max(1, round(share * len(order)))
    return samples.part(order[count:]), samples.part(order[:count])


def split(samples: Samples, size: int, seed: int) -> list[Samples]:
    """Return the samples in random order, in batches of about a size."""
    order = np.random.default_rng(seed).permutation(len(samples.labels))
    parts: list[IntArray] = np.array_split(order, max(1, round(len(order) / size)))
    return [samples.part(part) for part in parts]
