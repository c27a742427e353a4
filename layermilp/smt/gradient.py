"""Networks trained by Adam, several at once: starts of the searches."""

from __future__ import annotations

import numpy as np

from layermilp.program import FloatArray
from layermilp.smt.problem import Problem, Weights
from layermilp.smt.witness import random_layers

RATE = 0.03
"""Learning rate, which falls to a tenth of it."""

DECAYS = (0.9, 0.999)
"""Of the averages of the gradient and of its square."""


def trained(problem: Problem, starts: int, steps: int, rng: np.random.Generator) -> list[Weights]:
    """Train networks side by side by Adam on the cross entropy of all samples.

    Parameters
    ----------
    problem : Problem
        The problem; the networks are for its standardized `inputs`.
    starts : int
        Networks.
    steps : int
        Steps of Adam.
    rng : numpy.random.Generator
        Source of the initial weights.

    Returns
    -------
    list of tuple of (n, d + 1) arrays
        Extended weights of each network, the least loss first.
    """
    drawn = [random_layers(problem.inputs, problem.sizes, rng) for _ in range(starts)]
    theta = [np.stack(layers) for layers in zip(*drawn, strict=True)]
    means, squares = [np.zeros_like(layer) for layer in theta], [np.zeros_like(layer) for layer in theta]
    targets = np.eye(problem.n_outputs)[problem.labels]
    for step in range(1, steps + 1):
        gradients, _ = _gradients(theta, problem.inputs, targets)
        rate = RATE * 0.1 ** (step / steps)
        for layer, mean, square, gradient in zip(theta, means, squares, gradients, strict=True):
            mean += (1.0 - DECAYS[0]) * (gradient - mean)
            square += (1.0 - DECAYS[1]) * (gradient**2 - square)
            corrected = np.sqrt(square / (1.0 - DECAYS[1] ** step)) + 1e-8
            layer -= rate * mean / (1.0 - DECAYS[0] ** step) / corrected
    _, losses = _gradients(theta, problem.inputs, targets)
    return [tuple(layer[i] for layer in theta) for i in np.argsort(losses, kind="stable")]


def _gradients(theta: list[FloatArray], inputs: FloatArray, targets: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Return the gradients of layers of shape ``(starts, n, d + 1)``, and the losses, shape ``(starts,)``."""
    values = [np.broadcast_to(inputs, (len(theta[0]), *inputs.shape))]
    for layer in theta:
        values.append(values[-1] @ layer[:, :, :-1].transpose(0, 2, 1) + layer[:, None, :, -1])
        if layer is not theta[-1]:
            values[-1] = np.maximum(values[-1], 0.0)
    shifted = values[-1] - values[-1].max(axis=2, keepdims=True)
    normalized = np.exp(shifted) / np.exp(shifted).sum(axis=2, keepdims=True)
    losses = -np.sum(targets * np.log(normalized + 1e-300), axis=(1, 2))
    gradients, flow = [], (normalized - targets) / len(inputs)
    for layer, before in zip(reversed(theta), reversed(values[:-1]), strict=True):
        weights = flow.transpose(0, 2, 1) @ before
        gradients.append(np.concatenate([weights, flow.sum(axis=1)[:, :, None]], axis=2))
        flow = flow @ layer[:, :, :-1] * (before > 0.0)
    return gradients[::-1], losses
