"""Input proposals for the samples of a layer: one small program per sample, searched many samples
at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.fit import solve_problem
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.scaling import Scaling
from layermilp.algorithms.search import Search, Stop, status_of
from layermilp.algorithms.statistics import NOT_NEEDED, OWN, Statistics
from layermilp.algorithms.tolerances import ROUNDING, TIE_TOLERANCE
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.formulations.envelope import FIRES, OPEN, SILENT, Envelope, PrimalLp
from layermilp.formulations.problem import OutputRegression, Regression
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program
from layermilp.solvers import fits, fitting, warm_lp
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
        return bool(self.statistics.solver_calls)


def propose(inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions) -> Proposals:
    """Propose inputs of a layer for every sample, of whose problem `problem_of` returns that of
    some, see `Loss.of_inputs`; a sample keeps its present inputs, shape ``(m, d)``, where they are
    as good."""
    problem = problem_of(slice(None))
    scaling = Scaling.of(problem)
    if not scaling.is_identity:
        found = _propose(
            inputs / scaling.unknowns,
            lambda rows: scaling.problem(problem_of(rows)),
            scaling.options(options),
        )
        return replace(found, inputs=scaling.unknowns * found.inputs)
    return _propose(inputs, problem_of, options)


def _propose(inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions) -> Proposals:
    """Propose inputs in suitable units."""
    problem = problem_of(slice(None))
    if isinstance(problem, OutputRegression):
        return _propose_jointly(inputs, problem_of, options, problem)
    assert isinstance(problem, ReluRegression)
    if FORMULATIONS[options.formulation].is_reference:
        # Every sample is a program of its own.
        fits = [solve_problem(problem_of(slice(k, k + 1)), options) for k in range(len(inputs))]
        message = next(filter(None, (fit.message for fit in fits)), "")
        return Proposals(np.array([fit.parameters for fit in fits]), Statistics.of(fits), message)
    return _BatchedSearch(inputs, problem_of, options, problem).run()


def _propose_jointly(
    inputs: FloatArray, problem_of: ProblemOf, options: SolveOptions, problem: OutputRegression
) -> Proposals:
    """Solve the linear programs of all samples as one or, where that is too large, as two."""
    if len(inputs) > 1 and not fits(problem.program(), options.solver):
        parts = np.split(np.arange(len(inputs)), [len(inputs) // 2])
        halves = [
            propose(inputs[part], lambda rows, part=part: problem_of(part[rows]), options)  # type: ignore[misc]
            for part in parts
        ]
        return Proposals(np.concatenate([half.inputs for half in halves]), Statistics.of(halves))
    # The projection is for small dense problems, and this one is block-diagonal; it comes sample by
    # sample, below.
    is_l2 = options.tie_break == "l2"
    fit = solve_problem(problem, replace(options, tie_break="none") if is_l2 else options)
    before, after = (_by_sample(problem, x, len(inputs)) for x in (problem.start, fit.parameters))
    improves = after < before - ROUNDING * problem.n_rows / len(inputs)
    proposed = np.where(improves[:, None], fit.parameters.reshape(inputs.shape), inputs)
    if is_l2 and not problem.is_priced:
        proposed = _nearest(problem, proposed, improves)
    asked = int(np.count_nonzero(before > ROUNDING * problem.n_rows / len(inputs)))
    statistics = replace(
        Statistics.of_statuses([fit.status] * len(inputs)),
        largest_gap=fit.scaled_gap,
        largest_relative_gap=fit.gap,
        solver_calls=dict(fit.solver_calls),
        kinds=dict(Counter({fit.kind: asked}) + Counter({NOT_NEEDED: len(inputs) - asked})),
    )
    return Proposals(proposed, statistics, fit.message)


def _by_sample(problem: Regression, theta: FloatArray, n_samples: int) -> FloatArray:
    """Return the losses of all samples, shape ``(m,)``."""
    return np.asarray(problem.losses(theta.reshape(-1)).reshape(n_samples, -1).sum(axis=1))


def _nearest(problem: Regression, proposed: FloatArray, improves: BoolArray) -> FloatArray:
    """Return the proposals nearest to the present inputs in the l2 norm at which no row of a sample
    loses more, shape ``(m, d)``.

    `improves` marks the samples that are not to keep their inputs anyway, shape ``(m,)``."""
    n_samples, n_inputs = proposed.shape
    n_rows = problem.n_rows // n_samples
    entries = problem.coefficients.tocoo()
    blocks = np.zeros((n_samples, n_rows, n_inputs))
    blocks[entries.row // n_rows, entries.row % n_rows, entries.col % n_inputs] = entries.data
    low, high = (
        (bound - problem.constants).reshape(n_samples, n_rows)
        for bound in problem.level(proposed.reshape(-1))
    )
    start, lower, upper = (
        part.reshape(proposed.shape) for part in (problem.start, problem.lower, problem.upper)
    )
    nearest = proposed.copy()
    for k in np.flatnonzero(improves):
        point = project(start[k], blocks[k], low[k], high[k], lower[k], upper[k])
        if point is not None:
            nearest[k] = point
    before, after = (_by_sample(problem, x, n_samples) for x in (proposed, nearest))
    return np.where((after <= before + TIE_TOLERANCE * n_rows)[:, None], nearest, proposed)


class _Nodes(NamedTuple):
    """Nodes of several samples: their samples ``(N,)``, what is decided of the sample's neurons
    ``(N, n)``, and their bounds ``(N,)``."""

    samples: IntArray
    decided: IntArray
    bounds: FloatArray

    def where(self, chosen: BoolArray | IntArray | slice) -> _Nodes:
        """Return some of the nodes."""
        return _Nodes(self.samples[chosen], self.decided[chosen], self.bounds[chosen])

    def lower(self, bounds: FloatArray) -> None:
        """Lower the bounds of the samples, shape ``(m,)``, to those of the nodes."""
        np.minimum.at(bounds, self.samples, self.bounds)


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
        n_samples, seconds = len(inputs), options.limits.time_limit
        self.inputs, self.problem_of, self.options, self.whole = inputs, problem_of, options, whole
        clock = Budget.of(None if seconds is None else seconds * n_samples)
        self.frame = Search(whole, options, clock)
        self.targets = whole.targets.reshape(n_samples, -1)
        self.scale = self.targets.sum(axis=1)
        # Difference of losses of one sample that solver tolerances may cause.
        self.slack = ROUNDING * self.targets.shape[1]
        self.nodes_per_lp = NODES_PER_LP
        self.best, self.loss = inputs.copy(), _by_sample(whole, whole.start, n_samples)
        self.n_nodes = np.zeros(n_samples, dtype=np.int64)
        # Lowest relaxed loss of the nodes that were cut off as good enough, and of those left at a
        # limit.
        self.closed_bound = np.full(n_samples, np.inf)
        self.open_bound = np.full(n_samples, np.inf)
        self.failed = np.zeros(n_samples, dtype=bool)

    def run(self) -> Proposals:
        """Search until no node is left or a limit is hit."""
        node_limit = self.options.limits.node_limit
        samples = np.flatnonzero(self.loss > self.slack)
        self.frame.solver_calls[OWN] += bool(samples.size)
        decided = np.full((samples.size, self.targets.shape[1]), OPEN)
        nodes = _Nodes(samples, decided, np.zeros(samples.size))
        while nodes.samples.size:
            below = self._is_below(nodes.samples, nodes.bounds)
            nodes.where(~below).lower(self.closed_bound)
            nodes = nodes.where(below)
            stopped = np.full(nodes.samples.size, self.frame.clock.is_over)
            if node_limit is not None:
                stopped |= self.n_nodes[nodes.samples] >= node_limit
            nodes.where(stopped).lower(self.open_bound)
            nodes = nodes.where(~stopped)
            # The newest nodes first: memory stays bounded, and incumbents come early.
            cut = max(nodes.samples.size - self.nodes_per_lp, 0)
            newest = nodes.where(slice(cut, None))
            children = self._branch(newest)
            if children is None:
                self.nodes_per_lp = newest.samples.size // 2
                continue
            pairs = zip(nodes.where(slice(cut)), children, strict=True)
            nodes = _Nodes(*(np.concatenate(pair) for pair in pairs))
        return self._proposals()

    def _branch(self, nodes: _Nodes) -> _Nodes | None:
        """Solve the relaxations of nodes with bounds so far; return the children of those that are
        not done, or None if these are too many for one program."""
        samples, none = nodes.samples, nodes.where(slice(0))
        if not samples.size:
            return none
        problem = self.problem_of(samples)
        assert isinstance(problem, ReluRegression)
        low, high = problem.interval
        is_silent = (problem.targets > 0.0) & (high <= 0.0)
        decided = np.where(is_silent, SILENT, nodes.decided.reshape(-1))
        envelope = Envelope.of(problem.targets, low, decided)
        solved = self._solve(problem, envelope, samples.size)
        if solved is None:
            return None
        self.n_nodes += np.bincount(samples, minlength=len(self.inputs))
        if isinstance(solved, Stop):
            nodes.lower(self.open_bound)
            self.failed[samples] |= solved is Stop.FAILED
            return none
        theta, bounds = solved
        losses = problem.losses(theta).reshape(nodes.decided.shape)
        errors = losses - envelope.at(problem.preactivation(theta)).reshape(losses.shape)
        points = theta.reshape(samples.size, -1)
        for k, point, loss in zip(samples, points, losses.sum(axis=1), strict=True):
            if loss < self.loss[k] - self.slack:
                self.best[k], self.loss[k] = point, loss
        can_branch = (nodes.decided == OPEN) & (self.targets[samples] > 0.0)
        goes_on = self._is_below(samples, bounds) & can_branch.any(axis=1)
        solved_nodes = nodes._replace(bounds=bounds)
        solved_nodes.where(~goes_on).lower(self.closed_bound)
        neuron = np.argmax(np.where(can_branch, errors, -np.inf), axis=1)[goes_on]
        children = solved_nodes.where(np.repeat(np.flatnonzero(goes_on), 2))
        places = np.arange(children.samples.size), np.repeat(neuron, 2)
        children.decided[places] = np.tile([SILENT, FIRES], neuron.size)
        return children

    def _solve(
        self, problem: ReluRegression, envelope: Envelope, n_nodes: int
    ) -> tuple[FloatArray, FloatArray] | Stop | None:
        """Solve the relaxations of some nodes as one program; return its point and the bound of
        every node, or why there are none; None if the edition of the solver is too small for more
        nodes than one."""
        lp = PrimalLp(problem.coefficients, problem.constants)
        costs, rhs, lower, upper = lp.numbers(envelope, problem.lower, problem.upper)
        if self.options.takes_warm_programs:
            self.frame.solver_calls[warm_lp.SOLVER] += 1
            answer = warm_lp.WarmLp(lp.matrix).solve(costs, rhs, lower, upper)
            if answer is None:
                self.frame.message = f"{warm_lp.SOLVER} did not solve the relaxations of proposals"
                return Stop.FAILED
            multipliers, theta = lp.multipliers(envelope, *answer)
            slopes = multipliers @ problem.coefficients
            least = np.minimum(problem.lower * slopes, problem.upper * slopes)
            rows = envelope.constants_of(multipliers, problem.constants)
            bounds = rows.reshape(n_nodes, -1).sum(axis=1) + least.reshape(n_nodes, -1).sum(axis=1)
            return np.clip(theta, problem.lower, problem.upper), bounds
        no_integers = np.zeros(costs.size, dtype=bool)
        program = Program(costs, lp.matrix, rhs, rhs, lower, upper, no_integers, name="proposals")
        solver = self.options.solver
        if n_nodes > 1 and not fits(program, solver):
            return None
        result = self.frame.solve(program, fitting(program, solver))
        if result.x is None or not result.status.is_optimal:
            words = result.message or f"{result.solver} did not solve the relaxations of proposals"
            self.frame.message = self.frame.message or words
            return Stop.of(result)
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        return theta, envelope.at(problem.preactivation(theta)).reshape(n_nodes, -1).sum(axis=1)

    def _is_below(self, samples: IntArray, bounds: FloatArray) -> BoolArray:
        """Whether nodes may still improve their samples by more than was asked for."""
        enough = np.maximum(self._asked, self.slack)
        return np.asarray(bounds < (self.loss - enough)[samples])

    @property
    def _asked(self) -> FloatArray:
        """Differences from the bounds at which the losses of the samples count as solved."""
        relative = self.options.limits.relative_gap * self.loss
        return np.asarray(np.maximum(relative, self.options.target_gap * self.scale))

    def _kinds(self) -> dict[str, int]:
        """Count what the programs of the samples were: mixed-integer where some neuron with a
        target may fire or not."""
        low, high = (end.reshape(self.targets.shape) for end in self.whole.interval)
        is_mip = ((self.targets > 0.0) & (low < 0.0) & (high > 0.0)).any(axis=1)
        kinds = np.where(self.n_nodes == 0, NOT_NEEDED, np.where(is_mip, "milp", "lp"))
        return dict(Counter(kinds.tolist()))

    def _proposals(self) -> Proposals:
        """Return what was found; of equal optima the nearest, in the l2 norm alone."""
        is_open = self._is_below(np.arange(len(self.loss)), self.open_bound)
        bound = np.minimum(self.loss, self.closed_bound)
        bound[is_open] = np.minimum(bound, self.open_bound)[is_open]
        open_gap = np.where(self.loss - bound > self.slack, self.loss - bound, 0.0)
        gaps = open_gap / np.maximum(np.maximum(self.loss, self.scale), ROUNDING)
        stops = [Stop.FAILED if failed else Stop.LIMIT for failed in self.failed]
        found = zip(self.loss.tolist(), bound.tolist(), self._asked.tolist(), stops, strict=True)
        statistics = replace(
            Statistics.of_statuses(
                [
                    status_of(loss, proven, asked, self.slack, stop)
                    for loss, proven, asked, stop in found
                ]
            ),
            branched=int(np.count_nonzero(self.n_nodes > 1)),
            nodes=int(self.n_nodes.sum()),
            largest_gap=float(gaps.max(initial=0.0)),
            largest_relative_gap=float(
                (open_gap / np.maximum(self.loss, ROUNDING)).max(initial=0.0)
            ),
            kinds=self._kinds(),
            solver_calls=dict(self.frame.solver_calls),
        )
        improves = np.any(self.best != self.inputs, axis=1)
        best = self.best
        if self.options.tie_break == "l2" and improves.any():
            best = _nearest(self.whole, best, improves)
        return Proposals(best, statistics, self.frame.message if self.failed.any() else "")
