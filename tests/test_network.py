"""Parameter maps, blocks and networks in numpy; model files that are whole, damaged, or not model
files at all."""

from __future__ import annotations

import io
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from layermilp import Block, Network
from layermilp.errors import DataError, ModelFileError, NetworkError, OutputError
from layermilp.files import write_atomically
from layermilp.networks.classifier import decide
from layermilp.networks.files import write_model_file
from layermilp.networks.initialization import INITIALIZERS, initialize
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Tied
from layermilp.networks.parameters import Group, ParameterMap

GRID = st.integers(-8, 8).map(lambda k: k / 4)
SEEDS = st.integers(0, 2**32 - 1)


def _grid(size: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(GRID, min_size=size, max_size=size).map(
        lambda values: np.array(values, dtype=float)
    )


@st.composite
def parameter_maps(draw: st.DrawFn) -> ParameterMap:
    """Draw any map: free, tied and fixed entries, also neurons or maps without any parameter."""
    n, d = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size = n * (d + 1)
    drawn = np.array(
        draw(st.lists(st.integers(-1, draw(st.integers(-1, size))), min_size=size, max_size=size))
    )
    index = np.full(size, -1)
    free = drawn >= 0
    index[free] = np.unique(drawn[free], return_inverse=True)[1]
    fixed = np.where(free, 0.0, draw(_grid(size)))
    return ParameterMap(index.reshape(n, d + 1), fixed.reshape(n, d + 1))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Draw a block with any map."""
    parameters = draw(parameter_maps())
    return Block(Tied(parameters), draw(_grid(parameters.n_parameters)))


def _same(one: Network, other: Network) -> None:
    assert len(one.blocks) == len(other.blocks)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.layer.text == b.layer.text
        assert a.parameters.index.tolist() == b.parameters.index.tolist()
        assert a.extended.tobytes() == b.extended.tobytes()
        assert a.theta.tobytes() == b.theta.tobytes()
    assert one.classes.tolist() == other.classes.tolist()
    assert one.classes.dtype.kind == other.classes.dtype.kind
    assert one.decision == other.decision
    assert one.notation == other.notation


def test_dense_map_has_a_parameter_per_entry() -> None:
    parameters = Dense(3, 2).parameters
    assert (parameters.n_inputs, parameters.n_outputs, parameters.n_parameters) == (3, 2, 8)
    assert parameters.expand(np.arange(8.0)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [group.neurons.tolist() for group in parameters.groups] == [[0], [1]]
    assert [group.parameters.tolist() for group in parameters.groups] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.data())
def test_conv2d_is_a_valid_correlation(
    seed: int, height: int, width: int, data: st.DataObject
) -> None:
    kernel = data.draw(st.integers(1, min(height, width)))
    free_bias = data.draw(st.booleans())
    rng = np.random.default_rng(seed)
    block = Block.conv2d(height, width, kernel, free_bias=free_bias)
    assert block.parameters.n_parameters == kernel * kernel + free_bias
    block = block.with_theta(rng.normal(size=block.theta.size))
    images = rng.normal(size=(3, height, width))
    bias = block.theta[-1] if free_bias else 0.0
    weights = block.theta[: kernel * kernel].reshape(kernel, kernel)
    expected = [
        np.maximum(correlate2d(image, weights, mode="valid") + bias, 0.0).reshape(-1)
        for image in images
    ]
    np.testing.assert_allclose(block.forward(images.reshape(3, -1)), expected, rtol=0, atol=1e-12)
    assert block.n_outputs == (height - kernel + 1) * (width - kernel + 1)
    assert len(block.parameters.groups) == 1


def test_conv2d_of_the_paper_has_nine_parameters() -> None:
    block = Block.conv2d(7, 7, 3)
    assert (block.n_inputs, block.n_outputs, block.theta.size) == (49, 25, 9)
    assert not block.bias.any()


@pytest.mark.parametrize(("height", "width", "kernel"), [(2, 5, 3), (5, 2, 3)])
def test_conv2d_kernel_must_fit(height: int, width: int, kernel: int) -> None:
    words = f"kernel of {kernel} x {kernel} does not fit an image of {height} x {width}"
    with pytest.raises(NetworkError, match=words):
        Conv2d.plain(height, width, kernel)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_mean2d_is_the_mean_of_disjoint_regions(
    seed: int, rows: int, columns: int, size: int
) -> None:
    block = Block.mean2d(rows * size, columns * size, size)
    images = np.random.default_rng(seed).random((3, rows * size, columns * size))
    expected = images.reshape(3, rows, size, columns, size).mean(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_allclose(block.forward(images.reshape(3, -1)), expected, rtol=0, atol=1e-12)
    assert block.n_outputs == rows * columns and not block.bias.any()


def test_mean2d_has_nothing_to_train() -> None:
    block = Block.mean2d(28, 28, 4)
    assert (block.n_inputs, block.n_outputs, block.parameters.n_parameters) == (784, 49, 0)
    assert block.parameters.groups == ()
    assert block.theta.shape == block.parameters.collect(block.extended).shape == (0,)
    assert block.with_theta([]).extended.tobytes() == block.extended.tobytes()
    with pytest.raises(NetworkError, match="0 finite parameters"):
        block.with_theta([1.0])


@pytest.mark.parametrize(("height", "width", "size"), [(4, 6, 4), (6, 4, 4), (2, 2, 3)])
def test_mean2d_regions_must_fit(height: int, width: int, size: int) -> None:
    with pytest.raises(
        NetworkError, match=f"regions of {size} x {size} do not fit an image of {height} x {width}"
    ):
        AveragePool2d.plain(height, width, size)


@pytest.mark.parametrize(
    "sizes", [(0, 3, 1), (3, 0, 1), (3, 3, 0), (3, 3, -1), (3, 3, 1.0), (3, "3", 1), (True, 3, 1)]
)
def test_sizes_of_images_are_validated(sizes: Any) -> None:
    for build in (Conv2d.plain, AveragePool2d.plain, Block.conv2d, Block.mean2d):
        with pytest.raises(NetworkError, match="is not a layer size"):
            build(*sizes)


def test_layers_that_no_file_can_number_are_refused() -> None:
    for build in (
        Dense,
        lambda d, n: Conv2d.plain(d, n, 1),
        lambda d, n: AveragePool2d.plain(d, n, 1),
    ):
        with pytest.raises(NetworkError, match="too large"):
            build(10**9, 10**9)


@pytest.mark.parametrize(
    ("index", "fixed", "words"),
    [
        ([[0, 2]], [[0.0, 0.0]], "without gaps"),
        ([[0, -2]], [[0.0, 0.0]], "without gaps"),
        ([[0, -1]], [[0.0, np.nan]], "finite"),
        ([[0, -1]], [[0.0, np.inf]], "finite"),
        ([[0, -1]], [[1.0, 0.0]], "zero where an entry is a parameter"),
        ([[0, 1]], [[0.0]], "shape"),
        ([0, 1], [0.0, 0.0], "shape"),
        ([[0]], [[0.0]], "shape"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "shape"),
    ],
)
def test_maps_that_do_not_fit_are_refused(index: Any, fixed: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        ParameterMap(np.array(index), np.array(fixed))


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


def test_block_is_relu_of_an_affine_map() -> None:
    block = Block(Dense(2, 2), np.array([1.0, -2.0, 0.5, -1.0, 1.0, -0.25]))
    assert block.weights.tolist() == [[1.0, -2.0], [-1.0, 1.0]]
    assert block.bias.tolist() == [0.5, -0.25]
    inputs = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert block.preactivation(inputs).tolist() == [[1.5, -1.25], [-1.5, 0.75]]
    assert block.forward(inputs).tolist() == [[1.5, 0.0], [0.0, 0.75]]


def test_blocks_are_values() -> None:
    theta = np.ones(6)
    block = Block(Dense(2, 2), theta)
    theta[0] = 5.0
    assert block.theta[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        block.theta[0] = 2.0
    other = block.with_theta(np.zeros(6))
    assert block.theta.all() and not other.theta.any()
    assert other.parameters is block.parameters


@pytest.mark.parametrize(
    "theta", [np.zeros(5), np.zeros((1, 6)), [0, 0, 0, 0, 0, np.nan], [0, 0, 0, 0, 0, np.inf]]
)
def test_block_parameters_are_validated(theta: Any) -> None:
    with pytest.raises(NetworkError, match="6 finite parameters"):
        Block(Dense(2, 2), np.asarray(theta))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), SEEDS)
def test_network_is_the_blocks_in_turn(sizes: list[int], seed: int) -> None:
    network = Network.dense(sizes, init="uniform", seed=seed)
    assert network.notation == "-".join(map(str, sizes))
    X = np.random.default_rng(seed).random((4, sizes[0]))
    layers = network.activations(X)
    assert [layer.shape for layer in layers] == [(4, size) for size in sizes]
    expected = X
    for i, block in enumerate(network.blocks):
        expected = np.maximum(np.einsum("ki,ji->kj", expected, block.weights) + block.bias, 0.0)
        np.testing.assert_allclose(layers[i + 1], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(network.forward(X), layers[-1])
    closest = [min(range(sizes[-1]), key=lambda j: abs(row[j] - 1.0)) for row in layers[-1]]
    assert network.predict(X).tolist() == closest


def test_prediction_is_the_output_closest_to_one_not_the_largest() -> None:
    for outputs, expected in (
        ([[0.0, 0.9, 3.0], [0.0, 0.0, 2.5], [1.2, 0.9, 0.0]], [1, 0, 1]),
        ([[0.5, 1.5], [2.0, 0.0], [0.0, 0.0]], [0, 0, 0]),
    ):
        assert decide(np.array(outputs), "closest_to_one").tolist() == expected


@pytest.mark.parametrize(
    ("decision", "outputs", "expected"),
    [
        ("closest_to_one", [[0.0, 0.9, 3.0], [-1.0, -2.0, -0.5], [0.5, 1.5, 0.5]], [1, 2, 0]),
        ("argmax", [[0.0, 0.9, 3.0], [-1.0, -2.0, -0.5], [0.5, 1.5, 1.5]], [2, 2, 1]),
    ],
)
def test_decisions_read_the_class(
    decision: str, outputs: list[list[float]], expected: list[int]
) -> None:
    assert decide(np.array(outputs), decision).tolist() == expected
    network = Network.dense([2, 3]).with_decision(decision)
    assert network.decide(np.array(outputs)).tolist() == expected
    assert network.decide(np.zeros((0, 3))).tolist() == []


def test_the_last_block_is_linear_when_the_largest_output_decides() -> None:
    network = Network.dense([4, 5, 3], init="uniform", seed=12)
    linear = network.with_decision("argmax")
    X = np.random.default_rng(0).random((50, 4))
    assert (linear.forward(X) < 0.0).all(axis=1).any()
    assert np.maximum(linear.forward(X), 0.0).tobytes() == network.forward(X).tobytes()
    assert [layer.tobytes() for layer in linear.activations(X)[:-1]] == [
        layer.tobytes() for layer in network.activations(X)[:-1]
    ]
    assert linear.activations(X)[-1].tobytes() == linear.forward(X).tobytes()
    assert linear.predict(X).tolist() == [
        max(range(3), key=row.__getitem__) for row in linear.forward(X).tolist()
    ]
    assert linear.accuracy(X, linear.predict(X)) == 1.0
    assert network.predict(X).tolist() != linear.predict(X).tolist()


def test_the_decision_is_kept() -> None:
    network = Network([Block.dense(3, 2)], decision="argmax")
    assert network.with_classes(["a", "b"]).decision == "argmax"
    assert network.with_block(0, Block.dense(3, 2, seed=1)).decision == "argmax"
    assert network.with_decision("closest_to_one").with_classes([1, 2]).decision == "closest_to_one"
    assert network.with_classes(["a", "b"]).with_decision("closest_to_one").classes.tolist() == [
        "a",
        "b",
    ]
    assert Network.dense([3, 2]).decision == "closest_to_one"


def test_unknown_decisions_are_named() -> None:
    with pytest.raises(
        NetworkError, match=r"decision 'smallest' is unknown; choose closest_to_one, argmax"
    ):
        Network.dense([3, 2]).with_decision("smallest")
    with pytest.raises(NetworkError, match="'smallest' is unknown"):
        decide(np.zeros((1, 2)), "smallest")


def test_classes_are_a_value() -> None:
    labels = np.array([3, 4])
    network = Network.dense([3, 2]).with_classes(labels)
    labels[0] = 5
    assert network.classes.tolist() == [3, 4]
    with pytest.raises(ValueError, match="read-only"):
        network.classes[0] = 5


def test_with_block_replaces_one_block() -> None:
    network = Network.dense([3, 2, 2]).with_classes(["a", "b"])
    other = network.with_block(1, network.blocks[1].with_theta(np.ones(6)))
    assert other.blocks[0] is network.blocks[0] and other.blocks[1].theta.all()
    assert other.classes.tolist() == ["a", "b"]
    assert not np.array_equal(network.blocks[1].theta, other.blocks[1].theta)


@pytest.mark.parametrize("sizes", [[], [3], [3, 0], [3, -1], [3, 2.5], [3, "4"], [True, 2]])
def test_sizes_are_validated(sizes: list[Any]) -> None:
    with pytest.raises(NetworkError):
        Network.dense(sizes)


def test_blocks_must_fit_together() -> None:
    with pytest.raises(NetworkError, match="block 1 has 2 outputs, but block 2 takes 3 inputs"):
        Network([Block.dense(4, 2), Block.dense(3, 2)])
    with pytest.raises(NetworkError, match="at least one block"):
        Network([])


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((2, 2)), r"3 inputs, got an array of shape \(2, 2\)"),
        (np.zeros(3), "3 inputs"),
        ([[0.0, np.nan, 0.0]], "sample 0 has the value nan at input 1"),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, np.inf]], "sample 1 has the value inf at input 2"),
    ],
)
def test_forward_refuses_what_does_not_fit(X: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Network.dense([3, 2]).forward(X)


def test_accuracy_is_a_share() -> None:
    network = Network([Block(Dense(2, 2), np.array([1.0, 0, 0, 0, 1.0, 0]))], ["left", "right"])
    X = np.eye(2)
    assert network.predict(X).tolist() == ["left", "right"]
    assert network.accuracy(X, ["left", "right"]) == 1.0
    assert network.accuracy(X, ["right", "right"]) == 0.5
    assert np.isnan(network.accuracy(np.zeros((0, 2)), []))
    with pytest.raises(DataError, match="2 samples"):
        network.accuracy(X, ["left"])


@settings(deadline=None, max_examples=40)
@given(parameter_maps(), SEEDS, st.sampled_from(sorted(INITIALIZERS)))
def test_initial_parameters_are_bounded_and_repeatable(
    parameters: ParameterMap, seed: int, init: str
) -> None:
    theta = initialize(parameters, init, np.random.default_rng(seed))
    assert theta.shape == (parameters.n_parameters,)
    assert np.all(np.abs(theta) <= 1.0)
    assert theta.tobytes() == initialize(parameters, init, np.random.default_rng(seed)).tobytes()


def test_uniform_covers_the_box() -> None:
    block = Block.dense(50, 20, init="uniform", seed=3)
    assert block.theta.min() < -0.9 and block.theta.max() > 0.9
    assert abs(block.theta.mean()) < 0.1
    assert block.bias.any()


def test_positive_covers_the_unit_interval() -> None:
    block = Block.dense(50, 20, init="positive", seed=3)
    assert 0.0 <= block.theta.min() < 0.05 and 0.95 < block.theta.max() <= 1.0
    assert abs(block.theta.mean() - 0.5) < 0.05


def test_initial_weights_do_not_change_from_version_to_version() -> None:
    for network in (
        Network.dense([5, 4, 3], seed=1),
        Network.from_notation("5-4-3", seed=1),
    ):
        first, second = network.blocks
        np.testing.assert_allclose(
            first.theta[:4], [0.218567, 0.519637, 0.208987, -0.824189], atol=1e-6
        )
        np.testing.assert_allclose(second.theta[:4], [1.0, 1.0, 0.123583, 0.298534], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_inputs", [64, 784])
def test_he_neurons_are_scaled_and_alive(n_inputs: int, seed: int) -> None:
    block = Block.dense(n_inputs, 8, init="he", seed=seed)
    assert np.all(block.weights.sum(axis=1) >= 0.0)
    assert not block.bias.any()
    assert block.weights.std() == pytest.approx(np.sqrt(2.0 / n_inputs), rel=0.25)


@pytest.mark.parametrize("n_inputs", [1, 2, 3, 8])
def test_he_neurons_with_few_inputs_are_alive_too(n_inputs: int) -> None:
    sums = [
        Block.dense(n_inputs, 8, init="he", seed=seed).weights.sum(axis=1).min()
        for seed in range(100)
    ]
    assert min(sums) >= 0.0


def test_he_kernels_are_alive_and_without_bias() -> None:
    for seed in range(20):
        block = Block.conv2d(7, 7, 3, free_bias=True, init="he", seed=seed)
        assert block.weights.sum() >= 0.0
        assert not block.bias.any()


@pytest.mark.parametrize("init", sorted(INITIALIZERS))
def test_seeds_are_repeatable_and_different(init: str) -> None:
    one, same, other = (Network.dense([5, 4, 3], init=init, seed=seed) for seed in (1, 1, 2))
    for a, b, c in zip(one.blocks, same.blocks, other.blocks, strict=True):
        assert a.theta.tobytes() == b.theta.tobytes() != c.theta.tobytes()
    dense = [Block.dense(4, 4, init=init, seed=seed).theta.tobytes() for seed in (7, 7, 8)]
    conv = [Block.conv2d(4, 4, 2, init=init, seed=seed).theta.tobytes() for seed in (7, 7, 8)]
    assert dense[0] == dense[1] != dense[2]
    assert conv[0] == conv[1] != conv[2]


def test_unknown_initialization_is_named() -> None:
    with pytest.raises(NetworkError, match=r"'glorot' is unknown; choose he, uniform, positive"):
        Network.dense([3, 2], init="glorot")


def test_classes_are_numbers_by_default_and_may_be_text() -> None:
    network = Network.dense([3, 2])
    assert network.classes.tolist() == [0, 1]
    named = network.with_classes(["zebra", "ape"])
    assert named.class_indices(["ape", "zebra", "ape"]).tolist() == [1, 0, 1]
    assert set(named.predict(np.random.default_rng(0).random((20, 3)))) <= {"zebra", "ape"}
    assert network.with_classes([7, -3]).class_indices(np.array([-3, 7])).tolist() == [1, 0]
    assert network.class_indices([]).tolist() == []


@pytest.mark.parametrize(
    "classes",
    [[0], [0, 1, 2], [1, 1], ["a", "a"], [0.5, 1.5], [True, False], [[0, 1]], [None, 1]],
    ids=repr,
)
def test_classes_that_do_not_fit_are_refused(classes: list[Any]) -> None:
    with pytest.raises(
        NetworkError, match="2 outputs needs as many different integer or text labels"
    ):
        Network.dense([3, 2]).with_classes(classes)


@pytest.mark.parametrize(
    ("classes", "labels", "words"),
    [
        ([0, 1], [0, 2], "label .*2.* is none of the network's 2 classes"),
        ([0, 1], [0, -1], "-1"),
        ([0, 1], [0.0, 0.5], r"0\.5"),
        ([0, 1], [0.0, np.nan], "nan"),
        ([0, 1], ["0", "1"], "0"),
        ([0, 1], [[0, 1]], r"\(1, 2\)"),
        ([0, 1], 1, r"\(\)"),
        ([0, 1], [None, 1], "label"),
        (["a", "b"], ["a", "c"], r"c.*\(a, b\)"),
        (["a", "b"], [0, 1], "label"),
        (["a", "b"], [None, "a"], "label"),
    ],
)
def test_unknown_labels_are_named(classes: list[Any], labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Network.dense([3, 2]).with_classes(classes).class_indices(labels)


def _examples() -> dict[str, Network]:
    tied = ParameterMap(
        np.array([[0, 0, -1, 1], [1, -1, 2, -1]]), np.array([[0, 0, 0.3, 0], [0, -0.7, 0, 1 / 3]])
    )
    return {
        "dense": Network.dense([5, 4, 3], seed=1),
        "conv": Network(
            [Block.conv2d(4, 5, 2, seed=2), Block.dense(12, 2, init="uniform", seed=3)]
        ),
        "conv with bias": Network(
            [Block.conv2d(3, 3, 2, free_bias=True, init="uniform", seed=2), Block.dense(4, 2)]
        ),
        "text": Network.dense([3, 2]).with_classes(["Käse", "a longer label"]),
        "numbers": Network.dense([3, 2]).with_classes([-5, 2**40]),
        "argmax": Network.dense([3, 2], seed=4).with_decision("argmax"),
        "mean": Network.from_notation("4x6-mean2-conv2-3", seed=5),
        "nothing to train": Network([Block.mean2d(4, 4, 2)]),
        "ties and fixed values": Network([Block(Tied(tied), np.array([0.1, 0.2, -1.0]))]),
    }


EXAMPLES = _examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_saved_networks_come_back(name: str, tmp_path: Path) -> None:
    network = EXAMPLES[name]
    path = network.save(tmp_path / "model.npz")
    assert path == tmp_path / "model.npz"
    found = Network.load(path)
    _same(network, found)
    X = np.random.default_rng(0).random((6, network.n_inputs))
    assert found.forward(X).tobytes() == network.forward(X).tobytes()
    assert found.predict(X).tolist() == network.predict(X).tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


@settings(deadline=None, max_examples=40)
@given(blocks())
def test_any_block_comes_back(block: Block) -> None:
    network = Network([block])
    with tempfile.TemporaryDirectory() as folder:
        _same(network, Network.load(network.save(Path(folder) / "model.npz")))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_network_gives_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EXAMPLES[name].save(tmp_path / "first.npz").read_bytes()
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    assert _examples()[name].save(tmp_path / "second.npz").read_bytes() == first
    assert Network.load(tmp_path / "first.npz").save(tmp_path / "third.npz").read_bytes() == first


def test_files_of_version_1_load(tmp_path: Path) -> None:
    weights, bias, index = (
        np.array([[0.5, -0.25], [1.0, 2.0]]),
        np.array([0.0, 0.125]),
        np.arange(6, dtype=np.int32),
    )
    np.savez(
        tmp_path / "model.npz",
        format=np.array("layermilp.network"),
        version=np.array(1),
        classes=np.array(["a", "b"]),
        n_blocks=np.array(1),
        weights_0=weights,
        bias_0=bias,
        index_0=index.reshape(2, 3),
    )
    expected = Network(
        [Block(Dense(2, 2), np.array([0.5, -0.25, 0.0, 1.0, 2.0, 0.125]))], ["a", "b"]
    )
    _same(expected, Network.load(tmp_path / "model.npz"))
    assert expected.decision == "closest_to_one"
    with np.load(Network.load(tmp_path / "model.npz").save(tmp_path / "new.npz")) as archive:
        assert archive["version"] == 3 and archive["decision"] == "closest_to_one"


OLD_NAMES = {"closest_to_one": "nearest", "argmax": "largest"}


def _version_2(network: Network, path: Path) -> Path:
    """Write a network as files of version 2 are: without layers, and with other decisions."""
    arrays = network.arrays()
    del arrays["layers"]
    decision = np.array(OLD_NAMES[network.decision])
    return write_model_file(path, Network.FORMAT, 2, {**arrays, "decision": decision})


@pytest.mark.parametrize("name", EXAMPLES)
def test_files_of_version_2_load(name: str, tmp_path: Path) -> None:
    _same(EXAMPLES[name], Network.load(_version_2(EXAMPLES[name], tmp_path / "model.npz")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("28x28-mean4-conv3-10", "28x28-mean4-conv3-10"),
        ("6x9-mean3-conv2b-conv1-4-2", "6x9-mean3-conv2b-conv1-4-2"),
        ("2x8-conv1-conv2-3", "2x8-conv1-conv2-3"),
        ("2x8-conv1-10", "4x4-conv1-10"),
        ("3x3-conv3b-10", "9-1-10"),
    ],
)
def test_layers_of_version_2_are_the_simplest_with_these_ties(
    text: str, found: str, tmp_path: Path
) -> None:
    network = Network.from_notation(text, init="uniform")
    again = Network.load(_version_2(network, tmp_path / "model.npz"))
    assert again.notation == found
    for one, other in zip(network.blocks, again.blocks, strict=True):
        assert one.theta.tobytes() == other.theta.tobytes()
        assert one.parameters.is_same(other.parameters)


def test_old_names_of_decisions_are_taken_and_not_kept() -> None:
    for name, old in OLD_NAMES.items():
        assert Network([Block.dense(3, 2)], decision=old).decision == name
        assert Network.dense([3, 2]).with_decision(old).decision == name


def test_saving_replaces_a_file_and_takes_any_name(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("old")
    EXAMPLES["dense"].save(str(path))
    _same(EXAMPLES["dense"], Network.load(str(path)))
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_unwritable_places_are_named_and_left_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "file" / "model.npz",
        tmp_path / "missing" / "model.npz",
        tmp_path / "folder",
    ):
        with pytest.raises(OutputError, match=path.name):
            EXAMPLES["dense"].save(path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "file",
        "folder",
    ]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("error", "seen"), [(OSError(28, "No space left"), OutputError), (KeyboardInterrupt(), None)]
)
def test_interrupted_writing_leaves_the_old_file(
    error: BaseException, seen: type | None, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")

    def write(file: Any) -> None:
        file.write(b"half of the new")
        raise error

    with pytest.raises(seen or type(error)):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


class _Trap:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _arrays(network: Network, folder: Path) -> dict[str, Any]:
    with np.load(network.save(folder / "original.npz")) as archive:
        return dict(archive)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nope.npz", tmp_path / "no folder" / "nope.npz", tmp_path):
        with pytest.raises(ModelFileError, match="there is no model file") as caught:
            Network.load(path)
        assert str(path) in str(caught.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    array = io.BytesIO()
    np.save(array, np.arange(3))
    pickled = pickle.dumps({"format": "layermilp.network"})
    for content in (b"", b"PK", b"hello", b"\x00" * 1000, pickled, array.getvalue()):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"model\.npz"):
            Network.load(path)
    for arrays in (
        {},
        {"weights_0": np.eye(2)},
        {"format": np.array("other")},
        {"format": np.eye(2)},
    ):
        np.savez(path, **arrays)
        with pytest.raises(ModelFileError, match=r"model\.npz is not a layermilp model"):
            Network.load(path)


@pytest.mark.parametrize("key", ["extra", "format", "classes", "weights_0", "index_0"])
def test_pickles_are_never_executed(key: str, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    trap = np.empty(1, dtype=object)
    trap[0] = _Trap(tmp_path / "sprung")
    np.savez(tmp_path / "model.npz", **{**arrays, key: trap})
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "model.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(trap))
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "pickle.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("version", [4, 0, -1, 1.5, "3", [1, 2]])
def test_other_versions_are_named(version: Any, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    np.savez(tmp_path / "model.npz", **{**arrays, "version": np.array(version)})
    with pytest.raises(
        ModelFileError, match=r"model\.npz has format version .*; this layermilp reads 1, 2, 3"
    ):
        Network.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    "key",
    [
        "format",
        "version",
        "classes",
        "decision",
        "n_blocks",
        "layers",
        "weights_1",
        "bias_0",
        "index_0",
    ],
)
def test_missing_arrays_are_noticed(key: str, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    del arrays[key]
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_blocks", 0),
        ("n_blocks", -1),
        ("n_blocks", 10**9),
        ("n_blocks", np.nan),
        ("n_blocks", np.inf),
        ("n_blocks", "two"),
        ("n_blocks", [2, 2]),
        ("classes", [0, 1]),
        ("classes", [0, 0, 1]),
        ("classes", [0.0, 1.0, 2.0]),
        ("classes", 3),
        ("decision", "smallest"),
        ("decision", ["closest_to_one"]),
        ("decision", 0),
        ("layers", "x"),
        ("layers", ["x", "x"]),
        ("layers", ["[]", "[]"]),
        ("layers", ['["Dense", {"in_features": 5, "out_features": 4}]']),
        ("layers", ['["Dense", {"in_features": 5, "out_features": 3}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"in_features": 5.0, "out_features": 4}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"in_features": 99999, "out_features": 9999}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"sizes": [5, 4]}]', '["Tied", {}]']),
        ("layers", ['["Conv", {}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 5], "window": {"size": [1, 1]}}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 1, 5], "window": {"size": [1]}}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 1, 5], "window": {"size": [1, 2]}}]'] * 2),
        ("weights_0", np.eye(4)),
        ("weights_0", np.zeros((4, 5, 1))),
        ("weights_0", 1.0),
        ("weights_0", np.full((4, 5), np.nan)),
        ("weights_0", np.full((4, 5), np.inf)),
        ("weights_0", np.full((4, 5), "x")),
        ("weights_0", np.zeros((4, 5), dtype="i4,i4")),
        ("weights_0", np.zeros((0, 5))),
        ("bias_0", np.zeros(3)),
        ("bias_0", np.zeros((4, 1))),
        ("bias_0", np.full(4, np.nan)),
        ("bias_0", np.full(4, "x")),
        ("index_0", np.zeros((4, 6), dtype=int)),
        ("index_0", np.arange(24)),
        ("index_0", np.arange(1, 25).reshape(4, 6)),
        ("index_0", np.full((4, 6), -2)),
        ("index_0", np.full((4, 6), 2**62)),
        ("index_0", np.full((4, 6), "x")),
        ("index_0", np.zeros((4, 6), dtype="i4,i4")),
        ("index_0", np.zeros((0, 6), dtype=int)),
        ("index_0", 0),
    ],
)
def test_arrays_that_do_not_fit_are_noticed(key: str, value: Any, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    np.savez(tmp_path / "model.npz", **{**arrays, key: np.asarray(value)})
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged"):
        Network.load(tmp_path / "model.npz")


def _bytes_of(network: Network) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return network.save(Path(folder) / "model.npz").read_bytes()


WHOLE = {name: _bytes_of(EXAMPLES[name]) for name in ("dense", "conv", "text")}


def _survives(name: str, content: bytes) -> None:
    """Load damaged content: either it is refused, or the damage did not touch the network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        path.write_bytes(content)
        try:
            found = Network.load(path)
        except ModelFileError as error:
            assert str(path) in str(error)
        else:
            _same(EXAMPLES[name], found)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_truncated_files_are_refused(name: str, data: st.DataObject) -> None:
    whole = WHOLE[name]
    _survives(name, whole[: data.draw(st.integers(0, len(whole) - 1))])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_flipped_bytes_are_refused_or_harmless(name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    flips = st.lists(
        st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), min_size=1, max_size=3
    )
    for place, change in data.draw(flips):
        content[place] ^= change
    _survives(name, bytes(content))
