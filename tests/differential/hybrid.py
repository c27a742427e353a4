"""Programs of a last layer of any network, around its present weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from layermilp.formulations.regression import Rows
from layermilp.hybrid import formulation as last_layer

from .drawing import EXACT, Array, Case, Random, kinks, numbers, preactivations, vertices, within


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
    allowed = present + last_layer.EDGE * np.maximum(1.0, np.abs(y[:, 0]) + present)
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


def led(rng: Random) -> tuple[last_layer.LastLayer, last_layer.Leads, Array]:
    """Draw a classification by a last layer: its leads, and the vertices where they are one."""
    n_outputs = int(rng.integers(1, 3))
    found = layer(rng, n_outputs)
    if n_outputs == 1:
        found = replace(found, output="identity")
    leads = last_layer.leads(found, rng.integers(0, 2, len(found.features)))
    theta = found.theta.reshape(-1)
    points = vertices(
        np.vstack([leads.rows.toarray(), np.eye(theta.size)]),
        np.concatenate([np.ones(leads.samples.size), theta]),
        theta - found.radius,
        theta + found.radius,
    )
    return found, leads, points


def hybrid_classification(rng: Random) -> Case:
    """As few wrong samples as possible; the relaxation too."""
    found, leads, points = led(rng)
    program = last_layer.classification(found, leads, 1.0, found.theta)
    if rng.random() < 0.3:
        return Case(program.relaxed())
    wrong = [int((~leads.is_right(point, 1.0 - EXACT)).sum()) for point in points]
    return Case(program, float(min(wrong)))


def hybrid_nearest(rng: Random) -> Case:
    """The nearest weights at which the same samples are right."""
    found, leads, points = led(rng)
    theta = found.theta.reshape(-1)
    right = leads.is_right(within(rng, theta - found.radius, theta + found.radius), 1.0)
    kept = [point for point in points if np.all(leads.is_right(point, 1.0 - EXACT) | ~right)]
    change = min(float(np.abs(point - theta).sum()) for point in kept)
    return Case(last_layer.nearest(found, leads, right, 1.0), change)
