"""Training in batches, and their average."""

from __future__ import annotations

from typing import Any

import numpy as np

from layermilp import integer
from layermilp.integer.batches import average
from layermilp.integer.neighbourhood import Box
from tests.integer.instances import blobs, drawn_network


def test_batches_are_averaged_within_shrinking_bounds() -> None:
    network = drawn_network(np.random.default_rng(0), (3, 2, 2), 7)
    box = Box.of(network, 2)
    for layer, lower, upper in zip(network.layers, box.lower, box.upper, strict=True):
        np.testing.assert_array_equal(lower, np.maximum(layer.theta - 2, -7))
        np.testing.assert_array_equal(upper, np.minimum(layer.theta + 2, 7))
    other = drawn_network(np.random.default_rng(1), (3, 2, 2), 7)
    mean = average([network, other], [0.75, 0.25])
    for found, a, b in zip(mean.layers, network.layers, other.layers, strict=True):
        np.testing.assert_array_equal(found.theta, np.rint(0.75 * a.theta + 0.25 * b.theta))


def test_training_in_batches_learns_and_does_not_depend_on_the_workers() -> None:
    X, y = blobs(400)
    options: dict[str, Any] = {
        "hidden": (3,),
        "bound": 7,
        "batch_size": 80,
        "epochs": 2,
        "node_limit": 10,
    }
    one, two = (integer.train(X, y, n_jobs=n, **options) for n in (1, 2))
    assert one.accuracy > 0.55 and one.accuracy == one.network.accuracy(X, y)
    assert all(
        np.array_equal(a.theta, b.theta)
        for a, b in zip(one.network.layers, two.network.layers, strict=True)
    )
