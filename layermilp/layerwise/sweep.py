"""One sweep of Algorithm 1 (Goebbels 2021): from the last layer to the first, weights by programs, then inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import sparse

from layermilp.formulations.regression import HingeRegression, ReluRegression, reference_big_m
from layermilp.layerwise.propose import Proposals, propose
from layermilp.layerwise.solve import Fit, Setup, solve_hinge, solve_relu
from layermilp.layerwise.tally import Tally
from layermilp.network import Block, Network
from layermilp.parallel import Workers
from layermilp.parameters import Group
from layermilp.program import FloatArray

SAMPLES_PER_TASK = 50
"""Samples whose input proposals are one task. Fixed, so that results do not depend on the number of workers."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of the parameters of one block, arrays of shape ``(p,)``."""

    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Step:
    """Where training is: tasks done of those that a layer has for its ``weights`` or ``inputs`` in a sweep."""

    layer: int
    kind: str
    done: int
    total: int
    batch: int = 0
    sweep: int = 0


@dataclass(frozen=True)
class LayerFit:
    """What a sweep did to one layer: loss of its weight programs before and after, summed over its neurons."""

    layer: int
    start_objective: float
    objective: float


@dataclass(frozen=True, eq=False)
class Swept:
    """Outcome of a sweep."""

    network: Network
    layers: tuple[LayerFit, ...]
    tally: Tally


Watcher = Callable[[Step], None]


@dataclass(frozen=True, eq=False)
class WeightTask:
    """The weight program of one group of neurons, ready for a worker."""

    problem: ReluRegression | HingeRegression
    setup: Setup


@dataclass(frozen=True, eq=False)
class InputTask:
    """The input proposals of some samples of one layer, ready for a worker."""

    weights: FloatArray
    bias: FloatArray
    inputs: FloatArray
    targets: FloatArray
    last_layer: bool
    setup: Setup


def sweep(
    network: Network,
    X: FloatArray,
    targets: FloatArray,
    boxes: tuple[Box, ...],
    setup: Setup,
    seed: tuple[int, ...],
    workers: Workers,
    watch: Watcher,
) -> Swept:
    """Run the ``for`` loop of Algorithm 1 once.

    Parameters
    ----------
    network : Network
        Present weights.
    X : (m, d) array
        The batch.
    targets : (m, n_outputs) array
        One-hot ground truth.
    boxes : tuple of Box
        Bounds of the parameters of every block.
    setup : Setup
        How programs are formulated and solved.
    seed : tuple of int
        What the solver seeds are derived from.
    workers : Workers
        Who solves them.
    watch : callable
        Is told the progress.
    """
    layers = network.activations(X)
    fits: list[LayerFit] = []
    tally = Tally()
    last = len(network.blocks) - 1
    for i in range(last, -1, -1):
        seeded = SeededSetups(setup, (*seed, i))
        block, fitted = fit_block(
            network.blocks[i], layers[i], targets, boxes[i], i == last, 0.0, seeded, workers, _labelled(watch, i, "weights")
        )
        network = network.with_block(i, block)
        fits.append(
            LayerFit(i + 1, sum(fit.start_objective for fit in fitted), sum(fit.objective for fit in fitted))
        )
        tally += Tally.of(fitted)
        if i > 0:
            tasks = [
                InputTask(block.weights, block.bias, layers[i][part], targets[part], i == last, seeded(k))
                for k, part in enumerate(_parts(len(X)))
            ]
            proposals = _followed(workers, solve_inputs, tasks, _labelled(watch, i, "inputs"))
            targets = np.concatenate([proposal.inputs for proposal in proposals])
            tally += sum((proposal.tally for proposal in proposals), Tally())
    return Swept(network, tuple(reversed(fits)), tally)


def fit_block(
    block: Block,
    inputs: FloatArray,
    targets: FloatArray,
    box: Box,
    last_layer: bool,
    tolerance: float,
    setups: Callable[[int], Setup],
    workers: Workers,
    watch: Callable[[int, int], None],
) -> tuple[Block, list[Fit]]:
    """Fit the parameters of one block to targets of its outputs (section 2.1; for the last layer (7) and (8)).

    Groups of neurons that share parameters are programs of their own. `tolerance` is the dead zone of the last layer's
    loss, 0.49 in post-processing (section 2.3).
    """
    groups = block.parameters.groups
    tasks = [
        WeightTask(weight_problem(block, group, inputs, targets, box, last_layer, tolerance), setups(k))
        for k, group in enumerate(groups)
    ]
    fits = _followed(workers, solve_weights, tasks, watch)
    theta = block.theta.copy()
    for group, fit in zip(groups, fits, strict=True):
        theta[group.parameters] = fit.parameters
    return block.with_theta(theta), fits


def weight_problem(
    block: Block,
    group: Group,
    inputs: FloatArray,
    targets: FloatArray,
    box: Box,
    last_layer: bool,
    tolerance: float = 0.0,
) -> ReluRegression | HingeRegression:
    """Return the regression of a group of neurons: one row per sample and neuron, one unknown per parameter."""
    coefficients, constants = block.parameters.rows(group, inputs)
    lower, upper = box.lower[group.parameters], box.upper[group.parameters]
    start = np.clip(block.theta[group.parameters], lower, upper)
    goals = targets[:, group.neurons].reshape(-1)
    h = sparse.csr_array(coefficients)
    if last_layer:
        return HingeRegression(h, constants, lower, upper, start, is_target=goals > 0.5, tolerance=tolerance)
    ends = np.concatenate([lower, upper, block.parameters.fixed[group.neurons].reshape(-1)])
    big_m = reference_big_m(inputs, ends)
    return ReluRegression(h, constants, lower, upper, start, targets=goals, big_m=big_m)


def solve_weights(task: WeightTask) -> Fit:
    """Solve a weight task; runs in a worker."""
    if isinstance(task.problem, HingeRegression):
        return solve_hinge(task.problem, task.setup)
    return solve_relu(task.problem, task.setup)


def solve_inputs(task: InputTask) -> Proposals:
    """Solve an input task; runs in a worker."""
    return propose(task.weights, task.bias, task.inputs, task.targets, task.last_layer, task.setup)


class SeededSetups:
    """Setups whose solver seed is derived from a key and the number of the task."""

    def __init__(self, setup: Setup, key: tuple[int, ...]) -> None:
        self.setup, self.key = setup, key

    def __call__(self, task: int) -> Setup:
        seed = int(np.random.SeedSequence((*self.key, task)).generate_state(1)[0] >> 1)
        return replace(self.setup, limits=replace(self.setup.limits, seed=seed))


def _parts(samples: int) -> list[slice]:
    return [slice(i, min(i + SAMPLES_PER_TASK, samples)) for i in range(0, samples, SAMPLES_PER_TASK)]


def _labelled(watch: Watcher, i: int, kind: str) -> Callable[[int, int], None]:
    return lambda done, total: watch(Step(i + 1, kind, done, total))


def _followed(
    workers: Workers, function: Callable[[Task], Answer], tasks: list[Task], watch: Callable[[int, int], None]
) -> list[Answer]:
    """Solve tasks and tell how many are done."""
    answers: list[Answer] = []
    watch(0, len(tasks))
    for answer in workers.map(function, tasks):
        answers.append(answer)
        watch(len(answers), len(tasks))
    return answers
