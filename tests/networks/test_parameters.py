"""Parameter maps: ties, zeros, fixed values, groups of neurons, and the rows of a fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block
from layermilp.errors import NetworkError
from layermilp.networks.layers import Dense
from layermilp.networks.parameters import Group, ParameterMap
from tests.networks.examples import SEEDS, blocks, parameter_maps


def test_dense_map_has_a_parameter_per_entry() -> None:
    parameters = Dense(3, 2).parameters
    assert (parameters.n_inputs, parameters.n_outputs, parameters.n_parameters) == (3, 2, 8)
    assert parameters.expand(np.arange(8.0)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [group.neurons.tolist() for group in parameters.groups] == [[0], [1]]
    assert [group.parameters.tolist() for group in parameters.groups] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]


@settings(deadline=None, max_examples=60)
@given(blocks())
def test_expand_follows_the_index_and_collect_undoes_it(block: Block) -> None:
    parameters = block.parameters
    extended = parameters.expand(block.theta)
    for j, i in np.ndindex(extended.shape):
        number = parameters.index[j, i]
        assert extended[j, i] == (block.theta[number] if number >= 0 else parameters.fixed[j, i])
    np.testing.assert_array_equal(parameters.collect(extended), block.theta)


def test_collect_refuses_broken_ties_and_fixed_values() -> None:
    parameters = ParameterMap(np.array([[0, 0, -1]]), np.array([[0.0, 0.0, 0.5]]))
    assert parameters.collect(np.array([[2.0, 2.0, 0.5]])).tolist() == [2.0]
    for broken in ([[2.0, 1.0, 0.5]], [[2.0, 2.0, 0.0]]):
        with pytest.raises(NetworkError, match="break their ties or fixed values"):
            parameters.collect(np.array(broken))


def test_expand_refuses_another_number_of_parameters() -> None:
    with pytest.raises(NetworkError, match="expected 8 parameters"):
        Dense(3, 2).parameters.expand(np.zeros(7))


@settings(deadline=None, max_examples=60)
@given(parameter_maps())
def test_groups_are_the_finest_partition_without_shared_parameters(
    parameters: ParameterMap,
) -> None:
    used = [set(row[row >= 0].tolist()) for row in parameters.index]
    expected: list[tuple[set[int], set[int]]] = []
    for neuron, names in enumerate(used):
        if not names:
            continue
        joined = [part for part in expected if part[1] & names]
        expected = [part for part in expected if not part[1] & names]
        members = {neuron}.union(*(part[0] for part in joined))
        expected.append((members, names.union(*(part[1] for part in joined))))
    expected.sort(key=lambda part: min(part[0]))
    found = [(group.neurons.tolist(), group.parameters.tolist()) for group in parameters.groups]
    assert found == [(sorted(members), sorted(names)) for members, names in expected]


@settings(deadline=None, max_examples=60)
@given(blocks(), st.integers(1, 4), SEEDS)
def test_rows_are_the_preactivations(block: Block, samples: int, seed: int) -> None:
    inputs = np.random.default_rng(seed).normal(size=(samples, block.n_inputs))
    expected = block.preactivation(inputs)
    for group in block.parameters.groups:
        coefficients, constants = block.parameters.rows(group, inputs)
        assert coefficients.shape == (samples * group.neurons.size, group.parameters.size)
        found = coefficients @ block.theta[group.parameters] + constants
        np.testing.assert_allclose(
            found, expected[:, group.neurons].reshape(-1), rtol=0, atol=1e-12
        )


def test_rows_of_a_neuron_without_parameters_are_constants() -> None:
    parameters = ParameterMap(np.array([[-1, -1], [0, 1]]), np.array([[0.5, -0.25], [0.0, 0.0]]))
    assert [group.neurons.tolist() for group in parameters.groups] == [[1]]
    silent = Group(np.array([0]), np.array([], dtype=np.int64))
    coefficients, constants = parameters.rows(silent, np.array([[1.0], [2.0]]))
    assert coefficients.shape == (2, 0)
    assert constants.tolist() == [0.25, 0.75]
