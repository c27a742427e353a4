"""Solving one regression: descent to a good incumbent, the program where that is not enough, the check in numpy.

Nothing here knows of layers or batches; every function is pure and runs in a worker process.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from layermilp.formulations.neuron import FORMULATIONS, Formulation
from layermilp.formulations.nearest import nearest, nearest_point
from layermilp.formulations.output import output
from layermilp.formulations.regression import HingeRegression, ReluRegression
from layermilp.program import FEASIBILITY_TOLERANCE, BoolArray, FloatArray, Limits, Program, Result, Status, relative_gap
from layermilp.solvers import Option, solve

MAX_DESCENTS = 50
"""Largest number of LPs in one descent; a descent of more than ten has not been seen."""

TIE_BREAKS = ("nearest", "none")
"""Rules that choose among optima."""

TIGHT = 1e-9
"""Relative difference below which two losses count as equal."""


@dataclass(frozen=True)
class Setup:
    """How programs are formulated and solved.

    Parameters
    ----------
    formulation : {"reduced", "paper"}
        Name of the weight program.
    solver : str
        ``auto``, ``cplex``, ``highs`` or ``cbc``.
    limits : Limits
        When a solver may stop.
    options : mapping
        The solver's own options.
    tie_break : {"nearest", "none"}
        Which optimum: the one nearest to the start in the l1 norm (see `nearest`), or the one the solver happens to return.
        The reference form is never changed.
    """

    formulation: str = "reduced"
    solver: str = "auto"
    limits: Limits = field(default_factory=Limits)
    options: Mapping[str, Option] = field(default_factory=dict)
    tie_break: str = "nearest"


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
        OPTIMAL if proven to 1e-6 relative, OPTIMAL_WITHIN_GAP if proven to the gap that was asked for, else
        FEASIBLE_AT_LIMIT; ERROR if the solver failed and the best point known is returned.
    start_objective : float
        Loss at the start; `objective` never exceeds it.
    solver_calls : Counter
        Number of solver calls by solver.
    message : str
        The solver's words where it failed.
    """

    parameters: FloatArray
    objective: float
    bound: float
    status: Status
    start_objective: float
    solver_calls: Counter[str]
    message: str = ""

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound; 0 where they agree to 1e-9 absolute."""
        return 0.0 if self.objective - self.bound <= TIGHT else relative_gap(self.objective, self.bound)


class _Incumbent:
    """Best point of a problem so far; later points replace it only if they are better."""

    def __init__(self, problem: ReluRegression | HingeRegression, theta: FloatArray) -> None:
        self.problem = problem
        self.theta = theta
        self.loss = self.start_loss = problem.loss(theta)

    def offer(self, theta: FloatArray) -> float:
        """Take the point, clipped to the box, if its loss is lower; return its loss."""
        theta = np.clip(theta, self.problem.lower, self.problem.upper)
        loss = self.problem.loss(theta)
        if loss < self.loss:
            self.theta, self.loss = theta, loss
        return loss

    def meets(self, bound: float) -> bool:
        """Whether the loss equals a lower bound, within what the feasibility tolerance of a solver leaves open."""
        return self.loss <= bound + TIGHT * max(self.problem.n_rows, abs(bound))


class _Calls:
    """Solver calls of one problem: counted, and within one time limit."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.counter: Counter[str] = Counter()
        self.ends = math.inf if setup.limits.time_limit is None else time.perf_counter() + setup.limits.time_limit

    @property
    def expired(self) -> bool:
        """Whether the time limit is over."""
        return time.perf_counter() >= self.ends

    def solve(self, program: Program) -> Result:
        """Solve a program within what is left of the time limit."""
        limits = self.setup.limits
        if limits.time_limit is not None:
            limits = replace(limits, time_limit=max(self.ends - time.perf_counter(), 0.01))
        result = solve(program, self.setup.solver, limits, self.setup.options)
        self.counter[result.solver] += 1
        return result


def solve_relu(problem: ReluRegression, setup: Setup) -> Fit:
    """Minimize ``sum_r |max(0, a_r) - t_r|`` over the box.

    The reference form is one solver call from the given start. Every other form takes three steps: unknowns that occur in
    no row stay at their start; descents from the start and from the all-firing pattern give an incumbent; the program is
    solved from there, unless the incumbent meets a bound that needs no solver.
    """
    calls = _Calls(setup)
    formulation = FORMULATIONS[setup.formulation]
    if formulation.is_reference:
        incumbent = _Incumbent(problem, problem.start)
        return _fit(incumbent, calls, *_solve_program(problem, formulation, incumbent, calls))
    live = problem.live
    fit = _solve_live(problem.restricted(live), formulation, calls)
    parameters = problem.start.copy()
    parameters[live] = fit.parameters
    return replace(fit, parameters=parameters)


def _solve_live(problem: ReluRegression, formulation: Formulation, calls: _Calls) -> Fit:
    incumbent = _Incumbent(problem, problem.start)
    bound, result = _search(problem, formulation, incumbent, calls)
    _move_nearer(incumbent, calls)
    return _fit(incumbent, calls, bound, result)


def _search(
    problem: ReluRegression, formulation: Formulation, incumbent: _Incumbent, calls: _Calls
) -> tuple[float, Result | None]:
    program = formulation.build(problem)
    if program.is_mip:
        everything = np.ones(problem.n_rows, dtype=bool)
        for firing in (problem.preactivation(problem.start) > 0.0, everything):
            descend(problem, formulation, firing, incumbent, calls)
        if incumbent.meets(program.offset):
            return program.offset, None
    return _solve_program(replace(problem, start=incumbent.theta), formulation, incumbent, calls)


def _solve_program(
    problem: ReluRegression, formulation: Formulation, incumbent: _Incumbent, calls: _Calls
) -> tuple[float, Result]:
    result = calls.solve(formulation.build(problem))
    if result.x is not None:
        theta = result.x[: problem.n_unknowns]
        incumbent.offer(theta)
        if result.status.is_optimal and not incumbent.meets(result.bound):
            # The binaries were integer within a tolerance only; with the pattern fixed there is none to exploit.
            descend(problem, formulation, problem.preactivation(theta) > 0.0, incumbent, calls)
    return max(result.bound, 0.0), result


def descend(
    problem: ReluRegression, formulation: Formulation, firing: BoolArray, incumbent: _Incumbent, calls: _Calls
) -> None:
    """Improve an incumbent by LPs in which the firing pattern is fixed (a convex-concave procedure).

    With its binaries fixed to the pattern of a point, a formulation is an LP whose objective is nowhere below the loss and
    equals it at that point: the solution is no worse than the point, and gives the next pattern.

    Parameters
    ----------
    firing : (R,) array of bool
        The first pattern.
    """
    program = formulation.build(problem)
    rows = formulation.binary_rows(problem)
    loss = math.inf
    for _ in range(MAX_DESCENTS):
        if incumbent.meets(program.offset) or calls.expired:
            return
        result = calls.solve(program.with_fixed(program.integrality, firing[rows].astype(np.float64)))
        if result.x is None:
            return
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        before, loss = loss, incumbent.offer(theta)
        followed, firing = firing, problem.preactivation(theta) > 0.0
        if loss >= before - TIGHT * max(1.0, before) or np.array_equal(followed[rows], firing[rows]):
            return


def _move_nearer(incumbent: _Incumbent, calls: _Calls) -> None:
    """Replace the incumbent by the nearest point to the start that is as good, if a solver finds it."""
    problem = incumbent.problem
    if calls.setup.tie_break != "nearest" or incumbent.theta is problem.start or calls.expired:
        return
    result = calls.solve(nearest(problem, incumbent.theta))
    if result.x is None:
        return
    theta = np.clip(nearest_point(problem, result.x), problem.lower, problem.upper)
    loss = problem.loss(theta)
    if loss <= incumbent.loss + TIGHT * problem.n_rows:
        incumbent.theta, incumbent.loss = theta, loss


def solve_hinge(problem: HingeRegression, setup: Setup) -> Fit:
    """Minimize the output layer's loss over the box: one LP; the start is kept where it is as good."""
    calls = _Calls(setup)
    incumbent = _Incumbent(problem, problem.start)
    if incumbent.meets(0.0):
        return _fit(incumbent, calls, 0.0, None)
    result = calls.solve(output(problem))
    if result.x is not None:
        incumbent.offer(result.x[: problem.n_unknowns])
        _move_nearer(incumbent, calls)
    return _fit(incumbent, calls, max(result.bound, 0.0), result)


def _fit(incumbent: _Incumbent, calls: _Calls, bound: float, result: Result | None) -> Fit:
    bound = min(bound, incumbent.loss)
    gap = 0.0 if incumbent.meets(bound) else relative_gap(incumbent.loss, bound)
    asked = calls.setup.limits.gap
    if gap <= FEASIBILITY_TOLERANCE:
        status = Status.OPTIMAL
    elif asked is not None and gap <= asked:
        status = Status.OPTIMAL_WITHIN_GAP
    elif result is not None and result.status in (Status.FEASIBLE_AT_LIMIT, Status.NO_SOLUTION_AT_LIMIT):
        status = Status.FEASIBLE_AT_LIMIT
    else:
        status = Status.ERROR
    return Fit(
        parameters=incumbent.theta,
        objective=incumbent.loss,
        bound=bound,
        status=status,
        start_objective=incumbent.start_loss,
        solver_calls=calls.counter,
        message=result.message if result is not None and status is Status.ERROR else "",
    )
