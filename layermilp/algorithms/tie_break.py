"""Which of several optima: rules by name. To add one: write the function and put it into
`TIE_BREAKS`.

With more weights than samples the optimum of a weight program is rarely unique. A solver returns a
vertex that may lie far from the present weights, which forgets what these had learned; so the rules
look for the nearest point that is as good."""

from __future__ import annotations

from collections.abc import Callable

from layermilp.formulations.nearest import nearest, nearest_point
from layermilp.formulations.regression import LinearRegression, ReluRegression
from layermilp.program import FloatArray, Program
from layermilp.solvers.quadratic import project

Solve = Callable[[Program], FloatArray | None]
"""Returns the solution of a program, or None where there is none."""

Rule = Callable[[ReluRegression | LinearRegression, FloatArray, Solve], FloatArray | None]
"""From a problem, its best point, and a solver: the preferred point, or None where none was
found."""


def l1(
    problem: ReluRegression | LinearRegression, theta: FloatArray, solve: Solve
) -> FloatArray | None:
    """The nearest point to the start in the l1 norm at which no row loses more: an LP, see
    `nearest`."""
    x = solve(nearest(problem, theta))
    return None if x is None else nearest_point(problem, x)


def l2(
    problem: ReluRegression | LinearRegression, theta: FloatArray, solve: Solve
) -> FloatArray | None:
    """The nearest point to the start in the l2 norm at which no row loses more: a projection.

    Where the box does not bind, the change lies in the row space of the batch: a combination of its
    samples."""
    return project_onto(problem, *problem.level(theta))


def project_onto(
    problem: ReluRegression | LinearRegression, low: FloatArray, high: FloatArray
) -> FloatArray | None:
    """Return the nearest point of the box to the start in the l2 norm with ``low <= a <= high``, or
    None."""
    return project(
        problem.start,
        problem.coefficients.toarray(),
        low - problem.constants,
        high - problem.constants,
        problem.lower,
        problem.upper,
    )


TIE_BREAKS: dict[str, Rule | None] = {"l2": l2, "l1": l1, "none": None}
"""Rules by name; with ``none`` the optimum is the one that the solver returns."""
