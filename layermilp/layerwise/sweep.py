"""One sweep of Algorithm 1 (Goebbels 2021): from the last layer to the first, weights by programs,
then inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy import sparse

from layermilp.algorithms.batched_branch_and_bound import Proposals, propose_hidden, propose_last
from layermilp.algorithms.fit import Fit, solve_linear, solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.statistics import Ledger, Phase, Tally
from layermilp.formulations import linear, proposal
from layermilp.formulations.neuron import FORMULATIONS
from layermilp.formulations.regression import LinearRegression, ReluRegression, reference_big_m
from layermilp.layerwise.objective import Box, Objective
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import Group
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray, Program

SAMPLES_PER_TASK = 50
"""Samples whose input proposals are one task. Fixed, so that results do not depend on the number of
workers."""

LIGHT = 200_000
"""Rows times unknowns of a ridge regression that takes less time than to send it to a worker."""

Answer = TypeVar("Answer")
Solution = TypeVar("Solution", covariant=True)


class Task(Protocol[Solution]):
    """What a worker is sent."""

    def solve(self) -> Solution:
        """Return the answer."""


class Formulated(Task[Solution], Protocol[Solution]):
    """A task of a sweep, whose programs can also be written down."""

    def programs(self) -> Iterator[Program]:
        """Formulate what is solved: one program, or for input proposals one a sample."""


@dataclass(frozen=True)
class Step:
    """Where training is: tasks done of those that a layer has for its ``weights`` or ``inputs`` in
    a sweep."""

    layer: int
    kind: str
    done: int
    total: int
    batch: int = 0
    sweep: int = 0


@dataclass(frozen=True, eq=False)
class Stage:
    """The tasks of a layer for its ``weights`` or ``inputs`` in a sweep, before they are solved."""

    layer: int
    kind: str
    tasks: Sequence[Formulated[Any]]


@dataclass(frozen=True)
class LayerFit:
    """What a sweep did to one layer: loss of its weight programs before and after, summed over its
    neurons."""

    layer: int
    start_objective: float
    objective: float


@dataclass(frozen=True, eq=False)
class Swept:
    """Outcome of a sweep."""

    network: Network
    layers: tuple[LayerFit, ...]
    tally: Tally
    phases: tuple[Phase, ...]


Watcher = Callable[[Step], None]

Observer = Callable[[Stage], None]


@dataclass(frozen=True, eq=False)
class HiddenWeightTask:
    """The weight program of one group of hidden neurons, ready for a worker, which builds it.

    All tasks of a layer hold the same array of inputs, which workers of the same machine share.
    """

    block: Block
    group: Group
    inputs: FloatArray
    targets: FloatArray
    box: Box
    setup: SolveOptions

    @property
    def is_light(self) -> bool:
        """Whether this is a small ridge regression, quicker to solve than to send."""
        size = len(self.inputs) * self.group.neurons.size * self.group.parameters.size
        return self.setup.ridge > 0.0 and size <= LIGHT

    def problem(self) -> ReluRegression:
        """Build it."""
        return hidden_problem(self.block, self.group, self.inputs, self.targets, self.box)

    def programs(self) -> Iterator[Program]:
        """Formulate it, as a mixed-integer program also where a ridge regression takes its
        place."""
        yield FORMULATIONS[self.setup.formulation].build(self.problem())

    def solve(self) -> Fit:
        """Solve it."""
        return solve_relu(self.problem(), self.setup)


@dataclass(frozen=True, eq=False)
class LastWeightTask:
    """The weight program of one group of output neurons, ready for a worker, which builds it."""

    block: Block
    group: Group
    inputs: FloatArray
    labels: IntArray
    box: Box
    objective: Objective
    setup: SolveOptions

    def problem(self) -> LinearRegression:
        """Build it."""
        return self.objective.of_weights(self.block, self.group, self.inputs, self.labels, self.box)

    def programs(self) -> Iterator[Program]:
        """Formulate it."""
        yield linear(self.problem())

    def solve(self) -> Fit:
        """Solve it."""
        return solve_linear(self.problem(), self.setup)


@dataclass(frozen=True, eq=False)
class HiddenInputTask:
    """The input proposals of some samples of a hidden layer, ready for a worker."""

    weights: FloatArray
    bias: FloatArray
    inputs: FloatArray
    targets: FloatArray
    setup: SolveOptions

    def programs(self) -> Iterator[Program]:
        """Formulate every sample's."""
        for k in range(len(self.inputs)):
            problem = proposal.hidden(
                self.weights, self.bias, self.inputs[k : k + 1], self.targets[k : k + 1]
            )
            yield FORMULATIONS[self.setup.formulation].build(problem)

    def solve(self) -> Proposals:
        """Solve it."""
        return propose_hidden(self.weights, self.bias, self.inputs, self.targets, self.setup)


@dataclass(frozen=True, eq=False)
class LastInputTask:
    """The input proposals of some samples of the last layer, ready for a worker."""

    weights: FloatArray
    bias: FloatArray
    inputs: FloatArray
    labels: IntArray
    objective: Objective
    setup: SolveOptions

    def problem(self, part: slice) -> LinearRegression:
        """Build that of some samples."""
        return self.objective.of_inputs(
            self.weights, self.bias, self.inputs[part], self.labels[part]
        )

    def programs(self) -> Iterator[Program]:
        """Formulate every sample's."""
        for k in range(len(self.inputs)):
            yield linear(self.problem(slice(k, k + 1)))

    def solve(self) -> Proposals:
        """Solve it."""
        return propose_last(self.inputs, self.problem, self.setup)


def sweep(
    network: Network,
    X: FloatArray,
    labels: IntArray,
    boxes: tuple[Box, ...],
    objective: Objective,
    setup: SolveOptions,
    seed: tuple[int, ...],
    workers: Workers,
    watch: Watcher,
    observe: Observer = lambda stage: None,
) -> Swept:
    """Run the ``for`` loop of Algorithm 1 once.

    Parameters
    ----------
    network : Network
        Present weights.
    X : (m, d) array
        The batch.
    labels : (m,) array of int
        The output that stands for each sample's class.
    boxes : tuple of Box
        Bounds of the parameters of every block.
    objective : Objective
        What the last layer minimizes.
    setup : SolveOptions
        How programs are formulated and solved.
    seed : tuple of int
        What the solver seeds are derived from.
    workers : Workers
        Who solves them.
    watch : callable
        Is told the progress.
    observe : callable
        Is shown the tasks before they are solved.

    Raises
    ------
    SolverError
        If every program that a solver was asked for failed.
    """
    layers = network.activations(X)
    first, last = _first_trained(network), len(network.blocks) - 1
    targets = np.zeros((0, 0))
    fits: list[LayerFit] = []
    ledger = Ledger()
    for i in range(last, first - 1, -1):
        began = time.perf_counter()
        seeded, told, shown = (
            partial(setup.seeded, *seed, i),
            _labelled(watch, i, "weights"),
            _staged(observe, i, "weights"),
        )
        block = network.blocks[i]
        if i == last:
            block, fitted = fit_last(
                block, layers[i], labels, boxes[i], objective, seeded, workers, told, shown
            )
        else:
            block, fitted = fit_hidden(
                block, layers[i], targets, boxes[i], seeded, workers, told, shown
            )
        network = network.with_block(i, block)
        fits.append(
            LayerFit(
                i + 1,
                sum(fit.start_objective for fit in fitted),
                sum(fit.objective for fit in fitted),
            )
        )
        ledger.enter_fits(i + 1, began, fitted)
        if i > first:
            began = time.perf_counter()
            tasks: list[Formulated[Proposals]] = [
                LastInputTask(
                    block.weights, block.bias, layers[i][part], labels[part], objective, seeded(k)
                )
                if i == last
                else HiddenInputTask(
                    block.weights, block.bias, layers[i][part], targets[part], seeded(k)
                )
                for k, part in enumerate(_parts(len(X)))
            ]
            _staged(observe, i, "inputs")(tasks)
            proposals = solved(
                workers, tasks, _labelled(watch, i, "inputs"), _seconds(setup, SAMPLES_PER_TASK)
            )
            targets = np.concatenate([proposal.inputs for proposal in proposals])
            ledger.enter_tallies(i + 1, began, [proposal.tally for proposal in proposals])
    ledger.check()
    return Swept(network, tuple(reversed(fits)), ledger.tally, tuple(ledger.phases))


def fit_hidden(
    block: Block,
    inputs: FloatArray,
    targets: FloatArray,
    box: Box,
    setups: Callable[[int], SolveOptions],
    workers: Workers,
    watch: Callable[[int, int], None],
    observe: Callable[[Sequence[Formulated[Any]]], None],
) -> tuple[Block, list[Fit]]:
    """Fit the parameters of a hidden block to targets of its outputs (section 2.1).

    Groups of neurons that share parameters are programs of their own.
    """
    groups = block.parameters.groups
    tasks = [
        HiddenWeightTask(block, group, inputs, targets[:, group.neurons], box, setups(k))
        for k, group in enumerate(groups)
    ]
    observe(tasks)
    fits = solved(
        None if all(task.is_light for task in tasks) else workers, tasks, watch, _seconds(setups(0))
    )
    return with_fits(block, groups, fits), fits


def fit_last(
    block: Block,
    inputs: FloatArray,
    labels: IntArray,
    box: Box,
    objective: Objective,
    setups: Callable[[int], SolveOptions],
    workers: Workers,
    watch: Callable[[int, int], None],
    observe: Callable[[Sequence[Formulated[Any]]], None],
) -> tuple[Block, list[Fit]]:
    """Fit the parameters of the last block: (7) and (8), or the program of another objective."""
    groups = objective.groups(block)
    tasks = [
        LastWeightTask(block, group, inputs, labels, box, objective, setups(k))
        for k, group in enumerate(groups)
    ]
    observe(tasks)
    fits = solved(workers, tasks, watch, _seconds(setups(0)))
    return with_fits(block, groups, fits), fits


def hidden_problem(
    block: Block, group: Group, inputs: FloatArray, targets: FloatArray, box: Box
) -> ReluRegression:
    """Return the regression of a group of neurons: one row per sample and neuron, one unknown per
    parameter.

    The targets are those of the neurons of the group, shape ``(m, len(group.neurons))``.
    """
    coefficients, constants = block.parameters.rows(group, inputs)
    lower, upper, start = box.around(block.theta, group.parameters)
    ends = np.concatenate([lower, upper, block.parameters.fixed[group.neurons].reshape(-1)])
    return ReluRegression(
        sparse.csr_array(coefficients),
        constants,
        lower,
        upper,
        start,
        targets=targets.reshape(-1),
        big_m=reference_big_m(inputs, ends),
    )


def with_fits(block: Block, groups: Sequence[Group], fits: Sequence[Fit]) -> Block:
    """Return the block with the parameters of every group as its fit has them."""
    theta = block.theta.copy()
    for group, fit in zip(groups, fits, strict=True):
        theta[group.parameters] = fit.parameters
    return block.with_theta(theta)


def _first_trained(network: Network) -> int:
    """Index of the first block that has parameters; what is before it has nothing to learn."""
    return next(i for i, block in enumerate(network.blocks) if block.theta.size)


def _parts(samples: int) -> list[slice]:
    return [
        slice(i, min(i + SAMPLES_PER_TASK, samples)) for i in range(0, samples, SAMPLES_PER_TASK)
    ]


def _labelled(watch: Watcher, i: int, kind: str) -> Callable[[int, int], None]:
    return lambda done, total: watch(Step(i + 1, kind, done, total))


def _staged(observe: Observer, i: int, kind: str) -> Callable[[Sequence[Formulated[Any]]], None]:
    return lambda tasks: observe(Stage(i + 1, kind, tasks))


def solved(
    workers: Workers | None,
    tasks: Sequence[Task[Answer]],
    watch: Callable[[int, int], None],
    seconds: float | None = None,
) -> list[Answer]:
    """Solve tasks, in the workers or else in this process, and tell how many are done; `seconds` is
    the limit of each."""
    answers: list[Answer] = []
    watch(0, len(tasks))
    for answer in map(_solve, tasks) if workers is None else workers.map(_solve, tasks, seconds):
        answers.append(answer)
        watch(len(answers), len(tasks))
    return answers


def _seconds(setup: SolveOptions, programs: int = 1) -> float | None:
    """Return the time limit of a task of so many programs."""
    limit = setup.limits.time_limit
    return None if limit is None else programs * limit


def _solve(task: Task[Answer]) -> Answer:
    return task.solve()
