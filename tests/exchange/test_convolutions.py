"""Convolutions and means against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.examples import SEEDS, correlated
from layermilp import Block
from layermilp.exchange.layers import Convolution, Mean
from layermilp.networks.parameters import ParameterMap
from layermilp.networks.windows import Window

small = st.integers(1, 2)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(small, small)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return {"size": draw(pair), "strides": draw(pair), "padding": padding, "dilations": draw(pair)}


@settings(deadline=None, max_examples=40)
@given(
    SEEDS,
    small,
    small,
    small,
    st.tuples(st.integers(3, 5), st.integers(3, 5)),
    windows(),
    st.booleans(),
)
def test_convolutions_are_what_they_say(
    seed: int, groups: int, of_group: int, maps: int, image: Any, window: dict[str, Any], bias: bool
) -> None:
    size, *others = window.values()
    rng = np.random.default_rng(seed)
    kernels, offset = (
        rng.normal(size=(groups * maps, of_group, *size)),
        rng.normal(size=groups * maps) if bias else None,
    )
    layer = Convolution(kernels, offset, *others, groups)
    images = rng.normal(size=(2, groups * of_group, *image))
    block, shape = layer.block(images.shape[1:])
    expected = correlated(images, layer)
    assert shape == expected.shape[1:]
    np.testing.assert_allclose(
        block.preactivation(images.reshape(2, -1)), expected.reshape(2, -1), rtol=0, atol=1e-12
    )
    # What meets no pixel is no parameter; all else is one, however often it is used.
    assert block.theta.size <= kernels.size + (0 if offset is None else offset.size)
    assert set(block.theta.tolist()) <= {
        *kernels.reshape(-1).tolist(),
        *([] if offset is None else offset.tolist()),
    }

    ones = np.ones((groups * of_group, 1, *size))
    sums = correlated(images, Convolution(ones, None, *others, groups * of_group))
    counts = correlated(np.ones_like(images), Convolution(ones, None, *others, groups * of_group))
    for counts_padding, divisor in (
        (False, np.maximum(counts, 1)),
        (True, np.float64(size[0] * size[1])),
    ):
        block, _ = Mean(Window(size, *others), counts_padding).block(images.shape[1:])
        expected = (sums / divisor).reshape(2, -1)
        np.testing.assert_allclose(
            block.preactivation(images.reshape(2, -1)), expected, rtol=0, atol=1e-12
        )
        assert block.theta.size == 0


def test_one_channel_gives_the_maps_of_the_library() -> None:
    for bias, free in ((None, False), (np.ones(1), True)):
        block, _ = Convolution(np.arange(9.0).reshape(1, 1, 3, 3), bias).block((1, 5, 7))
        assert np.array_equal(
            block.parameters.index, ParameterMap.conv2d(5, 7, 3, free_bias=free).index
        )
    block, _ = Mean(Window((2, 2), (2, 2))).block((1, 4, 6))
    assert block.extended.tobytes() == Block.mean2d(4, 6, 2).extended.tobytes()
