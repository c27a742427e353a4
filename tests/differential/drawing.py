"""What the kinds of programs share: what is drawn, and how optima are found by enumeration.

A sum of piecewise linear losses over a box has its minimum in a vertex of its kinks (`vertices`),
and whole numbers can be counted through (`every`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from scipy import sparse

from layermilp.formulations import Rows
from layermilp.program import Program, Result, Status

Array = np.ndarray
Random = np.random.Generator

EXACT = 1e-9
"""By how much a vertex may miss a side or a row, which is rounding."""


@dataclass(frozen=True, eq=False)
class Case:
    """A program with its optimum: ``None`` where only the solvers know it, infinite where there is
    no point."""

    program: Program
    optimum: float | None = None


def numbers(rng: Random, *shape: int) -> Array:
    """Draw numbers of either sign: quarters, of few digits, or any."""
    return [
        lambda: rng.integers(-8, 9, shape) / 4.0,
        lambda: np.round(rng.uniform(-2.0, 2.0, shape), 3),
        lambda: rng.normal(size=shape),
    ][rng.integers(3)]()


def some_zero(rng: Random, values: Array) -> Array:
    """Put zeros among the absolute values."""
    return np.asarray(np.where(rng.random(values.shape) < 0.3, 0.0, np.abs(values)))


def box(rng: Random, size: int) -> tuple[Array, Array]:
    """Draw a box: around zero, or anywhere; some sides may have no length."""
    if rng.random() < 0.5:
        reach = rng.choice([0.1, 1.0, 5.0])
        return np.full(size, -reach), np.full(size, reach)
    ends = np.sort(numbers(rng, 2, size), axis=0)
    return ends[0], ends[1]


def within(rng: Random, lower: Array, upper: Array) -> Array:
    """Draw a point of a box, often at its sides."""
    share = rng.uniform(-0.3, 1.3, lower.size)
    return np.asarray(np.clip(lower + share * (upper - lower), lower, upper))


def rows(rng: Random, m: int, p: int) -> tuple[sparse.csr_array, Array, Array, Array, Array]:
    """Draw linear preactivations over a box, and a start: the fields of `Rows`."""
    lower, upper = box(rng, p)
    h = np.column_stack([numbers(rng, m, p - 1), np.ones(m)])
    constants = numbers(rng, m) if rng.random() < 0.3 else np.zeros(m)
    return sparse.csr_array(h), constants, lower, upper, within(rng, lower, upper)


def vertices(normals: Array, values: Array, lower: Array, upper: Array) -> Array:
    """Return the points of a box in which as many hyperplanes meet as there are unknowns, the sides
    of the box among them."""
    p = lower.size
    planes = np.vstack(
        [
            np.column_stack([normals, values]),
            np.column_stack([np.eye(p), lower]),
            np.column_stack([np.eye(p), upper]),
        ]
    )
    size = np.linalg.norm(planes[:, :-1], axis=1)
    planes = np.unique(planes[size > EXACT] / size[size > EXACT, None], axis=0)
    some = planes[np.array(list(itertools.combinations(range(len(planes)), p)))]
    some = some[np.abs(np.linalg.det(some[..., :-1])) > 1e-7]
    points = np.linalg.solve(some[..., :-1], some[..., -1:])[..., 0]
    inside = np.all((points >= lower - EXACT) & (points <= upper + EXACT), axis=1)
    return np.asarray(np.clip(points[inside], lower, upper))


def kinks(problem: Rows, *values: Array) -> Array:
    """Return the vertices where preactivations have given values; rows with infinite ones have
    none."""
    at = np.concatenate([value - problem.constants for value in values])
    finite = np.isfinite(at)
    normals = np.tile(problem.coefficients.toarray(), (len(values), 1))[finite]
    return vertices(normals, at[finite], problem.lower, problem.upper)


def preactivations(problem: Rows, points: Array) -> Array:
    """Return ``H theta + g`` of many points, a row for each."""
    return np.asarray(points @ problem.coefficients.toarray().T + problem.constants)


def every(lower: Array, upper: Array) -> Array:
    """Return all whole points of a box."""
    ends = zip(lower.astype(int), upper.astype(int), strict=True)
    return np.array(list(itertools.product(*(range(a, b + 1) for a, b in ends))), dtype=float)


def captured(module: ModuleType, call: Callable[[], object]) -> Program:
    """Return the program that a function of a module asks to be solved."""
    found: list[Program] = []

    def solve(program: Program, *rest: object) -> Result:
        found.append(program)
        return Result(Status.ERROR)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "solve", solve)
        call()
    return found[0]
