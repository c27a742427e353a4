"""Class weights: what is taken, what is refused, and what they mean for rare classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Network
from layermilp.errors import DataError, OptionError
from layermilp.layerwise.objective import check_class_weight, one_weights
from tests.layerwise.samples import clusters


def test_balanced_weights_make_ones_and_zeros_weigh_the_same() -> None:
    _, y = clusters()
    network = Network.dense([5, 4], init="uniform", seed=1)
    found = one_weights("balanced", network, y)
    counts = np.bincount(y, minlength=4)
    assert (found * counts)[:3] == pytest.approx((len(y) - counts)[:3])
    assert found[3] == 1.0
    assert one_weights(None, network, y).tolist() == [1.0] * 4
    assert one_weights(2.5, network, y).tolist() == [2.5] * 4
    assert one_weights({3: 2, 1: 0.5}, network, y).tolist() == [1.0, 0.5, 1.0, 2.0]
    assert one_weights({}, network, y).tolist() == [1.0] * 4
    text = network.with_classes(["x", "y", "z", "w"])
    assert one_weights({"w": 2.0}, text, y).tolist() == [1.0, 1.0, 1.0, 2.0]
    with pytest.raises(DataError, match="label 'v'"):
        one_weights({"v": 2.0}, text, y)


@pytest.mark.parametrize("weight", [None, "balanced", 1, 0.5, np.float64(2.0), {0: 1, 1: 2.5}, {}])
def test_class_weights_that_are_taken(weight: Any) -> None:
    check_class_weight(weight)


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        (0, "0"),
        (-1.5, r"-1\.5"),
        (np.inf, "inf"),
        (float("nan"), "nan"),
        (True, "True"),
        ("rare", "'rare'"),
        ({0: -1.0}, r"-1\.0"),
        ({0: 1.0, 1: "balanced"}, "'balanced'"),
        ({0: False}, "False"),
    ],
)
def test_class_weights_that_are_refused(weight: Any, shown: str) -> None:
    with pytest.raises(OptionError, match=f"class_weight is {shown}; it must be balanced"):
        check_class_weight(weight)


@pytest.mark.parametrize(
    "weight", [[1.0, 2.0], np.array([1.0, 2.0]), {0: None}, {0: [1.0]}], ids=repr
)
def test_class_weights_of_other_types_are_refused(weight: Any) -> None:
    with pytest.raises(OptionError, match="class_weight is"):
        check_class_weight(weight)
