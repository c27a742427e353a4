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
from layermilp.networks.integer import IntegerLayer, IntegerNetwork
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
            own = self.samples, self.goal, self.box, self.options
            search = Search(*own, alone, 1.0, budget, self.seed)
            better = search.improve(self.network, NEIGHBOURHOODS)
            return [search.found(self.network), *better][-1]


def epochs(
    search: Search,
    network: IntegerNetwork,
    batches: list[Samples],
    validation: Samples,
    count: int,
    seed: int,
) -> Iterator[IntegerNetwork]:
    """Train so many epochs, from a network that is common to all batches; yield the averages.

    Without a common start, averages would mix neurons that mean different things. The interval of
    the last epoch is one to either side of the average.

    Parameters
    ----------
    search : Search
        Goal, options of every program, workers that take the batches, and the time for all of them.
        It counts the programs and nodes.
    validation : Samples
        What the networks are weighed by.
    """
    for epoch in range(count):
        box = Box.of(network, max(1, min(network.bound, count) - epoch))
        seeds = np.random.SeedSequence((seed, epoch)).generate_state(len(batches))
        limits = search.budget.limits(search.options.limits, len(batches), search.workers.n_jobs)
        options = replace(search.options, limits=limits)
        tasks = [
            BatchTask(network, batch, search.goal, box, options, int(own >> 1))
            for batch, own in zip(batches, seeds, strict=True)
        ]
        found: list[Found] = list(search.workers.map(methodcaller("solve"), tasks, None))
        search.programs += sum(each.programs for each in found)
        search.nodes += sum(each.nodes for each in found)
        networks = [each.network for each in found]
        network = average(networks, [validation.accuracy(each) for each in networks])
        yield network


def average(networks: list[IntegerNetwork], weights: list[float]) -> IntegerNetwork:
    """Return the weighted mean of networks, rounded; plain if all weights are zero."""
    shares = np.asarray(weights) if any(weights) else np.ones(len(networks))
    thetas = zip(*([layer.theta for layer in network.layers] for network in networks), strict=True)
    layers = [np.rint(np.average(same, axis=0, weights=shares)) for same in thetas]
    return IntegerNetwork(map(IntegerLayer.of, layers), networks[0].bound, networks[0].classes)


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
