"""Programs of the search for networks that classify all samples."""

from __future__ import annotations

import numpy as np

from layermilp.program import Limits
from layermilp.smt import patterns, witness
from layermilp.smt.problem import Domain, Problem
from tests.differential.drawing import Case, Random, captured, every, numbers


def firing_pattern(rng: Random) -> Case:
    """The last two layers, with the firing that raises a lead fixed."""
    m, n, k = int(rng.integers(2, 5)), int(rng.integers(1, 3)), int(rng.integers(2, 4))
    arguments = (
        numbers(rng, m, 2),
        rng.integers(0, k, m),
        numbers(rng, n, 3),
        numbers(rng, k, n + 1),
    )
    return Case(captured(patterns, lambda: next(patterns.descent(*arguments, Limits()), None)))


def widest_margin(rng: Random) -> Case:
    """The last layer of the largest least lead."""
    m, n, k = int(rng.integers(2, 6)), int(rng.integers(1, 3)), int(rng.integers(2, 4))
    x, labels = numbers(rng, m, n + 1), rng.integers(0, k, m)
    return Case(captured(witness, lambda: witness.widest_margin(x, labels, k, Limits())))


def on_a_grid(rng: Random) -> Case:
    """A last layer whose weights are multiples of a number."""
    m, steps = int(rng.integers(2, 6)), int(rng.integers(1, 3))
    features, labels = numbers(rng, m, 1), rng.integers(0, 2, m)
    problem = Problem(features, labels, (1, 2), Domain(bound=float(steps), grid=1.0))
    program = captured(witness, lambda: witness._on_grid(problem, features, Limits()))
    extended, own = np.column_stack([features, np.ones(m)]), np.where(labels == 0, 1.0, -1.0)
    least = [
        own * (extended @ (theta[:2] - theta[2:]))
        for theta in every(np.full(4, -steps), np.full(4, steps))
    ]
    return Case(program, -max(min(1.0, float(lead.min())) for lead in least))
