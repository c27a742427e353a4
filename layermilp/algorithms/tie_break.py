"""Which of several optima: rules by name. To add one: write the function and put it into
`TIE_BREAKS`.

With more weights than samples the optimum of a weight program is rarely unique. A solver returns a
vertex that may lie far from the present weights, which forgets what these had learned; so the rules
look for the nearest point that is as good: ``low_r <= a_r <= high_r``, the piece of each row's loss
on which the optimum lies (`Regression.level`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from layermilp.formulations.problem import Regression
from layermilp.program import FloatArray, Program
from layermilp.solvers.quadratic import project

Solve = Callable[[Program], FloatArray | None]
"""Returns the solution of a program, or None where there is none."""

Rule = Callable[[Regression, FloatArray, Solve], FloatArray | None]
"""From a problem, its best point, and a solver: the preferred point, or None where none was
found."""


def l1(problem: Regression, theta: FloatArray, solve: Solve) -> FloatArray | None:
    """The nearest point to the start in the l1 norm at which no row loses more: an LP."""
    x, size = solve(nearest(problem, theta)), problem.n_unknowns
    return None if x is None else np.asarray(problem.start + x[:size] - x[size:])


def nearest(problem: Regression, theta: FloatArray) -> Program:
    """LP of the rule `l1`: minimize ``sum_i |theta'_i - start_i|`` over the box with ``low_r <= a_r
    <= high_r``.

    The columns are ``theta' = start + plus - minus``, as `plus` and then `minus`."""
    low, high = problem.level(theta)
    at_start = problem.preactivation(problem.start)
    h, size = problem.coefficients, problem.n_unknowns
    return Program(
        costs=np.ones(2 * size),
        matrix=sparse.hstack([h, -h], format="csr"),
        row_lower=low - at_start,
        row_upper=high - at_start,
        col_lower=np.zeros(2 * size),
        col_upper=np.concatenate([problem.upper - problem.start, problem.start - problem.lower]),
        name="nearest",
        column_groups=(("plus", size), ("minus", size)),
    )


def l2(problem: Regression, theta: FloatArray, solve: Solve) -> FloatArray | None:  # noqa: ARG001
    """The nearest point to the start in the l2 norm at which no row loses more: a projection.

    Where the box does not bind, the change lies in the row space of the batch: a combination of its
    samples."""
    return project_onto(problem, *problem.level(theta))


def project_onto(problem: Regression, low: FloatArray, high: FloatArray) -> FloatArray | None:
    """Return the nearest point of the box to the start in the l2 norm with ``low <= a <= high``, or
    None."""
    h, g, box = problem.coefficients.toarray(), problem.constants, (problem.lower, problem.upper)
    return project(problem.start, h, low - g, high - g, *box)


TIE_BREAKS: dict[str, Rule | None] = {"l2": l2, "l1": l1, "none": None}
"""Rules by name; with ``none`` the optimum is the one that the solver returns."""
