"""Problems of very small or very large numbers in units of their own.

Tolerances are absolute, those of solvers and those of `layermilp.algorithms.tolerances`, and right
for numbers near one. With outputs in units of `s` and unknowns in units of `w` a problem has the
same optimum::

    a = H theta + g    becomes    a / s = (w H / s) (theta / w) + g / s

Outputs of output layers are measured in ones already, their targets and margins. One unit serves
all unknowns, so that their distances, which ridge regression, proximity and tie-breaks measure,
stay what they are. Units are powers of two: nothing is rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
from scipy import sparse

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit
from layermilp.algorithms.tolerances import FAR, LEAST_COLUMN, SMALLEST
from layermilp.formulations.problem import Regression
from layermilp.formulations.relu_l1 import ReluRegression

R = TypeVar("R", bound=Regression)


@dataclass(frozen=True)
class Scaling:
    """Units of a problem.

    Parameters
    ----------
    outputs, unknowns, losses : float
        Powers of two that count as one.
    """

    outputs: float
    unknowns: float
    losses: float

    @classmethod
    def of(cls, problem: Regression, *, near_start: bool = False) -> Self:
        """Return units in which outputs and coefficients are near one; one itself as far as losses
        and coefficients are within a factor of `FAR` of it.

        Parameters
        ----------
        problem : Regression
            In its own numbers.
        near_start : bool
            Whether it is fitted near its start, with squares as losses, so that outputs there are
            as much what it is about as the targets."""
        outputs = 1.0
        if isinstance(problem, ReluRegression):
            outputs = _output_unit(problem, near_start)
        unknowns = outputs / _coefficient_unit(problem.coefficients)
        # What the box allows is the most that an unknown means: its distances count too.
        ends = max(-problem.lower.min(initial=0.0), problem.upper.max(initial=0.0))
        if unknowns > 1.0 and ends > 0.0:
            unknowns = min(unknowns, max(1.0, _power(float(ends))))
        return cls(outputs, unknowns, outputs)

    @property
    def is_identity(self) -> bool:
        """Whether the problem stays as it is."""
        return self.outputs == self.unknowns == 1.0

    def problem(self, problem: R) -> R:
        """Return the problem in these units."""
        return problem if self.is_identity else problem.scaled(self.outputs, self.unknowns)

    def options(self, options: SolveOptions) -> SolveOptions:
        """Return the options with limits in units of the losses."""
        limits = options.limits
        gap, target = limits.absolute_gap, limits.objective_target
        limits = replace(
            limits,
            absolute_gap=None if gap is None else gap / self.losses,
            objective_target=None if target is None else target / self.losses,
        )
        return options if self.losses == 1.0 else replace(options, limits=limits)

    def restored(self, fit: Fit) -> Fit:
        """Return a fit of the problem in these units as one of the problem itself."""
        if self.is_identity:
            return fit
        return replace(
            fit,
            parameters=self.unknowns * fit.parameters,
            objective=self.losses * fit.objective,
            bound=self.losses * fit.bound,
            start_objective=self.losses * fit.start_objective,
            scale=self.losses * fit.scale,
            unit=self.losses * fit.unit,
            rounding=self.losses * fit.rounding,
        )


def _output_unit(problem: ReluRegression, near_start: bool) -> float:
    """Return the size of the targets, or of the outputs at the start where these matter: no more
    than the box allows, and no less than a share of that, see `SMALLEST`."""
    far = math.sqrt(FAR) if near_start else FAR
    size = float(problem.targets.max(initial=0.0))
    if near_start or size == 0.0:
        size = max(size, float(np.abs(problem.preactivation(problem.start)).max(initial=0.0)))
    allowed = float(problem.interval[1].max(initial=0.0))
    if allowed == 0.0:
        return _unit(size, far)
    return max(_unit(min(size, allowed), far), _power(SMALLEST * allowed))


def _coefficient_unit(coefficients: sparse.csr_array) -> float:
    """Return the size of the largest coefficient, or a smaller one in which solvers do not take the
    smallest column for zero, see `LEAST_COLUMN`."""
    if not coefficients.nnz:
        return 1.0
    columns = np.abs(coefficients).max(axis=0).toarray().reshape(-1)
    columns = columns[columns > 0.0]
    if not columns.size:
        return 1.0
    return min(_unit(float(columns.max())), _power(float(columns.min()) / LEAST_COLUMN))


def _unit(size: float, far: float = FAR) -> float:
    """Return the power of two nearest to a size; 1 where that is zero or not far from one."""
    return 1.0 if size == 0.0 or 1.0 / far <= size <= far else _power(size)


def _power(size: float) -> float:
    """Return the power of two nearest to a positive number."""
    return math.ldexp(1.0, round(math.log2(size)))
