"""Training a committee (Goebbels 2021, section 3): members on different images, from different
initializations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Settings
from layermilp.layerwise.trainer import Trained, run
from layermilp.networks.network import Network
from layermilp.parallel import Workers


@dataclass(frozen=True, eq=False)
class MemberTask:
    """The training of one member, ready for a worker."""

    network: Network
    data: TrainingData
    settings: Settings


def member_settings(settings: Settings, member: int) -> Settings:
    """Return the settings of a member, counted from 0: its own seed, and images that begin where
    those before it end.

    The first member's are those of a single network.
    """
    first = settings.first_sample + member * settings.batches * settings.batch_size
    return replace(settings, seed=derived_seed(settings.seed, member), first_sample=first)


def derived_seed(seed: int, number: int) -> int:
    """Return the seed of a member or a trial, counted from 0; the first has the seed itself."""
    return seed if number == 0 else int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def train_members(
    networks: Sequence[Network], data: TrainingData, settings: Sequence[Settings], workers: Workers
) -> Iterator[Trained]:
    """Train the members, each in one worker process, as many at a time as there are workers; yield
    them in order."""
    tasks = [
        MemberTask(network, data, own) for network, own in zip(networks, settings, strict=True)
    ]
    return workers.map(_train_member, tasks)


def _train_member(task: MemberTask) -> Trained:
    with Workers(1) as workers:
        return run(task.network, task.data, task.settings, workers)
