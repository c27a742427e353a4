"""Trials of initial networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from layermilp import Layerwise, Network, train
from layermilp.datasets.dataset import from_arrays
from layermilp.errors import DataError
from layermilp.layerwise.trainer import share_right
from layermilp.method import Listener, derived_seed
from layermilp.parallel import Workers
from tests.layerwise.samples import digits, fast, tiny


def _trials(n_jobs: int = 1, **changes: Any) -> tuple[float, ...]:
    """Return the scores of three initializations, with test data that are no numbers."""
    X, y = digits()
    options = {"batches": 2, "batch_size": 20, "first_sample": 10, "average": 0.5, **changes}
    method = Layerwise.of(tiny(objective="margin", **options), net="64-3-10")
    data = replace(from_arrays(X, y), X_test=np.full((1, 64), np.nan), y_test=np.array([0]))
    with Workers(n_jobs) as workers:
        return method.trials(3, data, workers, Listener())


def test_trials_are_judged_by_samples_outside_the_first_batch() -> None:
    X, y = digits()
    rest = np.r_[0:10, 30:60]
    expected = []
    for trial in range(3):
        network = Network.from_notation("64-3-10", seed=derived_seed(0, trial))
        options = fast(batches=1, batch_size=20, first_sample=10, objective="margin")
        trained = train(network, X, y, **options).network
        expected.append(share_right(trained, X[rest], y[rest]))
    assert _trials() == _trials() == _trials(n_jobs=2) == tuple(expected)
    assert len(set(expected)) > 1


def test_trials_need_samples_to_judge_by() -> None:
    with pytest.raises(DataError, match="holds all training samples"):
        _trials(batch_size=60)
