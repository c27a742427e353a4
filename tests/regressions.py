"""Small regressions drawn by Hypothesis, and their optimum by brute force over firing patterns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from layermilp.formulations import ReluRegression, reference_big_m
from layermilp.formulations.envelope import OPEN, SILENT, Envelope

GRID = st.integers(-8, 8).map(lambda k: k / 4)
NON_NEGATIVE = st.one_of(st.just(0.0), st.integers(0, 12).map(lambda k: k / 4))
FLOATS = st.floats(-2.0, 2.0).map(lambda value: round(value, 3))


def draw_array(draw: Callable[..., Any], of: st.SearchStrategy[float], *shape: int) -> np.ndarray:
    """Draw an array of a shape."""
    size = int(np.prod(shape))
    return np.array(draw(st.lists(of, min_size=size, max_size=size)), dtype=float).reshape(shape)


def draw_box(draw: st.DrawFn, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a box: around zero, beside it, or with ends that meet."""
    ends = np.sort(draw_array(draw, GRID, 2, size), axis=0)
    if draw(st.booleans()):
        return np.full(size, -1.0), np.full(size, 1.0)
    return ends[0], ends[1]


@st.composite
def relu_problems(draw: st.DrawFn) -> ReluRegression:
    """Draw a fit of a neuron: inputs of either sign, targets with zeros, rows that the box decides
    among them."""
    m, d = draw(st.integers(1, 6)), draw(st.integers(0, 2))
    x = draw_array(draw, draw(st.sampled_from([GRID, FLOATS, NON_NEGATIVE])), m, d)
    constants = draw_array(draw, GRID, m) if draw(st.booleans()) else np.zeros(m)
    lower, upper = draw_box(draw, d + 1)
    big_m = reference_big_m(x, np.concatenate([lower, upper])) + np.abs(constants).max()
    return ReluRegression(
        coefficients=sparse.csr_array(np.column_stack([x, np.ones(m)])),
        constants=constants,
        lower=lower,
        upper=upper,
        start=np.clip(draw_array(draw, GRID, d + 1), lower, upper),
        targets=draw_array(draw, NON_NEGATIVE, m),
        big_m=big_m,
    )


def _pattern_optimum(problem: ReluRegression, firing: np.ndarray) -> float:
    """Minimize the loss where the given rows have a >= 0 and the others a <= 0; infinite if there
    is no such point."""
    h, g, t = problem.coefficients.toarray(), problem.constants, problem.targets
    n, p = int(firing.sum()), problem.n_unknowns
    eye = np.eye(n)
    silent = ~firing
    left = np.block(
        [
            [h[firing], -eye],
            [-h[firing], -eye],
            [-h[firing], np.zeros((n, n))],
            [h[silent], np.zeros((int(silent.sum()), n))],
        ]
    )
    right = np.concatenate([t[firing] - g[firing], g[firing] - t[firing], g[firing], -g[silent]])
    ends = [*zip(problem.lower, problem.upper, strict=True), *[(0.0, None)] * n]
    answer = linprog(np.repeat([0.0, 1.0], [p, n]), left, right, bounds=ends, method="highs")
    return float(answer.fun + t[silent].sum()) if answer.status == 0 else np.inf


def brute_force(problem: ReluRegression) -> float:
    """Return the optimum as the smallest over the LPs of all firing patterns (the report's 2^m
    LPs)."""
    patterns = product([False, True], repeat=problem.n_rows)
    return min(_pattern_optimum(problem, np.array(pattern)) for pattern in patterns)


def relaxed_losses(problem: ReluRegression, theta: np.ndarray) -> np.ndarray:
    """Loss of every row in the relaxation of the reduced form: its envelope, where no row is
    decided but by the box."""
    low, high = problem.interval
    decided = np.where((problem.targets > 0.0) & (high <= 0.0), SILENT, OPEN)
    return Envelope.of(problem.targets, low, decided).at(problem.preactivation(theta))


def is_close(found: float, expected: float) -> bool:
    """Whether an objective is the expected one, to 1e-6."""
    return abs(found - expected) <= 1e-6 * max(1.0, abs(expected))
