"""Trials of initial networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layermilp import Network, train
from layermilp.errors import DataError, OptionError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.trainer import share_right
from layermilp.layerwise.trials import choose_initialization
from layermilp.parallel import Workers
from tests.layerwise.samples import digits, fast, tiny


def _trial_data() -> tuple[list[Network], TrainingData, Sweeps]:
    X, y = digits()
    networks = [Network.dense([64, 3, 10], seed=seed) for seed in (1, 2, 3)]
    settings = tiny(batches=2, batch_size=20, first_sample=10, average=0.5, objective="margin")
    return networks, TrainingData.of(networks[0], X, y), settings


def test_trials_choose_by_samples_outside_the_first_batch() -> None:
    networks, data, settings = _trial_data()
    told: list[tuple[int, float]] = []
    with Workers(1) as workers:
        trials = choose_initialization(
            networks, data, settings, workers, lambda *told_of: told.append(told_of)
        )
        again = choose_initialization(networks, data, settings, workers)
    with Workers(2) as workers:
        parallel = choose_initialization(networks, data, settings, workers)
    rest = np.r_[0:10, 30:60]
    expected = []
    for network in networks:
        trained = train(
            network,
            data.X,
            data.y,
            **fast(batches=1, batch_size=20, first_sample=10, objective="margin"),
        )
        expected.append(share_right(trained.network, data.X[rest], data.y[rest]))
    assert trials.scores == again.scores == parallel.scores == tuple(expected)
    assert len(set(expected)) > 1
    assert trials.chosen == again.chosen == parallel.chosen == expected.index(max(expected))
    assert trials.network is networks[trials.chosen]
    assert told == [(k + 1, score) for k, score in enumerate(expected)]


def test_trials_do_not_look_at_test_data_and_prefer_the_first_of_equals() -> None:
    networks, data, settings = _trial_data()
    poisoned = replace(data, X_test=np.full((1, 64), np.nan), y_test=np.zeros(1, dtype=int))
    with Workers(1) as workers:
        trials = choose_initialization([networks[0]] * 2, poisoned, settings, workers)
    assert trials.chosen == 0 and trials.scores[0] == trials.scores[1]


def test_trials_need_networks_and_samples_to_judge_by() -> None:
    networks, data, settings = _trial_data()
    with Workers(1) as workers:
        with pytest.raises(OptionError, match="no initialization to try"):
            choose_initialization([], data, settings, workers)
        with pytest.raises(DataError, match="holds all training samples"):
            choose_initialization(networks, data, replace(settings, batch_size=60), workers)
