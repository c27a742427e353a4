"""Networks trained by Adam, several at once: starts of the searches."""

from __future__ import annotations

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.program import FloatArray, IntArray
from layermilp.smt.problem import Problem, Weights, leads
from layermilp.smt.witness import random_layers

RATE = 0.03
"""Learning rate, which falls to a tenth of it."""

DECAYS = (0.9, 0.999)
"""Of the averages of the gradient and of its square."""

EVERY = 20
"""Steps between looks at the clock and at what is learned."""


def trained(
    problem: Problem, starts: int, steps: int, rng: np.random.Generator, budget: Budget
) -> list[Weights]:
    """Train so many networks side by side by Adam on the cross entropy of all samples, until one
    has learned all of them, at most so many steps.

    The networks are for the problem's standardized `inputs`; that with the largest least lead comes
    first.
    """
    drawn = [random_layers(problem.inputs, problem.sizes, rng) for _ in range(starts)]
    theta = [np.stack(layers) for layers in zip(*drawn, strict=True)]
    means, squares = ([np.zeros_like(layer) for layer in theta] for _ in range(2))
    targets = np.eye(problem.n_outputs)[problem.labels]
    for step in range(1, steps + 1):
        gradients, values = _gradients(theta, problem.inputs, targets)
        if step % EVERY == 0 and (
            budget.is_over or _least_leads(values, problem.labels).max() > 0.0
        ):
            break
        rate = RATE * 0.1 ** (step / steps)
        for layer, mean, square, gradient in zip(theta, means, squares, gradients, strict=True):
            mean += (1.0 - DECAYS[0]) * (gradient - mean)
            square += (1.0 - DECAYS[1]) * (gradient**2 - square)
            corrected = np.sqrt(square / (1.0 - DECAYS[1] ** step)) + 1e-8
            layer -= rate * mean / (1.0 - DECAYS[0] ** step) / corrected
    _, values = _gradients(theta, problem.inputs, targets)
    order = np.argsort(-_least_leads(values, problem.labels), kind="stable")
    return [tuple(layer[i] for layer in theta) for i in order]


def _least_leads(values: FloatArray, labels: IntArray) -> FloatArray:
    """Return the least lead of each network, of outputs of shape ``(starts, m, n_outputs)``."""
    return np.array([leads(outputs, labels).min() for outputs in values])


def _gradients(
    theta: list[FloatArray], inputs: FloatArray, targets: FloatArray
) -> tuple[list[FloatArray], FloatArray]:
    """Return the gradients of layers of shape ``(starts, n, d + 1)``, and the outputs, shape
    ``(starts, m, n_outputs)``."""
    values = [np.broadcast_to(inputs, (len(theta[0]), *inputs.shape))]
    for layer in theta:
        values.append(values[-1] @ layer[:, :, :-1].transpose(0, 2, 1) + layer[:, None, :, -1])
        if layer is not theta[-1]:
            values[-1] = np.maximum(values[-1], 0.0)
    shifted = values[-1] - values[-1].max(axis=2, keepdims=True)
    normalized = np.exp(shifted) / np.exp(shifted).sum(axis=2, keepdims=True)
    gradients, flow = [], (normalized - targets) / len(inputs)
    for layer, before in zip(reversed(theta), reversed(values[:-1]), strict=True):
        weights = flow.transpose(0, 2, 1) @ before
        gradients.append(np.concatenate([weights, flow.sum(axis=1)[:, :, None]], axis=2))
        flow = flow @ layer[:, :, :-1] * (before > 0.0)
    return gradients[::-1], values[-1]
