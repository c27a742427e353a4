"""Input proposals for the samples of a layer: one small program per sample, searched many samples
at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.fit import solve_problem
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search, Stop, status_of
from layermilp.algorithms.statistics import Statistics
from layermilp.algorithms.tolerances import ROUNDING, TIE_TOLERANCE
from layermilp.errors import ProgramTooLarge
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.formulations.envelope import FIRES, OPEN, SILENT, Envelope, PrimalLp
from layermilp.formulations.problem import OutputRegression, Regression
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program
from layermilp.solvers import warm_lp
from layermilp.solvers.quadratic import project

NODES_PER_LP = 256
"""Nodes that share one LP: enough that the cost of a solver call is spread, few enough that the LP
stays small."""

ProblemOf = Callable[[slice | IntArray], Regression]
"""Returns the problem in the inputs of some of the samples."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Proposed inputs of shape ``(m, d)``, and what it took: one program per sample."""

    inputs: FloatArray
    statistics: Statistics
    message: str = ""

    @property
    def needs_solver(self) -> bool:
        """Whether a solver was asked."""
        return self.statistics.solver_calls.total() > 0


def propose(inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions) -> Proposals:
    """Propose inputs of a layer for every sample, shape ``(m, d)``; a sample keeps its inputs where
    they are as good.

    Parameters
    ----------
    inputs : (m, d) array
        Present inputs.
    problem_of : callable
        Returns the problem in the inputs of some of the samples, see `Loss.of_inputs`.
    options : SolveOptions
        How it is solved.
    """
    problem = problem_of(slice(None))
    if isinstance(problem, OutputRegression):
        return _propose_jointly(inputs, problem_of, options, problem)
    assert isinstance(problem, ReluRegression)
    if FORMULATIONS[options.formulation].is_reference:
        return _propose_one_by_one(inputs, problem_of, options)
    return _BatchedSearch(inputs, problem_of, options, problem).run()


def _propose_one_by_one(
    inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions
) -> Proposals:
    """Solve every sample as a program of its own."""
    fits = [solve_problem(problem_of(slice(k, k + 1)), options) for k in range(len(inputs))]
    return Proposals(np.array([fit.parameters for fit in fits]), Statistics.of(fits))


def _propose_jointly(
    inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions, problem: OutputRegression
) -> Proposals:
    """Solve the linear programs of all samples as one or, where that is too large, as two."""
    try:
        # The projection is for small dense problems, and this one is block-diagonal; it comes
        # sample by sample, below.
        fit = solve_problem(
            problem, replace(options, tie_break="none") if options.tie_break == "l2" else options
        )
    except ProgramTooLarge:
        if len(inputs) == 1:
            raise
        parts = np.split(np.arange(len(inputs)), [len(inputs) // 2])
        halves = [
            propose(inputs[part], lambda rows, part=part: problem_of(part[rows]), options)  # type: ignore[misc]
            for part in parts
        ]
        return Proposals(np.concatenate([half.inputs for half in halves]), Statistics.of(halves))
    before, after = (
        problem.losses(theta).reshape(len(inputs), -1).sum(axis=1)
        for theta in (problem.start, fit.parameters)
    )
    improves = after < before - ROUNDING * problem.n_rows / len(inputs)
    proposed = np.where(improves[:, None], fit.parameters.reshape(inputs.shape), inputs)
    if options.tie_break == "l2" and not problem.is_priced:
        proposed = _nearest(problem, proposed, improves)
    statuses = [fit.status] * len(inputs)
    return Proposals(proposed, Statistics.of_statuses(statuses, fit.scaled_gap, fit.solver_calls))


def _nearest(problem: Regression, proposed: FloatArray, improves: BoolArray) -> FloatArray:
    """Return the proposals nearest to the present inputs in the l2 norm at which no row of a sample
    loses more.

    Parameters
    ----------
    problem : Regression
        Of all samples, block-diagonal.
    proposed : (m, d) array
        The proposals.
    improves : (m,) array of bool
        Samples that are not to keep their inputs anyway.
    """
    shape = proposed.shape
    low, high = (bound.reshape(shape[0], -1) for bound in problem.level(proposed.reshape(-1)))
    n_rows = low.shape[1]
    entries = problem.coefficients.tocoo()
    blocks = np.zeros((shape[0], n_rows, shape[1]))
    blocks[entries.row // n_rows, entries.row % n_rows, entries.col % shape[1]] = entries.data
    constants = problem.constants.reshape(low.shape)
    start, lower, upper = (
        part.reshape(shape) for part in (problem.start, problem.lower, problem.upper)
    )
    nearest = proposed.copy()
    for k in np.flatnonzero(improves):
        point = project(
            start[k], blocks[k], low[k] - constants[k], high[k] - constants[k], lower[k], upper[k]
        )
        if point is not None:
            nearest[k] = point
    before, after = (
        problem.losses(x.reshape(-1)).reshape(shape[0], -1).sum(axis=1) for x in (proposed, nearest)
    )
    return np.where((after <= before + TIE_TOLERANCE * n_rows)[:, None], nearest, proposed)


class _BatchedSearch:
    """Branch and bound over all samples at once.

    A node is a sample with the firing of some neurons decided. The relaxations of many nodes, their
    `Envelope` programs, are one block-diagonal LP, which is optimal block by block; the loss of its
    solution updates the incumbent of the sample. A node whose bound does not lie below the
    incumbent is done, any other is branched at the neuron with the largest error of its envelope.
    With few undecided neurons per sample within `input_bounds`, a handful of LPs replaces hundreds
    of calls."""

    def __init__(
        self,
        inputs: FloatArray,
        problem_of: ProblemOf,
        options: SolveOptions,
        whole: ReluRegression,
    ) -> None:
        self.inputs, self.problem_of, self.options = inputs, problem_of, options
        self.whole = whole
        seconds = options.limits.time_limit
        clock = Budget.of(None if seconds is None else seconds * len(inputs))
        self.frame = Search(self.whole, options, clock)
        self.targets = self.whole.targets.reshape(len(inputs), -1)
        self.nodes_per_lp = NODES_PER_LP
        self.best = inputs.copy()
        self.loss = self.whole.losses(self.whole.start).reshape(len(inputs), -1).sum(axis=1)
        self.nodes = np.zeros(len(inputs), dtype=np.int64)
        self.scale = self.targets.sum(axis=1)
        # Lowest relaxed loss of the nodes that were cut off as good enough, and of those left at a
        # limit.
        self.closed_bound = np.full(len(inputs), np.inf)
        self.open_bound = np.full(len(inputs), np.inf)
        self.failed = np.zeros(len(inputs), dtype=bool)

    def run(self) -> Proposals:
        """Search until no node is left or a limit is hit."""
        node_limit = self.options.limits.node_limit
        samples = np.arange(len(self.inputs))[self.loss > self._slack]
        states = np.full((samples.size, self.targets.shape[1]), OPEN)
        bounds = np.zeros(samples.size)
        while samples.size:
            below = self._is_below(samples, bounds)
            np.minimum.at(self.closed_bound, samples[~below], bounds[~below])
            samples, states, bounds = samples[below], states[below], bounds[below]
            stopped = np.full(samples.size, self.frame.clock.is_over)
            if node_limit is not None:
                stopped |= self.nodes[samples] >= node_limit
            np.minimum.at(self.open_bound, samples[stopped], bounds[stopped])
            samples, states, bounds = samples[~stopped], states[~stopped], bounds[~stopped]
            # The newest nodes first: memory stays bounded, and incumbents come early.
            cut = max(samples.size - self.nodes_per_lp, 0)
            if samples.size:
                try:
                    children = self._branch(samples[cut:], states[cut:], bounds[cut:])
                except ProgramTooLarge:
                    if samples.size - cut == 1:
                        raise
                    self.nodes_per_lp = (samples.size - cut) // 2
                    continue
                pairs = zip((samples[:cut], states[:cut], bounds[:cut]), children, strict=True)
                samples, states, bounds = (np.concatenate(pair) for pair in pairs)
        return self._proposals()

    def _branch(
        self, samples: IntArray, states: IntArray, bounds: FloatArray
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """Solve the relaxations of nodes with bounds so far; return the children of those that are
        not done."""
        problem = self.problem_of(samples)
        assert isinstance(problem, ReluRegression)
        low, high = problem.interval
        decided = np.where((problem.targets > 0.0) & (high <= 0.0), SILENT, states.reshape(-1))
        envelope = Envelope.of(problem.targets, low, decided)
        solved = self._solve(problem, envelope, len(samples))
        self.nodes += np.bincount(samples, minlength=len(self.inputs))
        if isinstance(solved, Stop):
            np.minimum.at(self.open_bound, samples, bounds)
            self.failed[samples] |= solved is Stop.FAILED
            return samples[:0], states[:0], np.zeros(0)
        theta, bounds = solved
        losses = problem.losses(theta).reshape(states.shape)
        errors = losses - envelope.at(problem.preactivation(theta)).reshape(states.shape)
        can_branch = (states == OPEN) & (self.targets[samples] > 0.0)
        self._offer(samples, theta.reshape(samples.size, -1), losses.sum(axis=1))
        goes_on = self._is_below(samples, bounds) & can_branch.any(axis=1)
        np.minimum.at(self.closed_bound, samples[~goes_on], bounds[~goes_on])
        left = np.flatnonzero(goes_on)
        neuron = np.argmax(np.where(can_branch[left], errors[left], -np.inf), axis=1)
        children = np.repeat(states[left], 2, axis=0)
        children[np.arange(2 * left.size), np.repeat(neuron, 2)] = np.tile(
            [SILENT, FIRES], left.size
        )
        return np.repeat(samples[left], 2), children, np.repeat(bounds[left], 2)

    def _solve(
        self, problem: ReluRegression, envelope: Envelope, n_nodes: int
    ) -> tuple[FloatArray, FloatArray] | Stop:
        """Solve the relaxations of some nodes as one program; return its point and the bound of
        every node, or why there are none."""
        lp = PrimalLp(problem.coefficients, problem.constants)
        costs, rhs, lower, upper = lp.numbers(envelope, problem.lower, problem.upper)
        if self.options.takes_warm_programs:
            self.frame.solver_calls[warm_lp.SOLVER] += 1
            answer = warm_lp.WarmLp(lp.matrix).solve(costs, rhs, lower, upper)
            if answer is None:
                return Stop.FAILED
            multipliers, theta = lp.multipliers(envelope, *answer)
            slopes = multipliers @ problem.coefficients
            least = np.minimum(problem.lower * slopes, problem.upper * slopes)
            rows = envelope.constants_of(multipliers, problem.constants)
            bounds = rows.reshape(n_nodes, -1).sum(axis=1) + least.reshape(n_nodes, -1).sum(axis=1)
            return np.clip(theta, problem.lower, problem.upper), bounds
        no_integers = np.zeros(costs.size, dtype=bool)
        program = Program(costs, lp.matrix, rhs, rhs, lower, upper, no_integers, name="proposals")
        result = self.frame.solve(program)
        if result.x is None or not result.status.is_optimal:
            return Stop.of(result)
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        return theta, envelope.at(problem.preactivation(theta)).reshape(n_nodes, -1).sum(axis=1)

    @property
    def _slack(self) -> float:
        """Difference of losses of one sample that solver tolerances may cause."""
        return ROUNDING * self.targets.shape[1]

    def _is_below(self, samples: IntArray, bounds: FloatArray) -> BoolArray:
        """Whether a node may still improve its sample by more than was asked for."""
        enough = np.maximum(self._asked, self._slack)
        return np.asarray(bounds < (self.loss - enough)[samples])

    @property
    def _asked(self) -> FloatArray:
        """Differences from the bounds at which the losses of the samples count as solved."""
        relative = self.options.limits.relative_gap * self.loss
        return np.asarray(np.maximum(relative, self.options.target_gap * self.scale))

    def _offer(self, samples: IntArray, points: FloatArray, losses: FloatArray) -> None:
        for k, point, loss in zip(samples, points, losses, strict=True):
            if loss < self.loss[k] - self._slack:
                self.best[k], self.loss[k] = point, loss

    def _proposals(self) -> Proposals:
        is_open = self._is_below(np.arange(len(self.loss)), self.open_bound)
        bound = np.minimum(self.loss, self.closed_bound)
        bound[is_open] = np.minimum(bound, self.open_bound)[is_open]
        asked, slack = self._asked, self._slack
        gaps = (self.loss - bound) / np.maximum(np.maximum(self.loss, self.scale), ROUNDING)
        statuses = [
            status_of(loss, proven, enough, slack, Stop.FAILED if failed else Stop.LIMIT)
            for loss, proven, enough, failed in zip(
                self.loss.tolist(), bound.tolist(), asked.tolist(), self.failed, strict=True
            )
        ]
        largest = float(gaps.max(initial=0.0))
        statistics = Statistics.of_statuses(statuses, largest, self.frame.solver_calls)
        return Proposals(self._nearest_best(), statistics)

    def _nearest_best(self) -> FloatArray:
        """Return the proposals that the tie-break prefers; hidden layers know that in the l2 norm
        alone."""
        improves = np.any(self.best != self.inputs, axis=1)
        if self.options.tie_break != "l2" or not improves.any():
            return self.best
        return _nearest(self.whole, self.best, improves)
