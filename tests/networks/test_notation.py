"""The notation of networks: what it builds, how it is printed, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.errors import NetworkError
from layermilp.networks.layers import Conv2d, Dense, Tied
from layermilp.networks.network import Block, Network
from layermilp.networks.notation import parse, written
from layermilp.networks.parameters import ParameterMap
from layermilp.networks.windows import Window


@st.composite
def notations(draw: st.DrawFn) -> str:
    """Draw a network with something to train."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    items = [f"{height}x{width}"]
    for _ in range(draw(st.integers(0, 3))):
        kernels = [
            (f"conv{k}{b}", height - k + 1, width - k + 1)
            for k in range(1, min(height, width) + 1)
            for b in ("", "b")
        ]
        divisors = [k for k in range(1, min(height, width) + 1) if height % k == width % k == 0]
        means = [(f"mean{k}", height // k, width // k) for k in divisors]
        item, height, width = draw(st.sampled_from(kernels + means))
        items.append(item)
    sizes = draw(
        st.lists(st.integers(1, 5), min_size=not any("conv" in item for item in items), max_size=3)
    )
    return "-".join([*items, *map(str, sizes)])


def _forward(text: str, thetas: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    """Run a network pixel by pixel, as its notation says."""
    values = image
    for item, theta in zip(text.split("-")[1:], thetas, strict=True):
        if item.startswith("conv"):
            k = int(item[4:].rstrip("b"))
            bias = theta[-1] if item.endswith("b") else 0.0
            out = np.zeros((values.shape[0] - k + 1, values.shape[1] - k + 1))
            for i, j in np.ndindex(out.shape):
                out[i, j] = bias + sum(
                    theta[k * p + q] * values[i + p, j + q] for p in range(k) for q in range(k)
                )
        elif item.startswith("mean"):
            k = int(item[4:])
            out = np.zeros((values.shape[0] // k, values.shape[1] // k))
            for i, j in np.ndindex(out.shape):
                out[i, j] = (
                    sum(values[k * i + p, k * j + q] for p in range(k) for q in range(k)) / k**2
                )
        else:
            extended = theta.reshape(int(item), -1)
            out = np.array([sum(row[:-1] * values.reshape(-1)) + row[-1] for row in extended])
        values = np.maximum(out, 0.0)
    return values.reshape(-1)


@settings(deadline=None, max_examples=60)
@given(notations(), st.integers(0, 2**32 - 1))
def test_networks_compute_what_their_notation_says(text: str, seed: int) -> None:
    network = Network.from_notation(text, init="uniform", seed=seed)
    height, width = map(int, text.split("-")[0].split("x"))
    images = np.random.default_rng(seed).random((2, height, width))
    expected = [
        _forward(text, [block.theta for block in network.blocks], image) for image in images
    ]
    np.testing.assert_allclose(
        network.forward(images.reshape(2, -1)), expected, rtol=1e-9, atol=1e-9
    )


@settings(deadline=None, max_examples=150)
@given(notations())
def test_a_notation_is_printed_as_it_was(text: str) -> None:
    first, *items = text.split("-")
    if items[0].isdigit():  # a dense layer does not know that its inputs are an image
        first = str(math.prod(map(int, first.split("x"))))
    layers = parse(text)
    assert written(layers) == "-".join([first, *items])
    assert parse(written(layers)) == layers


@pytest.mark.parametrize(
    "text",
    [
        "784-8-8-8-10",
        "2-2",
        "28x28-mean4-conv3-10",
        "7x7-conv3-10",
        "7x7-conv3b-10",
        "9x6-conv2",
        "6x9-mean3-conv2b-conv1-4-2",
    ],
)
def test_common_networks_are_printed_as_they_were(text: str, tmp_path: Path) -> None:
    network = Network.from_notation(text)
    assert network.notation == text
    assert repr(network) == f"Network({text})"
    assert Network.load(network.save(tmp_path / "model.npz")).notation == text


@pytest.mark.parametrize(("text", "printed"), [("7x7-10", "49-10"), ("784-08-010", "784-8-10")])
def test_of_several_notations_the_simplest_is_printed(text: str, printed: str) -> None:
    assert Network.from_notation(text).notation == printed


def test_networks_without_a_notation_are_printed_as_sizes() -> None:
    tied = ParameterMap(np.array([[0, 0, -1, 1], [1, -1, 2, -1]]), np.zeros((2, 4)))
    assert Network([Block(Tied(tied), np.zeros(3)), Block.dense(2, 5)]).notation == "3-2-5"
    whole = Conv2d((1, 4, 4), Window((2, 2), padding=(0, 1, 0, 1)))
    assert Network([Block(whole, np.zeros(4)), Block.dense(15, 1)]).notation == "16-15-1"
    assert Network([Block(Dense(3, 2, bias=False), np.zeros(6))]).notation == "3-2"
    assert Network([Block.dense(3, 16), Block.conv2d(4, 4, 3)]).notation == "3-16-4"


def test_the_convolutional_network_of_the_paper() -> None:
    small, whole = Network.conv(7, 7, 3, seed=3), Network.conv(28, 28, 3, mean=4, seed=3)
    assert (small.notation, whole.notation) == ("7x7-conv3-10", "28x28-mean4-conv3-10")
    assert [block.theta.size for block in whole.blocks] == [0, 9, 260]
    images = np.random.default_rng(0).random((5, 7, 4, 7, 4))
    means = images.mean(axis=(2, 4)).reshape(5, 49)
    np.testing.assert_allclose(
        whole.forward(images.reshape(5, 784)), small.forward(means), rtol=1e-12
    )
    for one, other in zip(small.blocks, whole.blocks[1:], strict=True):
        assert one.theta.tobytes() == other.theta.tobytes()
        assert one.theta.min() >= 0.0 and one.theta.max() <= 1.0


def test_conv_builds_what_the_notation_builds() -> None:
    one = Network.conv(6, 4, 2, 3, mean=2, free_bias=True, init="uniform", seed=7)
    other = Network.from_notation("6x4-mean2-conv2b-3", init="uniform", seed=7)
    assert one.notation == other.notation == "6x4-mean2-conv2b-3"
    assert [block.theta.tobytes() for block in one.blocks] == [
        block.theta.tobytes() for block in other.blocks
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((7, 7, 8), "kernel of 8 x 8"),
        ((7, 0, 3), "0 is not a layer size"),
        ((7, 7, 3, 0), "0 is not a layer size"),
        ((7, 7, 3.0), "3.0 is not a layer size"),
    ],
)
def test_conv_sizes_are_validated(arguments: tuple[int, ...], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        Network.conv(*arguments)


@pytest.mark.parametrize(
    ("mean", "words"),
    [(3, "regions of 3 x 3"), (0, "0 is not"), (-1, "-1 is not"), (2.0, "2.0 is not")],
)
def test_conv_regions_are_validated(mean: int, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        Network.conv(8, 8, 2, mean=mean)


@pytest.mark.parametrize(
    ("text", "item", "words"),
    [
        ("", "", "size of the input first, such as 784 or 28x28"),
        ("-10", "", "size of the input"),
        ("conv3-10", "conv3", "size of the input"),
        ("7x-10", "7x", "size of the input"),
        ("7x7x1-10", "7x7x1", "size of the input"),
        ("7X7-10", "7X7", "size of the input"),
        (" 784-10", " 784", "size of the input"),
        ("7x0-10", "7x0", "0 is not a layer size"),
        ("784-", "", "number of neurons"),
        ("784-8.5-10", "8.5", "number of neurons"),
        ("784-\uff13-10", "\uff13", "number of neurons"),
        ("784-0-10", "0", "0 is not a layer size"),
        ("784-28x28-10", "28x28", "number of neurons"),
        ("7x7-conv-10", "conv", "conv3, conv3b and mean4"),
        ("7x7-conv3c-10", "conv3c", "conv3, conv3b and mean4"),
        ("7x7-mean7b-10", "mean7b", "conv3, conv3b and mean4"),
        ("7x7-3b-10", "3b", "conv3, conv3b and mean4"),
        ("7x7-Conv3-10", "Conv3", "conv3, conv3b and mean4"),
        ("7x7-conv0-10", "conv0", "0 is not a layer size"),
        ("7x7-mean0-10", "mean0", "0 is not a layer size"),
        (
            "7x7-conv8-10",
            "conv8",
            "kernel of 8 x 8 does not fit an image of 7 x 7; choose at most 7",
        ),
        ("7x7-conv3-conv6-10", "conv6", "an image of 5 x 5"),
        (
            "8x6-mean4-10",
            "mean4",
            "regions of 4 x 4 do not fit an image of 8 x 6; choose a common divisor",
        ),
        ("784-conv3-10", "conv3", "take an image; begin with one, such as 28x28"),
        ("7x7-10-mean2-10", "mean2", "put dense layers last"),
        ("999999999999-999999999999", "999999999999", "too large"),
        ("9999999999x9999999999-conv3", "conv3", "too large"),
        ("9" * 5000 + "-10", "9", "size of the input"),
    ],
)
def test_bad_items_are_named(text: str, item: str, words: str) -> None:
    with pytest.raises(NetworkError) as caught:
        Network.from_notation(text)
    message = str(caught.value)
    assert (
        message.startswith(f"net {text!r}, item '{item}")
        and words in message
        and "\n" not in message
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("784", "no layers; .* 784-8-10"),
        ("7x7", "no layers"),
        ("8x8-mean2-mean2", "nothing to train; .* 8x8-mean2-mean2-10"),
    ],
)
def test_networks_without_parameters_are_refused(text: str, words: str) -> None:
    with pytest.raises(NetworkError, match=f"net '{text}' has {words}"):
        Network.from_notation(text)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="0123 x-convmeab", max_size=12))
def test_any_text_is_a_network_or_refused_in_one_line(text: str) -> None:
    try:
        layers = parse(text)
    except NetworkError as error:
        assert "\n" not in str(error) and repr(text) in str(error)
    else:
        assert parse(written(layers)) == layers
