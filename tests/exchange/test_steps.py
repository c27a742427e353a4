"""Convolutions and means against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block
from layermilp.errors import NetworkError
from layermilp.exchange.steps import convolution, mean
from layermilp.networks.layers import AveragePool2d, Conv2d, described
from layermilp.networks.windows import Window
from tests.exchange.examples import SEEDS, correlated

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
    rng = np.random.default_rng(seed)
    shown, channels = Window(**window), groups * of_group
    layer = Conv2d((channels, *image), shown, groups * maps, groups, bias)
    kernels, numbers = rng.normal(size=layer.kernels), rng.normal(size=groups * maps)
    offset = numbers if bias else None
    images = rng.normal(size=(2, *layer.inputs))
    block = Block(layer, layer.theta(kernels, offset))
    expected = correlated(images, layer, kernels, offset)
    assert layer.outputs == expected.shape[1:]
    np.testing.assert_allclose(
        block.preactivation(images.reshape(2, -1)), expected.reshape(2, -1), rtol=0, atol=1e-12
    )
    # What meets no pixel is no parameter; all else is one, however often it is used.
    assert block.theta.size <= kernels.size + (0 if offset is None else offset.size)
    assert set(block.theta.tolist()) <= {
        *kernels.reshape(-1).tolist(),
        *([] if offset is None else offset.tolist()),
    }
    again, also = layer.arrays(block.theta)
    assert np.array_equal(again, np.where(again == 0.0, 0.0, kernels))
    assert (
        again.shape == kernels.shape
        and np.count_nonzero(again) + (0 if also is None else also.size) == block.theta.size
    )
    assert layer.theta(again, also).tobytes() == block.theta.tobytes()
    assert (also is None) == (offset is None)
    assert also is None or offset is None or np.array_equal(also, offset)
    assert described(layer.text, block.parameters) == layer

    ones = np.ones((channels, 1, *shown.size))
    each = Conv2d(layer.image, shown, channels, channels)
    sums, counts = (correlated(pixels, each, ones) for pixels in (images, np.ones_like(images)))
    for count_include_pad, divisor in (
        (False, np.maximum(counts, 1)),
        (True, np.float64(shown.size[0] * shown.size[1])),
    ):
        pool = AveragePool2d(layer.image, shown, count_include_pad)
        block = Block(pool, np.zeros(0))
        expected = (sums / divisor).reshape(2, -1)
        np.testing.assert_allclose(
            block.preactivation(images.reshape(2, -1)), expected, rtol=0, atol=1e-12
        )
        assert described(pool.text, block.parameters) == pool


def test_one_channel_gives_the_layers_of_the_notation() -> None:
    kernel, pair = np.arange(9.0).reshape(1, 1, 3, 3), Window((2, 2), (2, 2))
    for offset in (None, np.ones(1)):
        layer = convolution("a", kernel, offset, Window((3, 3))).layer((1, 5, 7))
        assert layer == Conv2d.plain(5, 7, 3, bias=offset is not None)
    for count_include_pad in (False, True):
        layer = mean("a", pair, count_include_pad).layer((1, 4, 6))
        assert layer == AveragePool2d.plain(4, 6, 2) and layer.item == "mean2"
    assert mean("a").layer((1, 4, 4)).item == "mean4"


def test_windows_take_no_memory_beyond_that_of_the_weights() -> None:
    whole = Window((2**30, 2**30), padding=(2**29,) * 4)
    pool = AveragePool2d((1, 4, 4), whole)
    assert pool.outputs == (1, 5, 5) and pool.parameters.fixed[0, 0] == 1.0 / 16.0
    assert Conv2d((1, 4, 4), whole).parameters.n_parameters == 8 * 8
    for make in (Conv2d, AveragePool2d):
        with pytest.raises(NetworkError, match="2\\^31 - 1 weights are the limit"):
            make((1, 4, 4), Window((2, 2), padding=(9**6,) * 4))
