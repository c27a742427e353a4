"""Programs that the library does not make, but that a user may."""

from __future__ import annotations

import numpy as np

from layermilp.program import Program
from tests.differential.drawing import EXACT, Case, Random, every, numbers, within


def whole_numbers(rng: Random) -> Case:
    """Integers in few rows; there may be no solution."""
    n, m = int(rng.integers(1, 5)), int(rng.integers(0, 4))
    reach = rng.integers(0, 3, n).astype(float)
    matrix = rng.integers(-3, 4, (m, n)).astype(float)
    lower, width = rng.integers(-6, 4, m).astype(float), rng.choice([0.0, 1.0, 3.0, np.inf], m)
    costs, offset = numbers(rng, n), float(rng.choice([0.0, 10.25]))
    program = Program(
        costs,
        matrix,
        lower,
        lower + width,
        -reach,
        reach,
        np.ones(n, dtype=bool),
        offset,
        start=np.rint(within(rng, -reach, reach)),
    )
    points = every(-reach, reach)
    sums = points @ matrix.T
    holds = np.all((sums >= lower - EXACT) & (sums <= lower + width + EXACT), axis=1)
    return Case(program, float((points[holds] @ costs).min(initial=np.inf)) + offset)


def mixed(rng: Random) -> Case:
    """Some integers, some not, in rows that may have no solution."""
    n, m = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    matrix = numbers(rng, m, n) * (rng.random((m, n)) < 0.7)
    lower, width = numbers(rng, m), rng.choice([0.0, 0.5, np.inf], m)
    upper = lower + width
    lower = np.where(np.isinf(width) & (rng.random(m) < 0.5), -np.inf, lower)
    upper = np.where(np.isinf(lower), numbers(rng, m), upper)
    reach = rng.uniform(0.5, 4.0, n)
    integers, costs = rng.random(n) < 0.5, numbers(rng, n)
    start = within(rng, -reach, reach)
    return Case(Program(costs, matrix, lower, upper, -reach, reach, integers, start=start))
