"""Solving one regression: descent to a good incumbent, the program where that is not enough, the
check in numpy.

Nothing here knows of layers or batches; every function is pure and runs in a worker process.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from layermilp.algorithms.branch_and_bound import MOST_DESCENTS, Tree
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.presolve import Aggregation, nonzero_columns, restricted
from layermilp.algorithms.ridge import fit_ridge
from layermilp.algorithms.statistics import Statistics
from layermilp.algorithms.tie_break import TIE_BREAKS, project_onto
from layermilp.formulations.big_m import FORMULATIONS, Formulation
from layermilp.formulations.loss import LinearProblem, Problem
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    BoolArray,
    FloatArray,
    Program,
    Result,
    Status,
    relative_gap,
)
from layermilp.solvers import fitting, solve, warm_lp

TIGHT = 1e-9
"""Relative difference below which two losses count as equal."""

NOTHING = 1e-6
"""Loss below which a program's targets are met at its start: it asks nothing of a solver."""

TREE_NODES = 20
"""Nodes of `tree` for one node of a solver, whose nodes have cuts and heuristics; see
bench/formulations.py."""

MOST_TREE_NODES = 10_000
"""Nodes of `tree`, without a node limit, after which the solver takes over."""

TIE_TOLERANCE = 1e-8
"""Loss per row that a tie-break may cost: what the feasibility tolerances of its solver leave
open."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Solution of a weight program, with its objective recomputed in numpy.

    Parameters
    ----------
    parameters : (p,) array
        The unknowns; for a neuron the `d` weights, then the bias.
    objective : float
        Loss at `parameters`.
    bound : float
        Proven lower bound of the loss over the box.
    status : Status
        OPTIMAL if proven to 1e-6 relative, OPTIMAL_WITHIN_GAP if proven to the gap that was asked
        for, else FEASIBLE_AT_LIMIT; ERROR if the solver failed and the best point known is
        returned.
    start_objective : float
        Loss at the start; `objective` exceeds it by rounding at most (1e-9 a row), unless a ridge
        trades it for smaller weights.
    scale : float
        Sum of the targets: the loss of a silent neuron.
    solver_calls : Counter
        Number of solver calls by solver.
    nodes : int
        Branch-and-bound nodes of all of them.
    message : str
        The solver's words where it failed.
    """

    parameters: FloatArray
    objective: float
    bound: float
    status: Status
    start_objective: float
    scale: float
    solver_calls: Counter[str]
    nodes: int = 0
    message: str = ""

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound; 0 where they agree to 1e-9 absolute."""
        return (
            0.0
            if self.objective - self.bound <= TIGHT
            else relative_gap(self.objective, self.bound)
        )

    @property
    def scaled_gap(self) -> float:
        """Gap relative to the scale, ``(objective - bound) / max(objective, scale)``: how much is
        unproven, measured against what is at stake."""
        difference = self.objective - self.bound
        return 0.0 if difference <= TIGHT else difference / max(self.objective, self.scale, TIGHT)

    @property
    def statistics(self) -> Statistics:
        """The fit as one program."""
        return Statistics(
            programs=1,
            optimal=int(self.status.is_optimal),
            at_limit=int(self.status is Status.FEASIBLE_AT_LIMIT),
            failed=int(self.status is Status.ERROR),
            largest_gap=self.scaled_gap,
            solver_calls=self.solver_calls,
        )

    @property
    def needs_solver(self) -> bool:
        """Whether a solver was asked, and the start did not meet the targets already."""
        return self.solver_calls.total() > 0 and self.start_objective > NOTHING


class _Search:
    """The search for one fit: the best point so far, the setup, and the solver calls, within one
    time limit."""

    def __init__(self, problem: Problem, setup: SolveOptions) -> None:
        self.problem, self.setup = problem, setup
        self.theta = problem.start
        self.loss = self.start_loss = problem.loss(problem.start)
        self.bound = 0.0
        self.status: Status | None = None
        self.message = ""
        self.counter: Counter[str] = Counter()
        self.nodes = 0
        seconds = setup.limits.time_limit
        self.ends = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def expired(self) -> bool:
        """Whether the time limit is over."""
        return time.perf_counter() >= self.ends

    @property
    def absolute_gap(self) -> float:
        """Difference from the bound at which the fit counts as solved."""
        return max(
            self.setup.target_gap * self.problem.scale, self.setup.limits.absolute_gap or 0.0
        )

    def offer(self, theta: FloatArray) -> float:
        """Take a point, clipped to the box, if its loss is lower; return its loss."""
        theta = np.clip(theta, self.problem.lower, self.problem.upper)
        loss = self.problem.loss(theta)
        if loss < self.loss:
            self.theta, self.loss = theta, loss
        return loss

    def accept(self, theta: FloatArray, allowed: float) -> bool:
        """Take a point, clipped to the box, if its loss is no more than allowed; return whether it
        was taken."""
        theta = np.clip(theta, self.problem.lower, self.problem.upper)
        loss = self.problem.loss(theta)
        if loss <= allowed:
            self.theta, self.loss = theta, loss
        return loss <= allowed

    def meets(self, bound: float) -> bool:
        """Whether the loss equals a lower bound, within what the feasibility tolerance of a solver
        leaves open."""
        return self.loss <= bound + TIGHT * max(self.problem.n_rows, abs(bound))

    def suffices(self, bound: float) -> bool:
        """Whether the loss is as near to a lower bound as was asked for, or at its own target."""
        return self.is_within_gap(bound) or self.is_at_target

    def is_within_gap(self, bound: float) -> bool:
        """Whether the loss is as near to a lower bound as was asked for."""
        asked = max(self.absolute_gap, (self.setup.limits.gap or 0.0) * self.loss)
        return self.meets(bound + asked)

    @property
    def is_at_target(self) -> bool:
        """Whether the loss is at most the objective that was asked for."""
        target = self.setup.limits.objective_target
        return target is not None and self.loss <= target

    def solve(self, program: Program, solver: str | None = None) -> Result:
        """Solve a program within what is left of the time limit, by the setup's solver unless one
        is named."""
        limits = replace(self.setup.limits, absolute_gap=self.absolute_gap)
        if limits.time_limit is not None:
            limits = replace(limits, time_limit=max(self.ends - time.perf_counter(), 0.01))
        solver = solver or self.setup.solver
        # The setup's options are those of its solver.
        options = self.setup.options if solver == self.setup.solver else {}
        result = solve(program, solver, limits, options)
        self.counter[result.solver] += 1
        self.nodes += result.nodes
        return result

    def solve_by_any(self, program: Program) -> FloatArray | None:
        """Solve a program with the setup's solver or, where it is too large for that, with another;
        return the solution.

        A tie-break may have more columns than the fit; whoever asked for a solver that takes the
        fit shall get the fit."""
        return self.solve(program, fitting(program, self.setup.solver)).x

    def take(self, result: Result) -> None:
        """Take the bound and the solution of a program whose optimum is that of the problem."""
        self.bound = max(
            self.bound, min(result.bound, self.loss if result.x is None else result.objective)
        )
        self.status, self.message = result.status, result.message
        if result.x is not None:
            self.offer(result.x[: self.problem.n_unknowns])

    def take_over(self, other: _Search) -> None:
        """Take the bound of another search for the same optimum, and what it took."""
        self.bound, self.status, self.message = other.bound, other.status, other.message
        self.counter += other.counter
        self.nodes += other.nodes

    def fit(self) -> Fit:
        """Return what was found."""
        bound = min(self.bound, self.loss)
        if self.meets(bound) or relative_gap(self.loss, bound) <= FEASIBILITY_TOLERANCE:
            status = Status.OPTIMAL
        elif self.is_within_gap(bound):
            status = Status.OPTIMAL_WITHIN_GAP
        elif self.is_at_target or self.status in (
            Status.FEASIBLE_AT_LIMIT,
            Status.NO_SOLUTION_AT_LIMIT,
        ):
            status = Status.FEASIBLE_AT_LIMIT
        else:
            status = Status.ERROR
        return Fit(
            parameters=self.theta,
            objective=self.loss,
            bound=bound,
            status=status,
            start_objective=self.start_loss,
            scale=self.problem.scale,
            solver_calls=self.counter,
            nodes=self.nodes,
            message=self.message if status is Status.ERROR else "",
        )


def solve_relu(problem: ReluRegression, setup: SolveOptions) -> Fit:
    """Minimize ``sum_r |max(0, a_r) - t_r|`` over the box, or with a ridge the sum of `fit_ridge`.

    The reference form is one solver call from the given start. Every other form takes five steps:
    unknowns that occur in no row stay at their start; if all targets can be met exactly, that ends
    it (`_fit_exactly`); unknowns with equal columns become one, and descents from the start and
    from the all-firing pattern give an incumbent; the program is solved from there, unless the
    incumbent is good enough by a bound that needs no solver; of equal optima the nearest is taken.
    """
    formulation = FORMULATIONS[setup.formulation]
    if formulation.is_reference:
        search = _Search(problem, setup)
        _solve_program(search, problem, formulation, formulation.build(problem))
        return search.fit()
    if setup.ridge:
        return _solve_ridge(problem, setup)
    used = nonzero_columns(problem.coefficients)
    fit = _solve_used(restricted(problem, used), formulation, setup)
    parameters = problem.start.copy()
    parameters[used] = fit.parameters
    objective = problem.loss(parameters)
    return replace(fit, parameters=parameters, objective=objective, bound=min(fit.bound, objective))


def _solve_ridge(problem: ReluRegression, setup: SolveOptions) -> Fit:
    """Fit by ridge regression, unless the targets are met already.

    Status and bound of the fit refer to that program, which is solved to its optimum; the objective
    is the l1 loss there."""
    search = _Search(problem, setup)
    if not search.meets(0.0):
        theta = fit_ridge(problem, setup.ridge, setup.weight_decay)
        if theta is not None:
            search.accept(theta, math.inf)
            search.bound = search.loss
    return search.fit()


def _solve_used(problem: ReluRegression, formulation: Formulation, setup: SolveOptions) -> Fit:
    search = _Search(problem, setup)
    if setup.tie_break == "l2" and not search.meets(0.0) and _fit_exactly(search, problem):
        return search.fit()
    aggregation = Aggregation.of(problem.coefficients)
    aggregated = _search_aggregated(aggregation.apply(problem), formulation, setup)
    search.take_over(aggregated)
    if aggregated.loss < aggregated.start_loss:
        search.offer(aggregation.spread(aggregated.theta, problem))
    _move_nearer(search, problem)
    return search.fit()


def _search_aggregated(
    problem: ReluRegression, formulation: Formulation, setup: SolveOptions
) -> _Search:
    search = _Search(problem, setup)
    if formulation.is_envelope and setup.takes_warm_programs:
        _search_tree(search, problem)
        if search.suffices(search.bound) or search.status is not None:
            return search
        _solve_program(
            search, problem, formulation, formulation.build(replace(problem, start=search.theta))
        )
    else:
        _search_program(search, problem, formulation)
    return search


def _search_tree(search: _Search, problem: ReluRegression) -> None:
    """Descend and search by `Tree`; no status is set where the solver is to take over.

    A node of a large program takes seconds and proves little: with a node limit there are only the
    descents."""
    tree, limit = Tree(problem, search), search.setup.limits.node_limit
    search.bound = tree.constant
    tree.descend(tree.pattern(problem.start))
    if not search.suffices(search.bound):
        tree.descend(np.ones(tree.n_rows, dtype=bool))
    if not search.suffices(search.bound):
        most = MOST_TREE_NODES if limit is None else 0 if tree.is_large else limit * TREE_NODES
        explored = tree.explore(most)
        search.bound, search.nodes = max(search.bound, explored.bound), explored.nodes
        is_at_limit = limit is not None or search.expired
        search.status = Status.FEASIBLE_AT_LIMIT if is_at_limit and not explored.failed else None
    search.counter[warm_lp.SOLVER] += tree.programs


def _search_program(search: _Search, problem: ReluRegression, formulation: Formulation) -> None:
    """Descend and search by the formulation's program, in the setup's solver."""
    program = formulation.build(problem)
    search.bound = program.offset
    if program.is_mip:
        descend(search, problem, formulation, program, problem.preactivation(problem.start) > 0.0)
        if not search.suffices(search.bound):
            descend(search, problem, formulation, program, np.ones(problem.n_rows, dtype=bool))
    if not search.suffices(search.bound):
        if search.theta is not problem.start:
            program = formulation.build(replace(problem, start=search.theta))
        _solve_program(search, problem, formulation, program)


def _fit_exactly(search: _Search, problem: ReluRegression) -> bool:
    """Take the nearest point to the start, in the l2 norm, at which every target is met, if there
    is one.

    With more unknowns than targets there often is, and it takes a projection instead of programs.
    """
    if problem.n_unknowns < np.count_nonzero(problem.targets):
        return False
    low = np.where(problem.targets > 0.0, problem.targets, -np.inf)
    theta = project_onto(problem, low, problem.targets)
    return theta is not None and search.accept(theta, TIE_TOLERANCE * problem.n_rows)


def _solve_program(
    search: _Search, problem: ReluRegression, formulation: Formulation, program: Program
) -> None:
    result = search.solve(program)
    search.take(result)
    if result.x is not None and result.status.is_optimal and not search.suffices(search.bound):
        # The binaries were integer within a tolerance only; with the pattern fixed there is none to
        # exploit.
        firing = problem.preactivation(result.x[: problem.n_unknowns]) > 0.0
        descend(search, problem, formulation, program, firing)


def descend(
    search: _Search,
    problem: ReluRegression,
    formulation: Formulation,
    program: Program,
    firing: BoolArray,
) -> None:
    """Improve the best point by LPs in which the firing pattern is fixed (a convex-concave
    procedure).

    With its binaries fixed to the pattern of a point, a formulation is an LP whose objective is
    nowhere below the loss and equals it at that point: the solution is no worse than the point, and
    gives the next pattern.

    Parameters
    ----------
    firing : (R,) array of bool
        The first pattern.
    """
    rows = formulation.binary_rows(problem)
    loss = math.inf
    for _ in range(MOST_DESCENTS):
        if search.meets(search.bound) or search.is_at_target or search.expired:
            return
        result = search.solve(
            program.with_fixed(program.integrality, firing[rows].astype(np.float64))
        )
        if result.x is None:
            return
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        before, loss = loss, search.offer(theta)
        followed, firing = firing, problem.preactivation(theta) > 0.0
        if loss >= before - TIGHT * max(1.0, before) or np.array_equal(
            followed[rows], firing[rows]
        ):
            return


def _move_nearer(search: _Search, problem: Problem) -> None:
    """Replace the best point by the one that the tie-break prefers, if that is as good."""
    rule = TIE_BREAKS[search.setup.tie_break]
    if rule is None or search.theta is problem.start or search.expired:
        return
    theta = rule(problem, search.theta, search.solve_by_any)
    if theta is not None:
        search.accept(theta, search.loss + TIE_TOLERANCE * problem.n_rows)


def solve_linear(problem: LinearProblem, setup: SolveOptions) -> Fit:
    """Minimize an output layer's loss over the box: one LP; the start is kept where it is as
    good."""
    search = _Search(problem, setup)
    if not search.meets(0.0):
        search.take(search.solve(problem.program()))
        if not problem.is_priced:
            _move_nearer(search, problem)
    return search.fit()


def solve_problem(problem: Problem, setup: SolveOptions) -> Fit:
    """Minimize a loss over the box, by the algorithm for its kind."""
    if isinstance(problem, LinearProblem):
        return solve_linear(problem, setup)
    assert isinstance(problem, ReluRegression)
    return solve_relu(problem, setup)
