"""The program of the whole network against all networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.integer.formulation import SignNetwork, plain, thetas
from layermilp.integer.losses import OBJECTIVES, MaxCorrect, MinHinge
from layermilp.integer.neighbourhood import Goal, Samples
from layermilp.networks.integer import (
    GRID,
    IntegerLayer,
    IntegerNetwork,
    rounded,
)
from layermilp.program import Status
from layermilp.solvers import solve
from tests.integer.instances import (
    NAMES,
    SEEDS,
    drawn_samples,
    every_activation,
    every_theta,
    loss_of,
)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from(NAMES), st.sampled_from([(1, 1, 2), (1, 2, 2), (2, 1, 1, 2)]))
def test_the_whole_program_has_the_optimum_of_all_networks(
    seed: int, name: str, sizes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    samples = drawn_samples(rng, 4, sizes[0], sizes[-1])
    objective = OBJECTIVES[name](1, sizes[-2], sizes[-1])
    problem = SignNetwork(
        samples.inputs,
        samples.labels,
        sizes,
        1,
        objective,
        (1.0 / GRID,) + (1.0,) * (len(sizes) - 2),
    )
    goal, least = Goal(objective, MinHinge(1, sizes[-2], sizes[-1]), 0.0), np.inf
    for signs in every_activation(samples.inputs, sizes[:-1]):
        for theta in every_theta((sizes[-1], sizes[-2] + 1)):
            sums = signs @ theta[:, :-1].T + theta[:, -1]
            if isinstance(objective, MaxCorrect) and np.any((sums >= 0.0).sum(axis=1) != 1):
                continue  # forbidden by (16)
            least = min(least, float(goal.losses(sums, samples.labels).sum()))
    found = solve(plain(problem), "highs")
    assert found.status is Status.OPTIMAL and found.x is not None
    assert found.objective == pytest.approx(least, abs=1e-6)
    network = IntegerNetwork([IntegerLayer.of(theta) for theta in thetas(problem, found.x)], 1)
    assert loss_of(network, samples, goal) == pytest.approx(least, abs=1e-6)


def test_switches_leave_the_fewest_neurons() -> None:
    samples = Samples(rounded(np.array([[0.0], [1.0]]), 1), np.array([0, 1]))
    objective = OBJECTIVES["sat-margin"](1, 4, 2)
    problem = SignNetwork(
        samples.inputs, samples.labels, (1, 4, 2), 1, objective, (1.0 / GRID, 1.0), switches=0.01
    )
    found = solve(plain(problem), "highs")
    assert found.x is not None
    network = IntegerNetwork([IntegerLayer.of(theta) for theta in thetas(problem, found.x)], 1)
    # The margin needs a sum of 2 or -2: one neuron and the bias have only one of them.
    n_used = np.count_nonzero(network.layers[1].weights.any(axis=0))
    assert found.objective == pytest.approx(0.02) and n_used == 2
