"""Layers against their definitions, and sizes that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from layermilp import Block
from layermilp.errors import NetworkError
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense
from layermilp.networks.parameters import ParameterMap
from tests.networks.examples import SEEDS


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
