"""Several initializations, judged by the first batch (Goebbels 2021, section 3: "experimentally
determine")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from layermilp.errors import DataError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.trainer import run, share_right
from layermilp.networks.network import Network
from layermilp.parallel import Workers


def trial_scores(
    networks: Sequence[Network], data: TrainingData, settings: Sweeps, workers: Workers
) -> Iterator[float]:
    """Train the first batch from every network; yield the accuracies on the training samples
    outside the batch.

    The trials run in parallel, each in one worker process. Test data are not looked at.

    Raises
    ------
    DataError
        If the batch holds all samples.
    """
    first = replace(
        settings, batches=1, epochs=1, weight_decay=settings.decay, average=0.0, postprocess="none"
    )
    rest = np.setdiff1d(np.arange(len(data.X)), sample_order(len(data.X), first))
    if not rest.size:
        raise DataError(
            "the first batch holds all training samples, so none are left to judge "
            "initializations by"
        )
    trained = partial(_trained, data=TrainingData(data.X, data.y), settings=first)
    for network in workers.map(trained, networks):
        yield share_right(network, data.X[rest], data.y[rest])


def _trained(network: Network, data: TrainingData, settings: Sweeps) -> Network:
    """Train in this process."""
    with Workers(1) as workers:
        return run(network, data, settings, workers).network
