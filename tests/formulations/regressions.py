"""Small regressions drawn by Hypothesis, and their optimum by brute force over firing patterns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from layermilp.formulations import (
    HingeRegression,
    ReluRegression,
    reference_big_m,
)
from layermilp.formulations.envelope import OPEN, SILENT, Envelope


@st.composite
def hinge_problems(draw: st.DrawFn) -> HingeRegression:
    """Draw a fit of an output neuron, with or without a dead zone, with or without class
    weights."""
    m, d = draw(st.integers(1, 8)), draw(st.integers(0, 2))
    weights = draw(st.sampled_from([1.0, 0.25, 9.0, None]))
    lower, upper = draw_box(draw, d + 1)
    is_target = draw_array(draw, st.integers(0, 1), m) > 0
    drawn = draw_array(draw, st.sampled_from([0.5, 1.0, 3.0]), m) if weights is None else weights
    return HingeRegression(
        coefficients=sparse.csr_array(
            np.column_stack([draw_array(draw, FLOATS, m, d), np.ones(m)])
        ),
        constants=draw_array(draw, GRID, m) if draw(st.booleans()) else np.zeros(m),
        lower=lower,
        upper=upper,
        start=np.clip(draw_array(draw, GRID, d + 1), lower, upper),
        is_target=is_target,
        row_weights=np.where(is_target, drawn, 1.0),
        tolerance=draw(st.sampled_from([0.0, 0.49, 1.0])),
    )


def point_of(problem: ReluRegression | HingeRegression, seed: int) -> np.ndarray:
    """Return a point of the box, often with coordinates at its ends."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.uniform(-0.3, 1.3, problem.n_unknowns), 0.0, 1.0)
    return problem.lower + share * (problem.upper - problem.lower)


def drawn_example(samples: int = 10, inputs: int = 3) -> ReluRegression:
    rng = np.random.default_rng(5)
    x = rng.random((samples, inputs))
    box = np.ones(inputs + 1)
    targets = np.where(rng.random(samples) < 0.4, 0.0, rng.random(samples))
    h = sparse.csr_array(np.column_stack([x, np.ones(samples)]))
    return ReluRegression(
        h, np.zeros(samples), -box, box, 0 * box, targets=targets, big_m=reference_big_m(x, box)
    )


def report_output_optimum(problem: HingeRegression) -> float:
    """Solve (7), (8) and section 2.3 with the paper's variables: delta+, delta- and the slack s of
    every row.

    Class weights are factors of its objective.
    """
    h, g, n, p = (
        problem.coefficients.toarray(),
        problem.constants,
        problem.n_rows,
        problem.n_unknowns,
    )
    t = problem.is_target.astype(float)
    eye = np.eye(n)
    counted = np.diag(t)
    # theta, d+, d-, s:  a - t = d+ - d-,  s <= d  with  d = d+ (+ d- where the target is one)
    equal = np.hstack([h, -eye, eye, np.zeros((n, n))])
    slack = np.hstack([np.zeros((n, p)), -eye, -counted, eye])
    factors = problem.row_weights
    costs = np.concatenate([np.zeros(p), factors, factors * t, -factors])
    box = list(zip(problem.lower, problem.upper, strict=True))
    ends = [*box, *[(0.0, None)] * (2 * n), *[(0.0, problem.tolerance)] * n]
    answer = linprog(costs, slack, np.zeros(n), equal, t - g, bounds=ends, method="highs")
    assert answer.status == 0
    return float(answer.fun)


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
    """Return the optimum as the smallest over the LPs of all firing patterns (the paper's 2^m
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
