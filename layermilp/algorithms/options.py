"""How the programs of a fit are formulated and solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from layermilp.program import Limits
from layermilp.solvers import Option, warm_lp


@dataclass(frozen=True)
class SolveOptions:
    """How programs are formulated and solved.

    Parameters
    ----------
    formulation : {"reduced", "paper"}
        Name of the weight program.
    solver : {"auto", "cplex", "highs", "cbc", "gurobi"}
        Name of the solver.
    limits : Limits
        When a search, and a solver in it, may stop.
    options : mapping
        The solver's own options.
    tie_break : {"l2", "l1", "none"}
        Which optimum: the one nearest to the start in a norm, see `layermilp.algorithms.tie_break`,
        or the one the solver happens to return. The reference form is never changed.
    target_gap : float
        At least 0. A program also counts as solved when ``objective - bound`` is at most this share
        of its targets' sum, which is the loss of a silent neuron. Unlike a gap relative to the
        objective it does not ask for proofs of ever less as the loss falls.
    ridge, proximity, weight_decay : float
        With a ridge above 0 hidden layers are fitted by ridge regression instead, see
        `layermilp.algorithms.ridge`; with a proximity above 0 near their present weights, see
        `layermilp.formulations.proximal`; the reference form is not.
    """

    formulation: str = "reduced"
    solver: str = "auto"
    limits: Limits = field(default_factory=Limits)
    options: Mapping[str, Option] = field(default_factory=dict)
    tie_break: str = "l2"
    target_gap: float = 0.0
    ridge: float = 0.0
    proximity: float = 0.0
    weight_decay: float = 0.0

    @property
    def searches(self) -> bool:
        """Whether the library's own branch and bound, see bench/formulations.py, takes the place of
        a solver: where none is named."""
        return self.solver == "auto" and warm_lp.is_available()

    @property
    def takes_warm_programs(self) -> bool:
        """Whether `WarmLp` may solve the linear programs of a search: HiGHS would be taken, and has
        no options of its own."""
        return (
            self.solver in ("auto", warm_lp.SOLVER) and not self.options and warm_lp.is_available()
        )

    def seeded(self, *key: int) -> SolveOptions:
        """Return the options with a solver seed that is derived from a key."""
        seed = int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
        return replace(self, limits=replace(self.limits, seed=seed))
