"""Several initializations, of which the first batch shows the best (Goebbels 2021, section 3:
"experimentally determine")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layermilp.errors import DataError, OptionError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.trainer import Trained, run, share_right
from layermilp.networks.network import Network
from layermilp.parallel import Workers


@dataclass(frozen=True, eq=False)
class Trials:
    """What trials of initializations found.

    Parameters
    ----------
    network : Network
        The initialization chosen, not trained.
    chosen : int
        Its number, from 0.
    scores : tuple of float
        For every initialization: after training on the first batch, the accuracy on all training
        samples that the batch does not hold.
    """

    network: Network
    chosen: int
    scores: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Trial:
    """The training of one network on the first batch, ready for a worker."""

    network: Network
    data: TrainingData
    settings: Sweeps

    def solve(self) -> Trained:
        """Train."""
        with Workers(1) as workers:
            return run(self.network, self.data, self.settings, workers)


def choose_initialization(
    networks: Sequence[Network],
    data: TrainingData,
    settings: Sweeps,
    workers: Workers,
    watch: Callable[[int, float], None] = lambda number, score: None,
) -> Trials:
    """Train the first batch from every network; return the one that does best on the training
    samples outside the batch.

    The trials run in parallel, each in one worker process. Test data are not looked at. Of equal
    scores the first counts.

    Parameters
    ----------
    networks : sequence of Network
        The initializations.
    data, settings, workers
        As in `training`.
    watch : callable
        Is told the number, from 1, and the score of every trial.

    Raises
    ------
    OptionError
        If there are no networks.
    DataError
        If the batch holds all samples.
    """
    if not networks:
        raise OptionError("there is no initialization to try; give at least one network")
    first = replace(
        settings, batches=1, epochs=1, weight_decay=settings.decay, average=0.0, postprocess="none"
    )
    rest = np.setdiff1d(np.arange(len(data.X)), sample_order(len(data.X), first))
    if not rest.size:
        raise DataError(
            "the first batch holds all training samples, so none are left to judge "
            "initializations by"
        )
    scores = []
    alone = TrainingData(data.X, data.y)
    tasks = [_Trial(network, alone, first) for network in networks]
    for trained in workers.map(_Trial.solve, tasks):
        scores.append(share_right(trained.network, data.X[rest], data.y[rest]))
        watch(len(scores), scores[-1])
    chosen = int(np.argmax(scores))
    return Trials(networks[chosen], chosen, tuple(scores))
