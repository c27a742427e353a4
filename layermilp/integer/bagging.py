"""A first network: a vote of neurons, each the best, by a program, for samples of its own (bagging,
Breiman 1996).

Every neuron tells two groups of classes apart, which are drawn at random (output codes, Dietterich
and Bakiri 1995); of two classes one from the other. No program waits for another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layermilp.algorithms.options import SolveOptions
from layermilp.integer.neighbourhood import Samples, Solved, solved
from layermilp.integer.violations import free_neuron
from layermilp.networks.integer import IntegerLayer, IntegerNetwork
from layermilp.program import IntArray


@dataclass(frozen=True, eq=False)
class VoterTask:
    """The program of one neuron, ready for a worker: as few errors as possible on its samples,
    where the code, -1 or 1 for every output, says for which classes it is to fire."""

    samples: Samples
    code: IntArray
    bound: int
    options: SolveOptions

    def solve(self) -> Solved:
        """Return the neuron."""
        effects = self.code[self.samples.labels].astype(np.float64)
        return solved(free_neuron(self.samples.inputs, effects, self.bound), self.options)


def output_codes(count: int, n_outputs: int, rng: np.random.Generator) -> IntArray:
    """Return for every neuron the classes it is to fire for: 1 for half of them, -1 for the rest;
    ``(count, n_outputs)``."""
    halves = np.where(np.arange(n_outputs) < n_outputs // 2, 1, -1)
    return np.stack([rng.permutation(halves) for _ in range(count)])


def bootstrap(samples: Samples, count: int, rng: np.random.Generator) -> list[Samples]:
    """Return all samples, and as many bootstrap samples of them as make up the count."""
    m = len(samples.labels)
    return [samples, *(samples.part(rng.integers(m, size=m)) for _ in range(count - 1))]


def voting(
    network: IntegerNetwork, thetas: Sequence[IntArray], codes: IntArray, majority: int
) -> IntegerNetwork:
    """Return the network in which neurons of the first layer vote, and of equal classes the
    majority class wins.

    Every other hidden neuron passes one of them on, in turns. Output weights are `P` and ``-P`` by
    the codes. Sizes, bound and classes are those of the given network.

    Parameters
    ----------
    thetas : sequence of (d + 1,) arrays
        The neurons, no more than a hidden layer has.
    codes : (n, n_outputs) array of -1 and 1
        Of at least these neurons.
    majority : int
        The output of the majority class.
    """
    count, bound, sizes = len(thetas), network.bound, network.sizes
    first = np.zeros((sizes[1], sizes[0] + 1), dtype=np.int64)
    first[:count] = thetas
    layers = [first]
    for before, size in itertools.pairwise(sizes[1:-1]):
        passing = np.zeros((size, before + 1), dtype=np.int64)
        passing[np.arange(size), np.arange(size) % count] = bound
        layers.append(passing)
    last = np.zeros((sizes[-1], sizes[-2] + 1), dtype=np.int64)
    voters = np.arange(count if len(sizes) == 3 else sizes[-2])
    last[:, voters] = bound * codes[voters % count].T
    last[:, -1] = np.where(np.arange(sizes[-1]) == majority, 0, -1)
    layers.append(last)
    return IntegerNetwork(map(IntegerLayer.of, layers), bound, network.classes)
