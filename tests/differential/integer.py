"""Programs of integer networks with sign activations."""

from __future__ import annotations

import itertools

import numpy as np

from differential.drawing import EXACT, Array, Case, Random, every, numbers, vertices
from layermilp.algorithms.options import SolveOptions
from layermilp.integer.formulation import SignNetwork, plain
from layermilp.integer.losses import OBJECTIVES, MaxCorrect, MinHinge
from layermilp.integer.neighbourhood import Box, Goal, NeuronTask, Samples
from layermilp.integer.violations import Violations, neuron, violations
from layermilp.integer.vote_dual import vote_dual
from layermilp.networks.integer import GRID, IntegerLayer, IntegerNetwork, rounded


def samples(rng: Random, m: int, d: int, n_outputs: int) -> Samples:
    """Draw samples, some of them equal."""
    return Samples(rounded(rng.integers(0, 4, (m, d)) / 4.0, d), rng.integers(0, n_outputs, m))


def least_violation(problem: Violations) -> float:
    """Return the optimum over all whole points."""
    return min(problem.loss(theta) for theta in every(problem.lower, problem.upper))


def neuron_by_effects(rng: Random) -> Case:
    """One neuron whose effect on every sample is given: a voter, or the strongest in a proof."""
    d, m, bound = int(rng.integers(1, 4)), int(rng.integers(2, 8)), int(rng.integers(1, 3))
    ends = np.full(d + 1, float(bound))
    effects = numbers(rng, m) if rng.random() < 0.5 else rng.choice([-1.0, 1.0], m)
    start = rng.integers(-bound, bound + 1, d + 1).astype(float)
    problem = neuron(samples(rng, m, d, 2).inputs, effects, 1.0 / GRID, -ends, ends, start)
    return Case(violations(problem), least_violation(problem))


def neighbourhood(rng: Random) -> Case:
    """One neuron of a network, all else fixed."""
    sizes = [(2, 2, 2), (2, 3, 3), (2, 2, 2, 2)][rng.integers(3)]
    bound = int(rng.integers(1, 3)) if max(sizes) == 2 else 1
    pairs = itertools.pairwise(sizes)
    layers = [IntegerLayer.of(rng.integers(-bound, bound + 1, (n, d + 1))) for d, n in pairs]
    network = IntegerNetwork(layers, bound)
    shape = bound, sizes[-2], sizes[-1]
    objective = OBJECTIVES[str(rng.choice(list(OBJECTIVES)))](*shape)
    price = 0.0 if isinstance(objective, MinHinge) else float(rng.choice([0.0, 0.01]))
    i = int(rng.integers(len(layers)))
    task = NeuronTask(
        network,
        samples(rng, int(rng.integers(2, 7)), sizes[0], sizes[-1]),
        Goal(objective, MinHinge(*shape), price),
        Box.of(network),
        i,
        int(rng.integers(layers[i].n_outputs)),
        SolveOptions(),
    )
    problem = task.problem()
    problem = problem.restricted(problem.nonzero_columns)
    return Case(violations(problem), least_violation(problem))


def whole_network(rng: Random) -> Case:
    """A network with one hidden neuron as one program."""
    sizes = int(rng.integers(1, 3)), 1, 2
    given = samples(rng, int(rng.integers(1, 5)), sizes[0], 2)
    objective = OBJECTIVES[str(rng.choice(list(OBJECTIVES)))](1, 1, 2)
    problem = SignNetwork(given.inputs, given.labels, sizes, 1, objective, (1.0 / GRID, 1.0))
    extended = np.column_stack([given.inputs, np.ones(len(given.inputs))])
    seen = {}  # what the samples look like to the outputs
    for theta in every(-np.ones(sizes[0] + 1), np.ones(sizes[0] + 1)):
        signs = np.where(extended @ theta >= 0.0, 1.0, -1.0)
        seen[signs.tobytes()] = signs
    least = np.inf
    for signs in seen.values():
        for theta in every(-np.ones(4), np.ones(4)).reshape(-1, 2, 2):
            sums = np.column_stack([signs, np.ones(signs.size)]) @ theta.T
            if isinstance(objective, MaxCorrect) and np.any((sums >= 0.0).sum(axis=1) != 1):
                continue  # the program forbids it
            least = min(least, float(objective.losses(sums, given.labels).sum()))
    return Case(plain(problem), least)


def vote(rng: Random) -> Case:
    """The dual of the largest margin of votes."""
    m, k = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    votes, y = rng.choice([-1.0, 1.0], (k, m)), rng.choice([-1.0, 1.0], m)
    targets, weight, bias = numbers(rng, m), *rng.integers(1, 4, 2).astype(float)
    signed = votes * y
    equal = [a + sign * b for a, b in itertools.combinations(signed, 2) for sign in (1.0, -1.0)]
    normals = np.array([*signed, *equal, y, np.ones(m)])
    at: Array = np.zeros(len(normals))
    at[-1] = 1.0
    points = vertices(normals, at, np.zeros(m), np.ones(m))
    points = points[points.sum(axis=1) <= 1.0 + EXACT]
    largest = np.abs(points @ signed.T).max(axis=1)
    values = weight * largest + bias * np.abs(points @ y) - points @ targets
    return Case(vote_dual(votes, y, targets, weight, bias), float(values.min()))
