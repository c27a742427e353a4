"""CPLEX through its low-level Python interface, by sparse rows."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from layermilp.errors import OptionError, ProgramTooLarge
from layermilp.program import FloatArray, Limits, Program, Status
from layermilp.solvers.base import Answer, Option, Solver
from layermilp.solvers.interrupts import postponed

INFINITY = 1e20
"""What CPLEX takes for infinite."""

COMMUNITY_SIZE = 1000
"""Columns, and rows, that the community edition takes."""

_TOO_LARGE = 1016
_ABORTED_WITH_POINT = 113
_ABORTED = (13, _ABORTED_WITH_POINT, 114)
_TARGET_REACHED = 104

_STATUS = {
    1: Status.OPTIMAL,
    2: Status.UNBOUNDED,
    3: Status.INFEASIBLE,
    4: Status.INFEASIBLE_OR_UNBOUNDED,
    5: Status.OPTIMAL,  # optimal, with violations after unscaling: the check in numpy decides
    101: Status.OPTIMAL,
    102: Status.OPTIMAL,
    103: Status.INFEASIBLE,
    115: Status.OPTIMAL,
    118: Status.UNBOUNDED,
    119: Status.INFEASIBLE_OR_UNBOUNDED,
    # Limits of iterations, time, objective, and ticks of an LP.
    **dict.fromkeys((10, 11, 12, 25), Status.FEASIBLE_AT_LIMIT),
    # Limits of solutions, nodes, time, memory, and ticks of a MILP, with and without a solution.
    **dict.fromkeys((104, 105, 106, 107, 108, 111, 112, 128, 131, 132), Status.FEASIBLE_AT_LIMIT),
}


class Cplex(Solver):
    """CPLEX (commercial; the community edition takes 1,000 columns and 1,000 rows)."""

    name: ClassVar[str] = "cplex"
    title: ClassVar[str] = "CPLEX"
    modules: ClassVar[tuple[str, ...]] = ("cplex",)
    limit_options: ClassVar[Mapping[str, str]] = {
        "threads": "threads",
        "randomseed": "seed",
        "simplex.tolerances.feasibility": "tolerance",
        "simplex.tolerances.optimality": "tolerance",
        "mip.tolerances.integrality": "integer_tolerance",
        "mip.tolerances.mipgap": "gap",
        "mip.tolerances.absmipgap": "absolute_gap",
        "timelimit": "time_limit",
        "mip.limits.nodes": "node_limit",
        "mip.limits.lowerobjstop": "objective_target",
    }
    largest_seed: ClassVar[int] = 2_100_000_000
    # A repeated presolve may prove the optimum and leave the bound where it was.
    second_options: ClassVar[Mapping[str, Option]] = {"preprocessing.repeatpresolve": 0}

    def version(self) -> str:
        """Version of CPLEX, with its edition."""
        return f"{_version()} ({'community' if _is_community() else 'full'} edition)"

    def size_limit(self, program: Program) -> str | None:
        """Return the limit of the community edition, if that is installed and exceeded."""
        # The edition is asked for only where it matters: asking imports CPLEX and may take a
        # licence.
        if max(program.n_columns, program.n_rows) <= COMMUNITY_SIZE or not _is_community():
            return None
        return f"at most {COMMUNITY_SIZE:,} columns and {COMMUNITY_SIZE:,} rows (community edition)"

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        import cplex

        # A fresh object for each solve costs half a millisecond; a reused one would be hidden
        # state. An exception while its streams are set leaves it in a state in which it cannot be
        # closed; CPLEX itself ends a solve on Ctrl-C.
        with postponed() as is_interrupted, cplex.Cplex() as problem:
            _silence(problem)
            for setting in self.settings(program, limits, options):
                _set_option(problem, *setting)
            _pass_model(problem, program)
            if is_interrupted():
                raise KeyboardInterrupt
            return _run(problem, program, limits)


def _version() -> str:
    import cplex

    try:
        return importlib.metadata.version("cplex")
    except importlib.metadata.PackageNotFoundError:
        # A full installation may be on the path without package metadata.
        with cplex.Cplex() as problem:
            return str(problem.get_version())


@functools.cache
def _is_community() -> bool:
    """Whether the community edition is installed. Asked once per process."""
    return Cplex().refuses_size(COMMUNITY_SIZE + 1)


def _silence(problem: Any) -> None:
    for stream in ("log", "results", "warning", "error"):
        getattr(problem, f"set_{stream}_stream")(None)


def _set_option(problem: Any, name: str, value: Option, words: str) -> None:
    """Set a parameter by its dotted path; `words` name it in the message of a refusal."""
    from cplex.exceptions import CplexError

    parameter = problem.parameters
    for part in name.split("."):
        # The interface keeps its own links to other objects under names with an underscore.
        parameter = None if part.startswith("_") else getattr(parameter, part, None)
    if not hasattr(parameter, "set"):
        raise OptionError(
            f"CPLEX does not know the option {name!r}; write a path such as 'mip.tolerances.mipgap'"
        )
    try:
        parameter.set(value)
        kept = parameter.get()
    except (CplexError, TypeError, ValueError, OverflowError) as error:
        raise OptionError(
            f"CPLEX refuses {words}: {error.args[0] if error.args else error}"
        ) from error
    if kept != value:
        raise OptionError(f"CPLEX refuses {words}: it would take {kept!r}")


def _pass_model(problem: Any, program: Program) -> None:
    types = {"types": np.where(program.integrality, "I", "C").tolist()} if program.is_mip else {}
    problem.variables.add(
        obj=program.costs.tolist(),
        lb=np.maximum(program.col_lower, -INFINITY).tolist(),
        ub=np.minimum(program.col_upper, INFINITY).tolist(),
        **types,
    )
    problem.objective.set_offset(program.offset)
    kinds, upper = program.row_kinds(), program.row_upper
    # A row with two bounds is rhs <= a.x <= rhs + width.
    rhs = np.where((kinds == "G") | (kinds == "R"), program.row_lower, upper)
    with np.errstate(invalid="ignore"):
        widths = np.where(kinds == "R", upper - rhs, 0.0)
    bound = kinds != "N"
    problem.linear_constraints.add(
        lin_expr=list(itertools.compress(program.rows(), bound)),
        senses="".join(kinds[bound].tolist()),
        rhs=rhs[bound].tolist(),
        range_values=widths[bound].tolist(),
    )
    if program.is_mip and program.start is not None:
        point = np.where(program.integrality, np.round(program.start), program.start)
        # With its integers fixed CPLEX solves for the rest, so that a start which is slightly
        # infeasible is not lost.
        effort = problem.MIP_starts.effort_level.solve_fixed
        problem.MIP_starts.add([list(range(program.n_columns)), point.tolist()], effort, "start")


def _run(problem: Any, program: Program, limits: Limits) -> Answer:
    from cplex.exceptions import CplexSolverError

    try:
        problem.solve()
    except CplexSolverError as error:
        if error.args[2:3] == (_TOO_LARGE,):  # words, an environment, and a number
            raise ProgramTooLarge(
                f"{program.name} is larger than the installed edition of CPLEX takes"
            ) from error
        return Answer(Status.ERROR, message=str(error.args[0]))
    solution = problem.solution
    code = solution.get_status()
    target = limits.objective_target
    if code == _ABORTED_WITH_POINT and target is not None:
        # CPLEX reports the objective target as it reports Ctrl-C.
        code = _TARGET_REACHED if solution.get_objective_value() <= target else code
    if code in _ABORTED:
        # While it solves, CPLEX catches Ctrl-C in every thread and only ends the solve; nothing
        # else here aborts one.
        raise KeyboardInterrupt
    status = _STATUS.get(code, Status.ERROR)
    return Answer(
        status=status,
        x=_point(problem) if status in (Status.OPTIMAL, Status.FEASIBLE_AT_LIMIT) else None,
        bound=_bound(problem),
        nodes=int(solution.progress.get_num_nodes_processed()),
        message=str(solution.get_status_string()),
    )


def _point(problem: Any) -> FloatArray | None:
    solution = problem.solution
    # At a limit an LP may hold a point that is not primal feasible.
    if solution.get_solution_type() == solution.type.none or not solution.is_primal_feasible():
        return None
    return np.array(solution.get_values(), dtype=np.float64)


def _bound(problem: Any) -> float:
    from cplex.exceptions import CplexSolverError

    try:
        return float(problem.solution.MIP.get_best_objective())
    except CplexSolverError:
        return -math.inf
