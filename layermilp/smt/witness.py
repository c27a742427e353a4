"""Cheap witnesses: lower layers drawn at random, and a last layer that is solved exactly for
them."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layermilp.program import FloatArray, IntArray, Limits, Program
from layermilp.smt.problem import Model, Problem, Weights, activations, leads
from layermilp.solvers import solve

LARGEST_PROGRAM = 1_000_000
"""Entries of a last layer's program beyond which it is not tried."""

BITS = 20
"""Bits of random weights."""


def random_layers(inputs: FloatArray, sizes: tuple[int, ...], rng: np.random.Generator) -> Weights:
    """Draw layers of the given sizes, that of the inputs first, whose neurons all bend between two
    of the samples, shape ``(m, d)``."""
    layers: list[FloatArray] = []
    values = inputs
    for n in sizes[1:]:
        spread = values.std(axis=0)
        theta = rng.normal(size=(n, values.shape[1])) / np.where(spread > 0.0, spread, 1.0)
        theta /= np.sqrt(values.shape[1])
        ends = values[rng.integers(len(values), size=(2, n))]
        share = rng.random((n, 1))
        bends = share * ends[0] + (1.0 - share) * ends[1]
        layers.append(np.column_stack([theta, -np.sum(theta * bends, axis=1)]))
        values = activations((layers[-1],), values)
    return tuple(layers)


def shortened(layers: Weights) -> Weights:
    """Round layers drawn at random to so many bits, relative to their largest weight: exact sums
    are fast then."""
    steps = [2.0 ** (np.frexp(np.abs(layer[:, :-1]).max())[1] - BITS) for layer in layers]
    return tuple(np.rint(layer / step) * step for layer, step in zip(layers, steps, strict=True))


def last_layer(problem: Problem, lower: Weights, limits: Limits) -> Model | None:
    """Return a model with the given lower layers, or None if there is none or none was found.

    As many neurons as samples reach any targets by linear equations, those of least norm; fewer
    have a linear program of the largest margin; on a grid rounding may destroy both, and a
    mixed-integer program is tried as well.

    The lower layers are all but the last, for the samples as they are; limits are those of each
    program.
    """
    lower = problem.domain.fitted(lower) if lower else lower
    features = activations(lower, problem.X, problem.domain.dtype).astype(np.float64)
    size = np.abs(features).max(axis=0)
    size = np.append(np.where(size > 0.0, size, 1.0), 1.0)
    scaled = np.column_stack([features, np.ones(len(features))]) / size
    labels, n_outputs = problem.labels, problem.n_outputs
    if len(scaled) <= scaled.shape[1]:
        theta = _interpolation(scaled, labels, n_outputs)
        found = None if theta is None else problem.model((*lower, theta / size))
        if found is not None:
            return found
    if scaled.size * (n_outputs - 1) ** 2 > LARGEST_PROGRAM:
        return None
    theta = widest_margin(scaled, labels, n_outputs, limits)
    if theta is None:
        return None
    found = problem.model((*lower, theta / size))
    if found is None and problem.domain.grid is not None:
        theta = _on_grid(problem, features, limits)
        found = None if theta is None else problem.model((*lower, theta))
    return found


def _interpolation(features: FloatArray, labels: IntArray, n_outputs: int) -> FloatArray | None:
    """Return the weights of least norm whose outputs are one for the label and zero for the
    others."""
    try:
        return np.asarray(
            (features.T @ np.linalg.solve(features @ features.T, np.eye(n_outputs)[labels])).T
        )
    except np.linalg.LinAlgError:
        return None  # equal samples


def widest_margin(
    features: FloatArray, labels: IntArray, n_outputs: int, limits: Limits
) -> FloatArray | None:
    """Weights in [-1, 1], shape ``(n_outputs, n)``, of the largest least lead of the label's output
    for features of shape ``(m, n)``; None if no lead is above zero.

    Those of output 0 are zero, since only differences count.
    """
    rows = _differences(features, labels, n_outputs, 1)
    found = _widest(rows, 1, -1.0, limits, is_whole=False)
    if found is None:
        return None
    theta = np.vstack([np.zeros(features.shape[1]), found.reshape(n_outputs - 1, -1)])
    return theta if leads(features @ theta.T, labels).min() > 0.0 else None


def _on_grid(problem: Problem, features: FloatArray, limits: Limits) -> FloatArray | None:
    """Return a last layer of multiples of the grid, by a mixed-integer program; None if none was
    found."""
    grid, steps = problem.domain.grid, problem.domain.steps
    assert grid is not None
    extended = np.column_stack([features, np.ones(len(features))])
    rows = _differences(extended, problem.labels, problem.n_outputs, 0)
    least = -np.abs(rows).sum(axis=1).max() * steps
    found = _widest(rows, steps, least, limits, is_whole=True)
    return None if found is None else found.reshape(problem.n_outputs, -1) * grid


def _widest(
    rows: FloatArray, most: int, least: float, limits: Limits, is_whole: bool
) -> FloatArray | None:
    """Return the weights in ``[-most, most]`` of the largest least lead in ``[least, 1]``, of which
    each row is one; None if it is not above zero."""
    n = rows.shape[1]
    program = Program(
        costs=-np.eye(n + 1)[-1],
        matrix=sparse.csr_array(np.column_stack([rows, -np.ones(len(rows))])),
        row_lower=np.zeros(len(rows)),
        row_upper=np.full(len(rows), np.inf),
        col_lower=np.append(np.full(n, -float(most)), least),
        col_upper=np.append(np.full(n, float(most)), 1.0),
        integrality=np.append(np.full(n, is_whole), False),
        name="last layer on a grid" if is_whole else "last layer",
    )
    found = solve(program, "highs", limits)
    return None if found.x is None or found.objective >= 0.0 else found.x[:-1]


def _differences(features: FloatArray, labels: IntArray, n_outputs: int, first: int) -> FloatArray:
    """Return the rows of label's output - other output, in terms of the weights of the outputs from
    `first` on."""
    m, n = features.shape
    rows = np.zeros((m, n_outputs, n_outputs, n))
    samples = np.arange(m)
    rows[samples, :, labels] = features[:, None, :]
    for j in range(n_outputs):
        rows[:, j, j] -= features
    others = rows[np.arange(n_outputs) != labels[:, None]]
    return np.asarray(others[:, first:].reshape(m * (n_outputs - 1), (n_outputs - first) * n))
