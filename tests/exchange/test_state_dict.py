"""Mappings of names to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Block, Network
from layermilp.errors import NetworkError
from layermilp.exchange import (
    from_state_dict,
    to_state_dict,
)
from layermilp.networks.layers import Conv2d, Tied
from layermilp.networks.windows import Window
from tests.exchange.examples import (
    DECISIONS,
    NETS,
    PIXELS,
    correlated,
    dyadic,
    same,
    trained,
)


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("net", NETS)
def test_state_dicts_come_back_the_same(net: str, decision: str) -> None:
    network = trained(net, decision)
    mapping = to_state_dict(network)
    assert all(array.dtype == np.float64 for array in mapping.values())
    same(from_state_dict(mapping, net=net, decision=decision), network)
    rounded = from_state_dict(to_state_dict(network, dtype="float32"), net=net, decision=decision)
    np.testing.assert_allclose(rounded.forward(PIXELS), network.forward(PIXELS), rtol=0, atol=1e-5)


def test_names_and_shapes_are_those_of_a_sequential() -> None:
    shapes = {name: array.shape for name, array in to_state_dict(Network.dense([4, 3, 2])).items()}
    assert shapes == {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    shapes = {
        name: array.shape
        for name, array in to_state_dict(Network.conv(8, 8, 3, mean=2, free_bias=True)).items()
    }
    assert shapes == {
        "3.weight": (1, 1, 3, 3),
        "3.bias": (1,),
        "6.weight": (10, 4),
        "6.bias": (10,),
    }


def test_convolutions_of_several_channels_keep_their_shapes() -> None:
    rng = np.random.default_rng(0)
    mapping = {
        "1.weight": rng.normal(size=(4, 1, 2, 3)),
        "1.bias": rng.normal(size=4),
        "3.weight": rng.normal(size=(2, 4, 2, 2)),
        "6.weight": rng.normal(size=(3, 8)),
        "6.bias": rng.normal(size=3),
    }
    network = from_state_dict(mapping, image=(2, 4, 5), strides=(1, 1), padding=(0, 0))
    back = to_state_dict(network)
    assert list(back) == list(mapping)
    assert all(np.array_equal(back[name], mapping[name]) for name in mapping)
    tied = Network(
        [Block(Tied(block.parameters), block.theta) for block in network.blocks],
        decision=network.decision,
    )
    assert tied.forward(np.eye(40)).tobytes() == network.forward(np.eye(40)).tobytes()
    assert [array.shape for array in to_state_dict(tied).values()][:2] == [(36, 40), (36,)]


def test_mappings_of_others() -> None:
    rng = np.random.default_rng(0)
    mapping = {
        "features.0.weight": dyadic(rng, 4, 1, 2, 2),
        "features.0.bias": dyadic(rng, 4),
        "features.2.weight": dyadic(rng, 2, 4, 3, 3),
        "head.weight": dyadic(rng, 3, 8),
        "head.bias": dyadic(rng, 3),
    }
    mapping = {name: array.astype(np.float32) for name, array in mapping.items()}
    network = from_state_dict(
        mapping, image=(2, 5, 5), strides=[1, 2], padding=(0, 1), classes=["a", "b", "c"]
    )
    X = dyadic(rng, 3, 2, 5, 5)
    kernels = [mapping[f"features.{i}.weight"].astype(float) for i in (0, 2)]
    one = Conv2d((2, 5, 5), Window((2, 2)), 4, groups=2)
    two = Conv2d((4, 4, 4), Window((3, 3), (2, 2), (1, 1, 1, 1)), 2)
    first = correlated(X, one, kernels[0], mapping["features.0.bias"])
    hidden = np.maximum(correlated(np.maximum(first, 0), two, kernels[1]), 0).reshape(3, -1)
    expected = hidden @ mapping["head.weight"].T.astype(float) + mapping["head.bias"]
    np.testing.assert_allclose(network.forward(X.reshape(3, -1)), expected, rtol=0, atol=1e-12)
    assert network.classes.tolist() == ["a", "b", "c"] and network.decision == "argmax"


def test_weights_return_to_the_names_they_came_from() -> None:
    rng = np.random.default_rng(0)
    mapping = {
        "body.0.weight": rng.normal(size=(4, 2, 2, 2)),
        "body.0.bias": rng.normal(size=4),
        "body.1.weight": rng.normal(size=(2, 4, 2, 2)),
        "weight": rng.normal(size=(3, 8)),
        "bias": rng.normal(size=3),
    }
    network = from_state_dict(mapping, image=(2, 4, 4))
    back = to_state_dict(network, like=mapping)
    assert list(back) == list(mapping) and all(
        np.array_equal(back[name], mapping[name]) for name in mapping
    )
    doubled = Network(
        [block.with_theta(2 * block.theta) for block in network.blocks], decision="argmax"
    )
    same(from_state_dict(to_state_dict(doubled, like=mapping), image=(2, 4, 4)), doubled)
    with pytest.raises(
        NetworkError, match="has 1 layers with weights, but what it shall be like has 3"
    ):
        to_state_dict(Network.dense([8, 3]), like=mapping)
    with pytest.raises(NetworkError, match=r"is not like '0' of shape \(3, 8\)"):
        to_state_dict(Network.dense([8, 2]), like={"0.weight": mapping["weight"]})


@pytest.mark.parametrize(
    ("mapping", "options", "words"),
    [
        ({}, {}, "there are no weights"),
        (
            {"0.weight": np.ones((2, 3)), "1.running_mean": np.ones(2)},
            {},
            "'1.running_mean' is neither a weight nor a bias",
        ),
        ({"0.weight": np.ones(3)}, {}, "neither a Linear nor a Conv2d"),
        ({"0.bias": np.ones(3)}, {}, "neither a Linear nor a Conv2d"),
        (
            {"0.weight": np.ones((2, 3)), "0.bias": np.ones(3)},
            {},
            r"'0' has weight of shape \(2, 3\), bias of shape \(3,\)",
        ),
        ({"0.weight": np.ones((0, 3))}, {}, "neither a Linear nor a Conv2d"),
        ({"0.weight": np.ones((2, 3), np.float16)}, {}, "type float16"),
        ({"0.weight": "text"}, {}, "type str"),
        (
            {"0.weight": np.ones((2, 3)), "2.weight": np.ones((2, 3))},
            {},
            r"Linear '2' takes samples of shape \(3,\), but gets",
        ),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {}, "give it as image"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {"image": (4,)}, "give channels, height and width"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {"image": (4, 0)}, "0 is not a layer size"),
        (
            {"0.weight": np.ones((1, 1, 2, 2))},
            {"image": (4, 4), "strides": [1, 1]},
            "each of the 1 Conv2d layers",
        ),
        ({"0.weight": np.ones((1, 3, 2, 2))}, {"image": (4, 4)}, "do not fit images of 1 channels"),
        (
            {"0.weight": np.ones((2, 3))},
            {"net": "3-2-2"},
            "weights of 1 layers, but net '3-2-2' has 2",
        ),
        ({"0.weight": np.ones((2, 3))}, {"net": "3-2"}, "a bias where '0' has shape .* no bias"),
        ({"0.weight": np.ones((2, 3))}, {"decision": "best"}, "decision 'best' is unknown"),
        ({"0.weight": np.ones((2, 3))}, {"classes": [1]}, "as many different"),
    ],
)
def test_mappings_that_are_no_network_are_refused(
    mapping: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(NetworkError, match=words):
        from_state_dict(mapping, **options)
