"""Input proposals through all later layers: one mixed-integer program per sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layermilp.algorithms.batched_branch_and_bound import Proposals
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit, Search
from layermilp.algorithms.statistics import Statistics
from layermilp.algorithms.tolerances import ROUNDING
from layermilp.formulations.later_layers import LaterLayers
from layermilp.solvers import fitting


def propose_through(problems: Sequence[LaterLayers], options: SolveOptions) -> Proposals:
    """Propose inputs of a layer for every sample, see `LaterLayers`; a sample keeps its present
    inputs where they are as good."""
    fits = [minimize_through(problem, options) for problem in problems]
    inputs = [
        fit.parameters
        if fit.objective < fit.start_objective - ROUNDING * problem.n_rows
        else problem.start
        for fit, problem in zip(fits, problems, strict=True)
    ]
    message = next(filter(None, (fit.message for fit in fits)), "")
    return Proposals(np.array(inputs), Statistics.of(fits), message)


def minimize_through(problem: LaterLayers, options: SolveOptions) -> Fit:
    """Minimize the loss of the network's outputs over the inputs of a layer, by the named solver.

    Of several optima it is the one that the solver returns; the objective is that of the network
    itself, recomputed in numpy."""
    search = Search(problem, options)
    if search.is_optimal():
        return search.fit()
    program = problem.program()
    search.kind = "milp" if program.is_mip else "lp"
    search.raise_bound(program.least)
    if search.is_done():
        return search.fit()
    solver = fitting(program, options.solver)
    result = search.solve(program, solver)
    search.take(result)
    if result.x is not None and result.status.is_optimal and not search.is_done():
        # The binaries were integer within a tolerance only; with the pattern fixed there is none to
        # exploit.
        pattern = problem.pattern(result.x[: problem.n_unknowns])
        fixed = search.solve(program.with_fixed(program.integrality, pattern), solver)
        if fixed.x is not None:
            search.offer(fixed.x[: problem.n_unknowns])
    return search.fit()
