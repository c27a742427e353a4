"""A start by gradients: a straight-through network in numpy, its weights rounded (Courbariaux and
Bengio 2016).

Weights are real numbers in [-1, 1], used rounded to multiples of 1/P; signs pass their gradient on
where the sum is small."""

from __future__ import annotations

import itertools

import numpy as np

from layermilp.integer.neighbourhood import Samples
from layermilp.networks.integer import IntegerLayer, IntegerNetwork, correct
from layermilp.program import FloatArray

STEPS, RATE = 2000, 0.03
"""Steps on all samples, and the learning rate of Adam."""

CHECKED = 20
"""Steps between looks at the rounded network."""


def straight_through(samples: Samples, network: IntegerNetwork, seed: int) -> IntegerNetwork:
    """Train by Adam on the squared hinge (18) of all samples, from initial weights by the seed;
    return the most accurate of the rounded networks, of sizes, bound and classes of the given
    one."""
    inputs, labels, sizes, bound = samples.inputs, samples.labels, network.sizes, network.bound
    rng = np.random.default_rng(seed)
    thetas = [
        rng.uniform(-1.0, 1.0, (n, d + 1)) * min(1.0, 3.0 / np.sqrt(d))
        for d, n in itertools.pairwise(sizes)
    ]
    moments = [(np.zeros_like(theta), np.zeros_like(theta)) for theta in thetas]
    signs = np.where(np.arange(sizes[-1]) == labels[:, None], 1.0, -1.0)
    best, best_score = network, (-1.0, -np.inf)
    for step in range(1, STEPS + 1):
        rounded = [np.rint(theta * bound) / bound for theta in thetas]
        gradients = _gradients(rounded, inputs, signs)
        for theta, gradient, (first, second) in zip(thetas, gradients, moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            theta -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            np.clip(theta, -1.0, 1.0, out=theta)
        if step % CHECKED == 0 or step == 1:
            layers = [IntegerLayer.of(np.rint(theta * bound)) for theta in thetas]
            network = IntegerNetwork(layers, bound, network.classes)
            sums = network.output_sums_of_rounded(inputs)
            loss = np.maximum(0.0, 0.5 - signs * sums * network.scale)
            score = float(correct(sums, labels).mean()), -float((loss**2).sum())
            if score > best_score:
                best, best_score = network, score
    return best


def _gradients(thetas: list[FloatArray], inputs: FloatArray, signs: FloatArray) -> list[FloatArray]:
    """Return the gradients of the mean squared hinge."""
    before, sums = [], []
    values = inputs
    for theta in thetas:
        before.append(np.column_stack([values, np.ones(len(values))]))
        sums.append(before[-1] @ theta.T)
        values = np.where(sums[-1] >= 0.0, 1.0, -1.0)
    scale = 2.0 / thetas[-1].shape[1]
    outputs = scale * sums[-1]
    slope = -2.0 * signs * np.maximum(0.0, 0.5 - signs * outputs) * scale / len(inputs)
    gradients: list[FloatArray] = []
    for i in range(len(thetas) - 1, -1, -1):
        gradients.insert(0, slope.T @ before[i])
        if i:
            width = np.sqrt(thetas[i - 1].shape[1])
            slope = (slope @ thetas[i][:, :-1]) * (np.abs(sums[i - 1]) <= width)
    return gradients
