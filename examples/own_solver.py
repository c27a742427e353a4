"""A solver of one's own: a minimal adapter of `scipy.optimize.milp`, without limits and options.

A whole one is in docs/how-to/add-a-solver.md.

Prints: the same optimum: True
"""

from typing import ClassVar

import numpy as np
import scipy
from scipy.optimize import LinearConstraint, milp

import layermilp
from layermilp.program import Limits, Program, Status
from layermilp.solvers import SOLVERS
from layermilp.solvers.base import Answer, Option, Solver


class ScipyMilp(Solver):
    """HiGHS through SciPy, without options."""

    name: ClassVar[str] = "scipy"
    title: ClassVar[str] = "SciPy's milp"
    modules: ClassVar[tuple[str, ...]] = ("scipy",)

    def version(self) -> str:
        """Version of SciPy."""
        return str(scipy.__version__)

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        found = milp(
            program.costs,
            integrality=program.integrality.astype(int),
            bounds=(program.col_lower, program.col_upper),
            constraints=LinearConstraint(program.matrix, program.row_lower, program.row_upper),
        )
        status = {0: Status.OPTIMAL, 2: Status.INFEASIBLE, 3: Status.UNBOUNDED}
        bound = -np.inf if found.mip_dual_bound is None else found.mip_dual_bound + program.offset
        return Answer(status=status.get(found.status, Status.ERROR), x=found.x, bound=bound)


SOLVERS[ScipyMilp.name] = ScipyMilp()  # in the repository: one line in solvers/__init__.py

rng = np.random.default_rng(0)
x, t = rng.random((15, 3)), rng.random(15)
fits = [layermilp.fit_relu_neuron(x, t, -1, 1, solver=name) for name in ("scipy", "highs")]
print([f"{fit.objective:.6f}" for fit in fits])
print(f"the same optimum: {abs(fits[0].objective - fits[1].objective) < 1e-6}")
