"""The fewest neurons that are needed."""

from __future__ import annotations

import numpy as np

from layermilp import integer


def test_the_fewest_neurons_are_found_and_proven() -> None:
    """Two neurons are needed for what one line does not separate, one for what it does."""
    corners = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    apart = integer.train(corners, [0, 0, 1, 1], hidden=(4,), bound=3, neurons="fewest", n_jobs=1)
    assert apart.network.n_hidden == apart.least_neurons == 2 and apart.accuracy == 1.0
    line = integer.train(corners, [0, 1, 1, 1], hidden=(4,), bound=3, neurons="fewest", n_jobs=1)
    assert line.network.n_hidden == line.least_neurons == 1 and line.accuracy == 1.0
