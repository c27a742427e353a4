"""The program of a neighbourhood against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from layermilp.algorithms.options import SolveOptions
from layermilp.errors import NetworkError
from layermilp.integer.neighbourhood import Box, NeuronTask
from tests.integer.instances import NAMES, SEEDS, drawn_goal, drawn_network, drawn_samples, loss_of


@settings(deadline=None, max_examples=60)
@given(
    SEEDS,
    st.sampled_from(NAMES),
    st.sampled_from([(2, 2, 2), (2, 3, 3), (2, 2, 2, 2)]),
    st.sampled_from([0.0, 0.01]),
)
# HiGHS 1.16 answers with the start, although its bound is far below.
@example(26595576, "min-hinge", (2, 2, 2), 0.0)
def test_a_neighbourhood_is_solved_to_its_optimum(
    seed: int, name: str, sizes: tuple[int, ...], price: float
) -> None:
    """A neuron of any layer, all else fixed, against all its weights; of two outputs the other
    follows."""
    rng = np.random.default_rng(seed)
    network, samples = drawn_network(rng, sizes, 1), drawn_samples(rng, 6, sizes[0], sizes[-1])
    goal = drawn_goal(network, name, 0.0 if name == "min-hinge" else price)
    i = int(rng.integers(len(network.layers)))
    j = int(rng.integers(network.layers[i].n_outputs))
    if name == "max-correct" and i == len(network.layers) - 1 and sizes[-1] == 2:
        assume(price == 0.0)  # the mirrored output has its own small loss there
    task = NeuronTask(network, samples, goal, Box.of(network), i, j, SolveOptions(solver="highs"))
    better = task.applied(network, task.solve().theta)
    found = loss_of(better, samples, goal)
    least = np.inf
    for theta in itertools.product((-1, 0, 1), repeat=network.layers[i].n_inputs + 1):
        try:
            other = task.applied(network, np.array(theta))
        except NetworkError:
            continue  # its mirror image lies outside the bounds
        least = min(least, loss_of(other, samples, goal))
    assert found == pytest.approx(least, abs=1e-6)
