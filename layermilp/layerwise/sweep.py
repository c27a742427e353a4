"""One sweep of Algorithm 1 (Goebbels 2021): from the last layer to the first, weights by programs,
then inputs."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any, Generic, TypeVar

import numpy as np

from layermilp.algorithms.batched_branch_and_bound import Proposals, propose
from layermilp.algorithms.fit import solve_problem, weight_program
from layermilp.algorithms.network_proposals import propose_through
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit
from layermilp.algorithms.statistics import Answered, SweepStatistics
from layermilp.formulations.big_m import program_of
from layermilp.formulations.later_layers import LaterLayers
from layermilp.formulations.loss import Box, Loss, OutputLoss
from layermilp.formulations.problem import Regression
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.regularization import Aim, Dropout, noisy
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import Group
from layermilp.parallel import Workers
from layermilp.program import BoolArray, FloatArray, IntArray, Program

SAMPLES_PER_TASK = 50
"""Samples whose input proposals are one task. Fixed, so that results do not depend on the number of
workers."""

LIGHT = 200_000
"""Rows times unknowns of a ridge regression that takes less time than to send it to a worker."""

Answer = TypeVar("Answer", bound=Answered, covariant=True)


@dataclass(frozen=True, eq=False)
class Task(ABC, Generic[Answer]):
    """A task of one program of a layer or several, ready for a worker, which builds them."""

    loss: Loss
    inputs: FloatArray
    targets: Any
    options: SolveOptions

    @property
    def is_light(self) -> bool:
        """Whether it takes less time than to send it."""
        return False

    @property
    def size(self) -> int:
        """About how much there is to do: of the tasks of a step the largest are begun first."""
        return len(self.inputs)

    @property
    def seconds(self) -> float | None:
        """Time limit."""
        return self.options.limits.time_limit

    @abstractmethod
    def solve(self) -> Answer:
        """Return the answer."""


@dataclass(frozen=True, eq=False)
class WeightTask(Task[Fit]):
    """The program of one group of neurons.

    All tasks of a layer hold the same array of inputs, which workers of the same machine share.
    """

    block: Block
    group: Group
    box: Box

    @property
    def is_light(self) -> bool:
        """Whether this is a small ridge regression."""
        size = len(self.inputs) * self.group.neurons.size * self.group.parameters.size
        return isinstance(self.loss, ReluL1) and self.options.ridge > 0.0 and size <= LIGHT

    @property
    def size(self) -> int:
        """Number of unknowns, for every target of a hidden layer above zero or every sample."""
        rows = len(self.inputs)
        if isinstance(self.loss, ReluL1):
            rows = int(np.count_nonzero(self.targets[:, self.group.neurons]))
        return rows * self.group.parameters.size

    def problem(self) -> Regression:
        """Return what is minimized."""
        return self.loss.of_weights(self.block, self.group, self.inputs, self.targets, self.box)

    def program(self) -> Program:
        """Return the program, see `weight_program`."""
        return weight_program(self.problem(), self.options)

    def solve(self) -> Fit:
        """Return the fit."""
        return solve_problem(self.problem(), self.options)


@dataclass(frozen=True, eq=False)
class InputTask(Task[Proposals]):
    """The input proposals of some samples of a layer."""

    weights: FloatArray
    bias: FloatArray
    stays: BoolArray | None = None
    """Which inputs are not to change, shape ``(m, d)``."""

    @property
    def seconds(self) -> float | None:
        """Time limit of as many programs as a task may have."""
        return _seconds_of_samples(self.options)

    def problem(self, part: slice | IntArray) -> Regression:
        """Return what is minimized for some of the samples."""
        inputs = self.inputs[part]
        problem = self.loss.of_inputs(self.weights, self.bias, inputs, self.targets[part])
        if self.stays is None:
            return problem
        stays, start = self.stays[part].reshape(-1), problem.start
        ends = [np.where(stays, start, end) for end in (problem.lower, problem.upper)]
        return replace(problem, lower=ends[0], upper=ends[1])

    def programs(self) -> Iterator[Program]:
        """Yield the program of every sample."""
        for k in range(len(self.inputs)):
            yield program_of(self.problem(slice(k, k + 1)), self.options.formulation)

    def solve(self) -> Proposals:
        """Return the proposals."""
        return propose(self.inputs, self.problem, self.options)


@dataclass(frozen=True, eq=False)
class NetworkInputTask(Task[Proposals]):
    """The input proposals of some samples of a layer through all later layers, whose targets are
    those of the network."""

    blocks: Sequence[Block]
    """The layer and all later ones."""
    factors: Sequence[FloatArray | None]
    """Of the inputs of each of these, see `Dropout`."""

    @property
    def seconds(self) -> float | None:
        """Time limit of as many programs as a task may have."""
        return _seconds_of_samples(self.options)

    def problem(self, k: int) -> LaterLayers:
        """Return what is minimized for a sample."""
        own, *later = [None if each is None else each[k] for each in self.factors]
        layers = [(block.weights, block.bias) for block in self.blocks]
        for number, factors in enumerate(later, start=1):
            if factors is not None:
                weights, bias = layers[number]
                layers[number] = weights * factors, bias
        stays = None if own is None else own == 0.0
        return LaterLayers.of(layers, self.loss, self.inputs[k], self.targets[k : k + 1], stays)

    def problems(self) -> Iterator[LaterLayers]:
        """Yield what is minimized for every sample."""
        return map(self.problem, range(len(self.inputs)))

    def programs(self) -> Iterator[Program]:
        """Yield the program of every sample."""
        return (problem.program() for problem in self.problems())

    def solve(self) -> Proposals:
        """Return the proposals."""
        return propose_through(list(self.problems()), self.options)


def _seconds_of_samples(options: SolveOptions) -> float | None:
    """Time limit of as many programs as a task of samples may have."""
    limit = options.limits.time_limit
    return None if limit is None else SAMPLES_PER_TASK * limit


@dataclass(frozen=True, eq=False)
class Step:
    """Progress of training: how many tasks are done of those that a layer has for its ``weights``
    or ``inputs`` in a sweep, or for ``post-processing``."""

    layer: int
    kind: str
    done: int
    tasks: Sequence[Any]
    batch: int = 0
    sweep: int = 0

    @property
    def total(self) -> int:
        """Number of the tasks."""
        return len(self.tasks)


Watch = Callable[[Step], None]
"""Takes note of progress: before the first task of a layer is solved, and after each."""


@dataclass(frozen=True, eq=False)
class Swept:
    """Outcome of a sweep: the network, the losses of every trained layer's weight programs after
    and before it, summed over its neurons, and what was solved."""

    network: Network
    objectives: tuple[float, ...]
    start_objectives: tuple[float, ...]
    statistics: SweepStatistics


@dataclass(frozen=True, eq=False)
class Sweep:
    """The ``for`` loop of Algorithm 1: a sweep of a batch, by their numbers from 1.

    Seeds of the solvers are derived from the seed of the settings.
    """

    loss: OutputLoss
    settings: Sweeps
    batch: int
    number: int
    workers: Workers
    watch: Watch

    def run(
        self, network: Network, X: FloatArray, labels: IntArray, boxes: tuple[Box, ...]
    ) -> Swept:
        """Run it once from the present weights, on samples of shape ``(m, d)`` and the outputs that
        stand for their classes, shape ``(m,)``, within a box for every block.

        Raises
        ------
        SolverError
            If every program that a solver was asked for failed.
        """
        first, last = network.first_trained, len(network.blocks) - 1
        dropout = Dropout.drawn(network, len(X), self.settings, self.batch, self.number)
        all_inputs = dropout.inputs(network, X)
        aim = noisy(self.loss, labels, network.n_outputs, self.settings, self.batch)
        loss, targets = aim
        objectives: list[float] = []
        starts: list[float] = []
        statistics = SweepStatistics()
        for i in range(last, first - 1, -1):
            block, inputs = network.blocks[i], all_inputs[i]
            groups = loss.groups(block)
            weight_tasks = [
                WeightTask(loss, inputs, targets, options, block, group, boxes[i])
                for group, options in zip(groups, self._options(i), strict=False)
            ]
            fits = self._solved(i + 1, "weights", loss, weight_tasks, statistics)
            block = with_fits(block, groups, fits)
            network = network.with_block(i, block)
            objectives.insert(0, sum(fit.objective for fit in fits))
            starts.insert(0, sum(fit.start_objective for fit in fits))
            if i == first:
                break
            if i < last and self.settings.input_proposals == "network":
                input_tasks = self._network_input_tasks(network, i, inputs, aim, dropout)
            else:
                input_tasks = self._input_tasks(network, i, inputs, (loss, targets), dropout)
            proposals = self._solved(i + 1, "inputs", loss, input_tasks, statistics)
            proposed = np.concatenate([proposal.inputs for proposal in proposals])
            outputs = network.blocks[i - 1].forward(all_inputs[i - 1])
            loss, targets = ReluL1(), dropout.targets(i, proposed, outputs)
        statistics.check()
        return Swept(network, tuple(objectives), tuple(starts), statistics)

    def _input_tasks(
        self, network: Network, i: int, inputs: FloatArray, aim: Aim, dropout: Dropout
    ) -> list[Task[Proposals]]:
        """Return the tasks of the inputs of block `i` for the aim of its outputs."""
        (loss, targets), block = aim, network.blocks[i]
        tasks: list[Task[Proposals]] = []
        for part, options in zip(_parts(len(inputs)), self._options(i), strict=False):
            stays = dropout.dropped(i, part)
            given = loss, inputs[part], targets[part], options, block.weights, block.bias, stays
            tasks.append(InputTask(*given))
        return tasks

    def _network_input_tasks(
        self, network: Network, i: int, inputs: FloatArray, aim: Aim, dropout: Dropout
    ) -> list[Task[Proposals]]:
        """Return the tasks of the inputs of block `i` for the aim of the network's outputs."""
        (loss, targets), blocks = aim, network.blocks[i:]
        tasks: list[Task[Proposals]] = []
        for part, options in zip(_parts(len(inputs)), self._options(i), strict=False):
            factors = dropout.factors_from(i, part)
            given = loss, inputs[part], targets[part], options, blocks, factors
            tasks.append(NetworkInputTask(*given))
        return tasks

    def _options(self, layer: int) -> Iterator[SolveOptions]:
        """Yield options with a solver seed of its own for every task of a layer."""
        setup, seed = self.settings.setup, self.settings.seed
        for task in itertools.count():
            yield setup.seeded(seed, self.batch, self.number, layer, task)

    def _solved(
        self,
        layer: int,
        kind: str,
        loss: Loss,
        tasks: Sequence[Task[Answer]],
        statistics: SweepStatistics,
    ) -> list[Answer]:
        """Return the answers to the tasks of a layer with a loss, and enter them into the
        statistics."""
        began = time.perf_counter()
        step = Step(layer, kind, 0, tasks, self.batch, self.number)
        answers: list[Answer] = solved(step, self.workers, self.watch)
        statistics.enter(layer, kind, not isinstance(loss, ReluL1), began, answers)
        return answers


def _parts(n_samples: int) -> Iterator[slice]:
    """Yield the samples of every task."""
    return (slice(k, k + SAMPLES_PER_TASK) for k in range(0, n_samples, SAMPLES_PER_TASK))


def with_fits(block: Block, groups: Sequence[Group], fits: Sequence[Fit]) -> Block:
    """Return the block with the parameters of every group as its fit has them."""
    theta = block.theta.copy()
    for group, fit in zip(groups, fits, strict=True):
        theta[group.parameters] = fit.parameters
    return block.with_theta(theta)


def solved(step: Step, workers: Workers, watch: Watch) -> list[Any]:
    """Return the answers to the tasks of a step, the largest begun first, solved in this process if
    all are light."""
    watch(step)
    order = sorted(range(step.total), key=lambda number: -step.tasks[number].size)
    tasks, solve = [step.tasks[number] for number in order], methodcaller("solve")
    is_light = all(task.is_light for task in tasks)
    answers: list[Any] = [None] * step.total
    found: Iterator[Any] = map(solve, tasks)
    if not is_light:
        found = workers.map(solve, tasks, tasks[0].seconds, may_be_few=tasks[0].options.searches)
    for done, (number, answer) in enumerate(zip(order, found, strict=True), start=1):
        answers[number] = answer
        watch(replace(step, done=done))
    return answers
