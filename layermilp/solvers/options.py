"""The option that says which solver is asked, the same for every method."""

from __future__ import annotations

from dataclasses import dataclass

from layermilp.options import Options, option
from layermilp.solvers import SOLVERS, require


@dataclass(kw_only=True)
class SolverChoice(Options):
    """Which solver is asked."""

    solver: str = option(
        "auto",
        f"auto, {', '.join(SOLVERS)}",
        "Who solves the programs: ``auto`` chooses per program, or the name of a solver, see "
        "`layermilp.solvers`.",
        "NAME",
        check=lambda name, value: require(value),
    )
