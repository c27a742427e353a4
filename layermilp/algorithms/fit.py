"""Solving one problem: descent to a good incumbent, the program where that is not enough, the check
in numpy.

Nothing here knows of layers or batches; every function is pure and runs in a worker process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from layermilp.algorithms.branch_and_bound import LpFailed, Tree, descend
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.presolve import Aggregation, nonzero_columns, restricted
from layermilp.algorithms.ridge import Ridge, fit_ridge
from layermilp.algorithms.scaling import Scaling
from layermilp.algorithms.search import Fit, Search, Stop
from layermilp.algorithms.statistics import OWN
from layermilp.algorithms.tie_break import TIE_BREAKS, project_onto
from layermilp.algorithms.tolerances import EMPTY_BOX
from layermilp.formulations.big_m import FORMULATIONS, Formulation, program_of
from layermilp.formulations.problem import OutputRegression, Regression
from layermilp.formulations.proximal import PROXIMAL, ProximalRegression, Proximity
from layermilp.formulations.relu_l1 import FiringRegression, ReluRegression
from layermilp.program import BoolArray, FloatArray, Program
from layermilp.solvers import fitting, quadratic, warm_lp

TREE_NODES = 20
"""Nodes of `Tree` for one node of a solver, whose nodes have cuts and heuristics; see
bench/formulations.py."""

MOST_TREE_NODES = 10_000
"""Nodes of `Tree`, without a node limit, after which the solver takes over."""


def solve_problem(problem: Regression, options: SolveOptions) -> Fit:
    """Minimize a loss over the box, by the algorithm for its kind."""
    if isinstance(problem, OutputRegression):
        return solve_linear(problem, options)
    assert isinstance(problem, ReluRegression)
    return solve_relu(problem, options)


def weight_program(problem: Regression, options: SolveOptions) -> Program:
    """Return the program that a fit stands for, as another solver would get it: near the start in
    few coordinates, see `Proximity`; a mixed-integer one also where a ridge regression takes its
    place. Its numbers are those of the problem, not in units as in `Scaling`."""
    formulation = FORMULATIONS[options.formulation]
    if isinstance(problem, ReluRegression) and options.proximity and not formulation.is_reference:
        near = Proximity.of(problem, options.proximity, options.weight_decay, by_axes=True)
        return PROXIMAL.build(near.problem)
    return program_of(problem, options.formulation)


def solve_linear(problem: OutputRegression, options: SolveOptions) -> Fit:
    """Minimize an output layer's loss over the box: one LP, which another solver gets where the
    edition of the named one is too small; the start is kept where it is as good."""
    scaling = Scaling.of(problem)
    search = Search(scaling.problem(problem), scaling.options(options))
    if not search.is_optimal():
        search.kind, program = "lp", search.problem.program()
        search.take(search.solve(program, fitting(program, options.solver)))
        if not problem.is_priced:
            _move_nearer(search)
    return scaling.restored(search.fit())


def solve_relu(problem: ReluRegression, options: SolveOptions) -> Fit:
    """Minimize ``sum_r |max(0, a_r) - t_r|`` over the box, or with a ridge the sum of `fit_ridge`.

    The reference form is one solver call from the given start. Every other form takes five steps:
    unknowns that occur in no row stay at their start; if all targets can be met exactly, that ends
    it (`_fit_exactly`); unknowns with equal columns become one, and descents from the start and
    from the all-firing pattern give an incumbent; the program is solved from there, unless the
    incumbent is good enough by a bound that needs no solver; of equal optima the nearest is taken.

    Numbers far from one are solved for in units of their own, see `Scaling`.
    """
    scaling = _scaling(problem, options)
    return scaling.restored(_solve_relu(scaling.problem(problem), scaling.options(options)))


def _scaling(problem: ReluRegression, options: SolveOptions) -> Scaling:
    """Return the units in which a problem is solved."""
    if FORMULATIONS[options.formulation].is_reference or not (options.ridge or options.proximity):
        return Scaling.of(problem)
    # The losses are squares of deviations and changes, in units of one of them.
    scaling = Scaling.of(problem, near_start=True)
    size = scaling.unknowns if options.ridge else scaling.outputs
    return replace(scaling, losses=size**2)


def _solve_relu(problem: ReluRegression, options: SolveOptions) -> Fit:
    """Take the steps of `solve_relu` in suitable units."""
    formulation = FORMULATIONS[options.formulation]
    if formulation.is_reference:
        search = Search(problem, options)
        _solve_program(search, formulation)
        return search.fit()
    if options.ridge:
        return _solve_ridge(problem, options)
    if options.proximity:
        return _solve_proximal(problem, options)
    used = nonzero_columns(problem.coefficients)
    fit = _solve_used(restricted(problem, used), formulation, options)
    parameters = problem.start.copy()
    parameters[used] = fit.parameters
    objective = problem.loss(parameters)
    return replace(fit, parameters=parameters, objective=objective, bound=min(fit.bound, objective))


def _solve_ridge(problem: ReluRegression, options: SolveOptions) -> Fit:
    """Fit by ridge regression, unless the targets are met already; objective, bound and status are
    those of its sum, see `layermilp.algorithms.ridge`."""
    met = Search(problem, options)
    if met.is_optimal():
        return met.fit()
    search = Search(Ridge.of(problem, options.ridge, options.weight_decay), options)
    fit_ridge(search)
    return search.fit()


def _solve_proximal(problem: ReluRegression, options: SolveOptions) -> Fit:
    """Fit near the start, see `layermilp.formulations.proximal`; objective, bound and status are
    those of that program.

    Few coordinates come first; where their optimum leaves the box of the weights, the weights
    themselves are the unknowns."""
    for by_axes in (True, False):
        near = Proximity.of(problem, options.proximity, options.weight_decay, by_axes=by_axes)
        search = Search(near.problem, options if by_axes else _taken(near.problem, options))
        if not search.is_optimal():
            _search_by(PROXIMAL, search)
        theta = near.weights(search.theta)
        inside = np.clip(theta, problem.lower, problem.upper)
        if np.abs(theta - inside).max(initial=0.0) <= EMPTY_BOX:
            break
    return replace(search.fit(), parameters=inside)


def _taken(problem: ProximalRegression, options: SolveOptions) -> SolveOptions:
    """Return the options with another solver where the edition of the named one is too small for
    the program in the weights, of which there are many more than coordinates."""
    if options.solver == "auto":
        return options
    solver = fitting(PROXIMAL.build(problem), options.solver)
    return options if solver == options.solver else replace(options, solver=solver, options={})


def _solve_used(problem: ReluRegression, formulation: Formulation, options: SolveOptions) -> Fit:
    """Take the steps of `solve_relu` after the first: every unknown occurs in some row."""
    search = Search(problem, options)
    if options.tie_break == "l2" and not search.is_optimal() and _fit_exactly(search):
        return search.fit()
    aggregation = Aggregation.of(problem.coefficients)
    aggregated = Search(aggregation.apply(problem), options)
    _search_by(formulation, aggregated)
    search.take_over(aggregated)
    if aggregated.loss < aggregated.start_loss:
        search.offer(aggregation.spread(aggregated.theta, problem))
    _move_nearer(search)
    return search.fit()


def _search_by(formulation: Formulation, search: Search[FiringRegression]) -> None:
    """Descend and search, by `Tree` where that may take the place of the formulation's program."""
    if not (formulation.is_envelope and search.options.searches):
        _search_program(search, formulation)
        return
    _search_tree(search)
    if not search.is_done() and search.stop is None:
        _solve_program(search, formulation)


def _search_tree(search: Search[FiringRegression]) -> None:
    """Descend and search by `Tree`; it is not said why the search ends where the solver is to take
    over.

    A node of a large program takes seconds and proves little: with a node limit there are only the
    descents."""
    tree, limit = Tree(search), search.options.limits.node_limit
    patterns = [tree.pattern(search.problem.start), np.ones(tree.n_rows, dtype=bool)]
    if search.options.proximity:  # what is silent at the start would stay so
        patterns.reverse()
    tree.descend(patterns[0])
    if not search.is_done():
        tree.descend(patterns[1])
    if not search.is_done():
        most = MOST_TREE_NODES if limit is None else 0 if tree.is_large else limit * TREE_NODES
        succeeded = tree.explore(most)
        is_at_limit = limit is not None or search.clock.is_over
        search.stop = Stop.LIMIT if is_at_limit and succeeded else None
    search.kind = "milp" if tree.is_mip else "lp"
    search.solver_calls += Counter({OWN: 1, warm_lp.SOLVER: tree.programs})


def _search_program(search: Search[FiringRegression], formulation: Formulation) -> None:
    """Descend and search by the formulation's program, in the options' solver."""
    problem = search.problem
    program = formulation.build(problem)
    search.kind = "milp" if program.is_mip else "lp"
    search.raise_bound(program.least)
    if program.is_mip:
        _descend(search, formulation, program, _fires(problem, problem.start))
        if not search.is_done():
            _descend(search, formulation, program, np.ones(problem.n_rows, dtype=bool))
    if not search.is_done():
        _solve_program(search, formulation)


def _fit_exactly(search: Search[ReluRegression]) -> bool:
    """Take the nearest point to the start, in the l2 norm, at which every target is met, if there
    is one.

    With more unknowns than targets there often is, and it takes a projection instead of programs.
    """
    problem = search.problem
    if problem.n_unknowns < np.count_nonzero(problem.targets):
        return False
    low = np.where(problem.targets > 0.0, problem.targets, -np.inf)
    theta = project_onto(problem, low, problem.targets)
    search.solver_calls[quadratic.SOLVER] += 1
    is_met = theta is not None and search.prefer(theta, 0.0)
    if is_met:
        search.kind = "qp"
    return is_met


def _solve_program(search: Search[FiringRegression], formulation: Formulation) -> None:
    """Solve the formulation's program from the best point."""
    program = formulation.build(replace(search.problem, start=search.theta))
    search.kind = "milp" if program.is_mip else "lp"
    result = search.solve(program)
    search.take(result)
    if result.x is not None and result.status.is_optimal and not search.is_done():
        # The binaries were integer within a tolerance only; with the pattern fixed there is none to
        # exploit.
        problem = search.problem
        firing = _fires(problem, result.x[: problem.n_unknowns])
        _descend(search, formulation, program, firing)


def _fires(problem: FiringRegression, theta: FloatArray) -> BoolArray:
    """Whether each row fires at a point, shape ``(R,)``."""
    rows = problem.firing_rows(np.ones(problem.n_rows, dtype=bool))
    return problem.preactivation(theta) > rows.thresholds


def _descend(
    search: Search[FiringRegression], formulation: Formulation, program: Program, firing: BoolArray
) -> None:
    """Improve the best point by `descend`, from the firing of all rows, shape ``(R,)``: a step
    fixes the binaries of the formulation's program."""
    problem, rows = search.problem, formulation.binary_rows(search.problem)

    def step(firing: BoolArray) -> tuple[FloatArray, BoolArray]:
        result = search.solve(program.with_fixed(program.integrality, firing.astype(np.float64)))
        if result.x is None:
            raise LpFailed
        theta = np.clip(result.x[: problem.n_unknowns], problem.lower, problem.upper)
        return theta, _fires(problem, theta)[rows]

    descend(search, firing[rows], step)


def _move_nearer(search: Search[Regression]) -> None:
    """Replace the best point by the one that the tie-break prefers, if that is as good.

    The program of a tie-break may have more columns than the fit; whoever asked for a solver that
    takes the fit shall get the fit."""
    problem, rule = search.problem, TIE_BREAKS[search.options.tie_break]
    if rule is None or search.theta is problem.start or search.clock.is_over:
        return

    def solve(program: Program) -> FloatArray | None:
        return search.solve(program, fitting(program, search.options.solver)).x

    theta = rule(problem, search.theta, solve)
    if theta is not None:
        search.prefer(theta, search.loss)
