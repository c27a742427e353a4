"""Votes of neurons."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp.integer.bagging import output_codes, voting
from layermilp.networks.integer import (
    IntegerNetwork,
    rounded,
)


@pytest.mark.parametrize("hidden", [(4,), (3, 5), (4, 4, 7)])
def test_a_vote_is_that_of_its_neurons(hidden: tuple[int, ...]) -> None:
    """Counted by hand: codes of the neurons that fire, and the majority class among the equals."""
    rng = np.random.default_rng(0)
    X, count, majority = rng.random((50, 3)), min(hidden), 1
    codes = output_codes(count, 3, rng)
    assert np.all(np.sort(codes, axis=1) == [-1, -1, 1])
    voters = rng.integers(-7, 8, (count, 4))
    network = voting(IntegerNetwork.zeros((3, *hidden, 3), 7), list(voters), codes, majority)
    fires = np.where(rounded(X, 3) @ voters[:, :3].T + voters[:, 3] >= 0.0, 1, -1)
    votes = sum(
        fires[:, [k % count]] * codes[k % count]
        for k in range(hidden[-1] if len(hidden) > 1 else count)
    )
    np.testing.assert_array_equal(network.output_sums(X), 7 * votes - (np.arange(3) != majority))
