"""The search: a first network by a vote of neurons, then rounds of neighbourhoods, every step a
program of one neuron.

Steps in a round are solved for the same network and so in parallel, then applied one after the
other as far as they still help; how many is fixed, so that results do not depend on the number of
workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tolerances import ROUNDING
from layermilp.errors import SolverError
from layermilp.integer.bagging import VoterTask, output_codes, voting
from layermilp.integer.journal import JournaledWorkers
from layermilp.integer.neighbourhood import Box, Goal, NeuronTask, Samples, Solved
from layermilp.networks.integer import IntegerNetwork, correct
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray

AT_ONCE = 2
"""Neighbourhoods that are solved for the same network."""


@dataclass(frozen=True, eq=False)
class Found:
    """The network so far, and what it took.

    Parameters
    ----------
    network : IntegerNetwork
        The network.
    loss : float
        Its loss of the objective, summed over the samples.
    accuracy : float
        Its accuracy on them; ties count as errors.
    programs, nodes : int
        Programs solved, and their branch-and-bound nodes.
    """

    network: IntegerNetwork
    loss: float
    accuracy: float
    programs: int = 0
    nodes: int = 0


@dataclass(eq=False)
class Search:
    """Improves a network on some samples.

    Parameters
    ----------
    samples : Samples
        What it learns.
    goal : Goal
        What is minimized.
    box : Box
        Bounds of all weights.
    options : SolveOptions
        Solver and limits of every program.
    workers : Workers
        Processes that solve them.
    stop_accuracy : float
        The search ends when the accuracy on the samples is above this.
    budget : Budget
        When it ends.
    seed : int
        Of the order of the neighbourhoods and of the solvers.
    """

    samples: Samples
    goal: Goal
    box: Box
    options: SolveOptions
    workers: Workers | JournaledWorkers
    stop_accuracy: float
    budget: Budget
    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.programs = self.nodes = self.failed = 0

    def sums(self, network: IntegerNetwork) -> FloatArray:
        """Return the output sums for the samples."""
        return network.output_sums_of_rounded(self.samples.inputs)

    def found(self, network: IntegerNetwork) -> Found:
        """Return the network with its loss and accuracy."""
        sums, labels = self.sums(network), self.samples.labels
        loss = float(self.goal.objective.losses(sums, labels).sum())
        return Found(network, loss, float(correct(sums, labels).mean()), self.programs, self.nodes)

    def is_done(self, found: Found) -> bool:
        """Whether nothing is left to do: accuracy reached, loss zero, or time over."""
        return found.accuracy > self.stop_accuracy or found.loss <= 0.0 or self.budget.is_over

    def vote(self, network: IntegerNetwork, parts: Sequence[Samples]) -> Iterator[Found]:
        """Yield a first network, the vote of neurons that learn one part each, from its first
        neuron on; there is a part for every neuron of the smallest hidden layer."""
        codes = output_codes(len(parts), network.n_outputs, self.rng)
        tasks = [
            VoterTask(part, code, network.bound, self._options(len(parts)))
            for part, code in zip(parts, codes, strict=True)
        ]
        majority = int(np.bincount(self.samples.labels).argmax())
        thetas: list[IntArray] = []
        for answer in self._answers(tasks):
            thetas.append(answer.theta)
            yield self.found(voting(network, thetas, codes, majority))

    def improve(self, network: IntegerNetwork, most: int | None = None) -> Iterator[Found]:
        """Improve all neurons in random order, in rounds, until a round finds nothing; or only so
        many neighbourhoods, in one round."""
        neurons = [(i, j) for i, layer in enumerate(network.layers) for j in range(layer.n_outputs)]
        if network.n_outputs == 2:
            neurons.pop()  # the second output mirrors the first
        before = np.inf
        while not self.is_done(found := self.found(network)):
            loss = self._loss(network)
            if loss >= before - ROUNDING:
                return
            before = loss
            order = self.rng.permutation(len(neurons))[:most]
            for part in np.array_split(order, -(-len(order) // AT_ONCE)):
                network = self._improved(network, [neurons[k] for k in part])
                found = self.found(network)
                yield found
                if self.is_done(found):
                    return
            if most is not None:
                return

    def _options(self, tasks: int) -> SolveOptions:
        """Return the options of one of some programs, with a seed of its own."""
        seeded = replace(self.options.limits, seed=int(self.rng.integers(2**31)))
        limits = self.budget.limits(seeded, tasks, self.workers.n_jobs)
        return replace(self.options, limits=limits)

    def _answers(self, tasks: Sequence[NeuronTask] | Sequence[VoterTask]) -> Iterator[Solved]:
        """Yield the answers of tasks, and count them; at the end raise `SolverError` if every
        program so far has failed."""
        seconds = tasks[0].options.limits.time_limit
        for answer in self.workers.map(methodcaller("solve"), tasks, seconds):
            self.programs += 1
            self.nodes += answer.nodes
            self.failed += bool(answer.error)
            yield answer
        if self.failed and self.failed == self.programs:
            raise SolverError(f"all {self.failed} programs so far have failed: {answer.error}")

    def _improved(
        self, network: IntegerNetwork, neurons: Sequence[tuple[int, int]]
    ) -> IntegerNetwork:
        """Solve for some neurons, and take what lowers the loss, the best first."""
        tasks = [
            NeuronTask(network, self.samples, self.goal, self.box, i, j, self._options(AT_ONCE))
            for i, j in neurons
        ]
        found = list(zip(tasks, list(self._answers(tasks)), strict=True))
        found.sort(key=lambda pair: self._loss(pair[0].applied(network, pair[1].theta)))
        loss = self._loss(network)
        for task, answer in found:
            candidate = task.applied(network, answer.theta)
            reached = self._loss(candidate)
            if reached < loss - ROUNDING:
                network, loss = candidate, reached
        return network

    def _loss(self, network: IntegerNetwork) -> float:
        return float(self.goal.losses(self.sums(network), self.samples.labels).sum())
