"""Inputs through all later layers: the program is exact."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp.algorithms.network_proposals import minimize_through
from layermilp.algorithms.options import SolveOptions
from layermilp.formulations.l1 import L1
from layermilp.formulations.later_layers import LaterLayers
from layermilp.formulations.loss import input_bounds
from layermilp.program import Status, check
from tests.differential.layerwise import later_layers, least_through


@pytest.mark.parametrize("seed", range(25))
def test_the_optimum_is_that_of_counting_through(seed: int) -> None:
    problem = later_layers(np.random.default_rng(seed))
    fit = minimize_through(problem, SolveOptions(tie_break="none"))
    assert fit.status is Status.OPTIMAL
    assert fit.objective == pytest.approx(least_through(problem), abs=1e-6)
    assert fit.objective == problem.loss(fit.parameters)
    assert fit.bound <= fit.objective
    assert np.all((problem.lower <= fit.parameters) & (fit.parameters <= problem.upper))


@pytest.mark.parametrize("seed", range(10))
def test_the_start_is_a_point_of_the_program_with_the_loss_of_the_network(seed: int) -> None:
    problem = later_layers(np.random.default_rng(seed))
    program = problem.program()
    assert program.start is not None and check(program, program.start).holds()
    assert program.objective(program.start) == pytest.approx(problem.loss(problem.start))


def test_only_neurons_that_may_turn_have_a_binary() -> None:
    first = np.array([[1.0], [-1.0], [1.0]]), np.array([0.0, -1.0, -1.0])
    last = np.array([[0.5, 9.0, 0.5]]), np.zeros(1)
    loss, inputs, label = L1(np.ones(1)), np.array([1.0]), np.zeros(1, dtype=int)
    problem = LaterLayers.of([first, last], loss, inputs, label)
    lower, upper = input_bounds(inputs)
    np.testing.assert_allclose([lower, upper], [[0.8], [1.2]])
    program = problem.program()
    assert program.column_groups == (("x", 1), ("o1", 3), ("z", 1), ("b1", 1))
    # The output becomes 0.5 * 1.2 + 0.5 * 0.2: the second neuron is silent, the third turns at 1.
    fit = minimize_through(problem, SolveOptions())
    np.testing.assert_allclose([fit.parameters[0], fit.objective], [1.2, 0.3])


def test_inputs_that_stay_do() -> None:
    layers = [(np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    stays, label = np.array([True, False]), np.zeros(1, dtype=int)
    problem = LaterLayers.of(layers, L1(np.ones(1)), np.array([0.2, 0.2]), label, stays)
    fit = minimize_through(problem, SolveOptions())
    np.testing.assert_allclose(fit.parameters, [0.2, 0.32])
