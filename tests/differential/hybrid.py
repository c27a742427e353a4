"""Programs of a last layer of any network, around its present weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from layermilp.algorithms.tolerances import ERROR_ROOM
from layermilp.formulations import Rows
from layermilp.hybrid import formulation as last_layer
from tests.differential.drawing import (
    EXACT,
    Array,
    Case,
    Random,
    kinks,
    numbers,
    preactivations,
    vertices,
    within,
)


def layer(rng: Random, n_outputs: int) -> last_layer.LastLayer:
    """Draw a last layer of few weights."""
    n = 1 if n_outputs > 1 else int(rng.integers(1, 3))
    return last_layer.LastLayer(
        numbers(rng, int(rng.integers(2, 7)), n),
        numbers(rng, n_outputs, n),
        numbers(rng, n_outputs),
        float(rng.choice([0.1, 1.0, 3.0])),
        str(rng.choice(last_layer.OUTPUTS)),
    )


def hybrid_regression(rng: Random) -> Case:
    """The least total error, with or without a bound of every error; or any point at all."""
    found = layer(rng, 1)
    y = numbers(rng, len(found.features), 1)
    each = bool(rng.random() < 0.5)
    total = bool(not each or rng.random() < 0.7)
    theta = found.theta[0]
    problem = Rows(
        sparse.csr_array(found.extended),
        np.zeros(len(y)),
        theta - found.radius,
        theta + found.radius,
        theta,
    )
    present = found.errors(found.theta, y)[:, 0]
    allowed = present + ERROR_ROOM * np.maximum(1.0, np.abs(y[:, 0]) + present)
    t = y[:, 0]
    points = kinks(problem, 0.0 * t, t, t - allowed, t + allowed)
    a = preactivations(problem, points)
    errors = np.abs((np.maximum(a, 0.0) if found.output == "relu" else a) - t)
    if each:
        errors = errors[np.all(errors <= allowed + EXACT, axis=1)]
    return Case(
        last_layer.regression(found, y, 0, each=each, total=total),
        float(errors.sum(axis=1).min()) if total else 0.0,
    )


def counted(rng: Random) -> tuple[last_layer.MarginCount, Array]:
    """Draw a classification by a last layer, and the vertices where margins are one."""
    n_outputs = int(rng.integers(1, 3))
    found = layer(rng, n_outputs)
    if n_outputs == 1:
        found = replace(found, output="identity")
    count = last_layer.margin_count(found, rng.integers(0, 2, len(found.features)), 1.0)
    points = vertices(
        np.vstack([count.coefficients.toarray(), np.eye(count.start.size)]),
        np.concatenate([np.ones(count.samples.size), count.start]),
        count.lower,
        count.upper,
    )
    return count, points


def hybrid_classification(rng: Random) -> Case:
    """As few wrong samples as possible; the relaxation too."""
    count, points = counted(rng)
    program = count.program(count.start)
    if rng.random() < 0.3:
        return Case(program.relaxed())
    wrong = [int((~count.is_right(point, 1.0 - EXACT)).sum()) for point in points]
    return Case(program, float(min(wrong)))


def hybrid_nearest(rng: Random) -> Case:
    """The nearest weights at which the same samples are right."""
    count, points = counted(rng)
    right = count.is_right(within(rng, count.lower, count.upper), 1.0)
    kept = [point for point in points if np.all(count.is_right(point, 1.0 - EXACT) | ~right)]
    change = min(float(np.abs(point - count.start).sum()) for point in kept)
    return Case(count.nearest(right), change)
