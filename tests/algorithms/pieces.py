"""Small sums of convex pieces drawn by Hypothesis, and their optimum by one LP of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from layermilp.formulations import HingeRegression
from layermilp.formulations.margin import MarginPieces
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.networks.layers import Dense
from layermilp.networks.parameters import ParameterMap
from layermilp.program import FloatArray, Status
from layermilp.solvers import solve

TIED = ParameterMap(
    np.array([[0, 1, -1, 4], [1, 0, 2, 4], [-1, 2, 3, -1]]),
    np.array([[0.0, 0.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0], [-0.5, 0.0, 0.0, 0.1]]),
)


def optimum(problem: PiecewiseLinear, solver: str = "highs") -> float:
    """The optimum by one LP of all rows and pieces."""
    if isinstance(problem, HingeRegression):
        program = replace(problem, coefficients=csr_array(problem.coefficients)).program()
    else:
        assert isinstance(problem, MarginPieces)
        costs = np.concatenate([np.zeros(problem.n_unknowns), problem.row_weights])
        program = replace(problem.rows().program(), costs=costs)
    result = solve(program, solver)
    assert result.status is Status.OPTIMAL
    return result.objective


@st.composite
def boxes(draw: st.DrawFn, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw lower and upper ends, which may meet, and a start."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = np.sort(rng.integers(-4, 5, (2, size)) / 2.0, axis=0)
    if draw(st.booleans()):
        ends = np.array([np.full(size, -10.0), np.full(size, 10.0)])
    return ends[0], ends[1], ends[0] + rng.random(size) * (ends[1] - ends[0])


@st.composite
def tables(draw: st.DrawFn, n_columns: int) -> tuple[FloatArray, np.random.Generator]:
    """Draw inputs: real or on a grid, with duplicated rows and zero columns; the generator goes on
    for the rest."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(1, 40))
    x = rng.normal(size=(n_rows, n_columns))
    if draw(st.booleans()):
        x = np.round(x)
    if draw(st.booleans()):
        x = x[rng.integers(0, n_rows, n_rows)]
    if draw(st.booleans()):
        x[:, 0] = 0.0
    return x, rng


@st.composite
def hinges(draw: st.DrawFn) -> HingeRegression:
    """Draw an output neuron; all rows may be of one class."""
    size = draw(st.integers(1, 4))
    x, rng = draw(tables(size))
    lower, upper, start = draw(boxes(size))
    is_target = rng.random(len(x)) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    weights = rng.uniform(0.5, 9.0, len(x)) if draw(st.booleans()) else np.ones(len(x))
    offsets = rng.integers(-2, 3, len(x)) / 2.0
    return HingeRegression(
        x,
        offsets,
        lower,
        upper,
        start,
        is_target,
        weights,
        draw(st.sampled_from([0.0, 0.25, 0.49])),
    )


@st.composite
def margins(draw: st.DrawFn) -> MarginPieces:
    """Draw an output layer, dense or tied; all samples may be of one class."""
    parameters = draw(st.sampled_from([TIED, Dense(2, 3).parameters, Dense(1, 2).parameters]))
    x, rng = draw(tables(parameters.n_inputs))
    lower, upper, start = draw(boxes(parameters.n_parameters))
    labels = rng.integers(0, draw(st.integers(1, parameters.n_outputs)), len(x))
    weights = rng.uniform(0.5, 9.0, len(x)) if draw(st.booleans()) else np.ones(len(x))
    return MarginPieces(parameters, x, labels, lower, upper, start, weights)
