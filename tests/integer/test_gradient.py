"""The straight-through estimator."""

from __future__ import annotations

import numpy as np

from layermilp.integer.gradient import straight_through
from layermilp.integer.neighbourhood import Samples
from layermilp.networks.integer import (
    IntegerNetwork,
    rounded,
)


def test_straight_through_learns_what_is_separable() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rounded(np.column_stack([0.4 * rng.random(40) + 0.6 * y, rng.random(40)]), 2)
    network = IntegerNetwork.zeros((2, 16, 2), 7)
    assert straight_through(Samples(X, y), network, seed=0).accuracy(X, y) == 1.0
