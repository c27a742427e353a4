"""The solvers, and the choice among them.

To add one: write an adapter in a file of its own, and put its class into `SOLVERS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata

from layermilp.errors import OptionError, SolverNotAvailable
from layermilp.program import Limits, Program, Result
from layermilp.solvers.base import Answer, Option, Solver
from layermilp.solvers.cbc import Cbc
from layermilp.solvers.cplex import Cplex
from layermilp.solvers.gurobi import Gurobi
from layermilp.solvers.highs import Highs
from layermilp.solvers.settle import settled

SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (Cplex(), Highs(), Cbc(), Gurobi())}
"""Every solver by name, in the order in which `auto` prefers them; Gurobi last, so that a trial
licence changes nothing."""

__all__ = [
    "SOLVERS",
    "Answer",
    "Option",
    "Solver",
    "available",
    "choose",
    "fitting",
    "solve",
    "version_of",
]


def available() -> list[str]:
    """Return the names of the installed solvers, in the order of preference."""
    return [name for name, solver in SOLVERS.items() if solver.is_available()]


def version_of(name: str) -> str:
    """Return title and version of a solver, or of another package of a name that does programs."""
    if name in SOLVERS:
        return f"{SOLVERS[name].title} {SOLVERS[name].version()}"
    return f"{name} {metadata.version(name)}"


def require(name: str) -> None:
    """Raise unless `name` is ``auto`` with some solver installed, or an installed solver.

    Raises
    ------
    OptionError
        If the name is unknown.
    SolverNotAvailable
        If the solver, or for ``auto`` any solver, is not installed.
    """
    if name != "auto" and name not in SOLVERS:
        raise OptionError(f"solver {name!r} is unknown; choose auto, {', '.join(SOLVERS)}")
    installed = available()
    if name not in ("auto", *installed):
        raise SolverNotAvailable(
            f"solver {name!r} is not installed; installed: {', '.join(installed) or 'none'}"
        )
    if not installed:
        raise SolverNotAvailable("no solver is installed; `pip install highspy` brings one")


def choose(program: Program, solver: str = "auto") -> Solver:
    """Return the solver to use: for ``auto`` the first in the order of preference whose edition
    takes the program."""
    require(solver)
    candidates = [SOLVERS[name] for name in (available() if solver == "auto" else [solver])]
    return _first_fitting(program, candidates) or candidates[-1]


def fits(program: Program, solver: str = "auto") -> bool:
    """Whether the edition of the solver of `choose` takes the program."""
    return choose(program, solver).size_limit(program) is None


def fitting(program: Program, solver: str = "auto") -> str:
    """Return the name of the solver of `choose` or, where its edition is too small, of another that
    takes the program.

    For programs that are not what was asked to be solved by that solver, but a means to it.
    """
    chosen = choose(program, solver)
    candidates = [chosen, *(SOLVERS[name] for name in available())]
    return (_first_fitting(program, candidates) or chosen).name


def _first_fitting(program: Program, candidates: Iterable[Solver]) -> Solver | None:
    return next((solver for solver in candidates if solver.size_limit(program) is None), None)


def solve(
    program: Program,
    solver: str = "auto",
    limits: Limits | None = None,
    options: Mapping[str, Option] | None = None,
) -> Result:
    """Solve a program with the named solver, or with the one that ``auto`` chooses.

    As `Solver.solve`, but where the answer contradicts itself or the program's start, the program
    is solved again, without the start, then by the other installed solvers; see `settled`.
    """
    chosen = choose(program, solver)
    limits, options = limits or Limits(), options or {}
    result = chosen.solve(program, limits, options)
    if not result.is_contradiction:
        return result
    others = (SOLVERS[name] for name in available() if SOLVERS[name] is not chosen)
    return settled(program, result, [chosen, *others], limits, options)
