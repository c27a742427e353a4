"""Where a training is, and what a checkpoint keeps of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from layermilp.algorithms.statistics import Phase, Statistics, Tally
from layermilp.layerwise.schedule import WeightAverage, with_thetas
from layermilp.method import State as MethodState
from layermilp.networks.files import Arrays
from layermilp.networks.network import Network
from layermilp.program import FloatArray

PLAIN = ("batch", "batch_accuracy", "seen_accuracy", "test_accuracy")
"""Fields of a state that are numbers."""

# Losses of the layers before and after a sweep.
Losses = tuple[tuple[float, ...], tuple[float, ...]]

COUNTS = ("programs", "optimal", "at_limit", "failed", "largest_gap", "solver_calls")
"""Fields of a record that are those of the sum of its phases."""


@dataclass(frozen=True)
class Record:
    """One sweep, or the end of a batch, as a line of ``history.jsonl``.

    A batch ends with a record of its own where its last sweep does not say what goes on: where that
    sweep was not taken, or post-processing came after it. So the last record of a batch that is
    over, and the last one taken of any batch, is of the weights that go on. The programs of all
    records add up to those of the training.

    Parameters
    ----------
    batch : int
        Number of the batch, from 1.
    sweep : int
        Number of the sweep in its batch, from 1; at the end of a batch, the sweep whose weights go
        on.
    kind : {"sweep", "end"}
        Whether it is of a sweep, or of the end of a batch.
    taken : bool
        Whether its weights were the best of the batch so far. Those of an end always are taken.
    batch_accuracy : float
        Share of right predictions on the batch, with the weights after the sweep; after
        post-processing that ends a training, with those that the training returns.
    seen_accuracy, test_accuracy : float
        The same on all training samples seen up to and with this batch, and on the test data (None
        without them, never used for a choice), with the weights that a run which ends here returns:
        the average over batches.
    objectives, start_objectives : tuple of float
        Losses of the layers' weight programs after and before the sweep, the first layer's first;
        none at the end of a batch.
    programs, optimal, at_limit, failed, largest_gap, solver_calls
        Counts of the sweep's programs, or of post-processing's, as in `Statistics`.
    seconds : float
        Wall seconds.
    phases : tuple of Phase
        Of the sweep in their order; of post-processing.
    """

    batch: int
    sweep: int
    kind: str
    taken: bool
    batch_accuracy: float
    seen_accuracy: float
    test_accuracy: float | None
    objectives: tuple[float, ...]
    start_objectives: tuple[float, ...]
    programs: int
    optimal: int
    at_limit: int
    failed: int
    largest_gap: float
    solver_calls: dict[str, int]
    seconds: float
    phases: tuple[Phase, ...]

    @classmethod
    def of(
        cls,
        reached: State,
        phases: Sequence[Phase],
        began: float,
        *,
        sweep: int,
        kind: str = "sweep",
        taken: bool = True,
        losses: Losses = ((), ()),
    ) -> Record:
        """Return the record of what ends now and began at a time of the performance counter.

        Its accuracies are those of the state that it has reached; the losses are those before and
        after it."""
        solved, (before, after) = sum(phases, Statistics()), losses
        return cls(
            batch=reached.batch,
            sweep=sweep,
            kind=kind,
            taken=taken,
            batch_accuracy=reached.batch_accuracy,
            seen_accuracy=reached.seen_accuracy,
            test_accuracy=reached.test_accuracy,
            objectives=after,
            start_objectives=before,
            **{name: vars(solved)[name] for name in COUNTS},
            seconds=time.perf_counter() - began,
            phases=tuple(phases),
        )

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Record:
        """Return the record of which a checkpoint holds the fields."""
        tuples = {name: tuple(entry[name]) for name in ("objectives", "start_objectives")}
        phases = tuple(Phase(**phase) for phase in entry["phases"])
        return cls(**{**entry, **tuples, "phases": phases})


@dataclass(frozen=True, eq=False)
class State(MethodState):
    """Where training is after a sweep, or at the end of a batch.

    Parameters
    ----------
    network : Network
        What a run that ends here returns: the average of the weights after the batches, the best of
        this one included.
    iterate : Network
        The best weights of the batch so far; at the end of a batch those that go on.
    batch : int
        Number of the batch, from 1.
    mean : WeightAverage
        Average of the weights after the batches that are over.
    history : tuple of Record
        All sweeps so far, and ends of batches.
    tally : Tally
        All programs so far, post-processing included.
    batch_accuracy : float
        Of `iterate` on the batch; after post-processing that ends the training, of `network`.
    seen_accuracy, test_accuracy : float
        Of `network`, as in `Record`.
    batch_ended, is_last : bool
        Whether the batch is over, and whether it was the last.
    """

    network: Network
    iterate: Network
    batch: int
    mean: WeightAverage
    history: tuple[Record, ...]
    tally: Tally
    batch_accuracy: float
    seen_accuracy: float
    test_accuracy: float | None
    batch_ended: bool = False
    is_last: bool = False

    def after(self, before: State, record: Record) -> State:
        """Return the state with the history and the tally of the one before, and the record."""
        history, tally = (*before.history, record), before.tally.with_phases(record.phases)
        return replace(self, history=history, tally=tally)

    @property
    def is_resumable(self) -> bool:  # type: ignore[override]
        """Whether the batch is over."""
        return self.batch_ended

    @property
    def model(self) -> Network:
        """What a run that ends here returns."""
        return self.network

    @property
    def records(self) -> tuple[Record, ...]:
        """The sweeps and ends of batches so far."""
        return self.history

    @property
    def score(self) -> float:
        """Accuracy on the samples seen."""
        return self.seen_accuracy

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        weights = {
            "network": [block.theta for block in self.network.blocks],
            "iterate": [block.theta for block in self.iterate.blocks],
            "sums": self.mean.sums,
        }
        return {
            **{name: getattr(self, name) for name in PLAIN},
            "total": self.mean.total,
            "factor": self.mean.factor,
            "averaged": len(self.mean.sums),
            "records": [asdict(record) for record in self.history],
            "tally": {name: vars(counts) for name, counts in self.tally.purposes.items()},
        }, {f"{name}_{i}": theta for name, all_ in weights.items() for i, theta in enumerate(all_)}

    @classmethod
    def restored(cls, content: Mapping[str, Any], arrays: Arrays, network: Network) -> State:
        """Return the state at the end of a batch of which a checkpoint holds the content; the
        network is any of the training."""

        def weights(name: str) -> tuple[FloatArray, ...]:
            found = []
            for i, block in enumerate(network.blocks):
                theta = np.asarray(arrays[f"{name}_{i}"], dtype=np.float64)
                if theta.shape != block.theta.shape or not np.all(np.isfinite(theta)):
                    raise ValueError(f"{name} has shape {theta.shape} or holds NaN")
                found.append(theta)
            return tuple(found)

        sums = weights("sums") if content["averaged"] else ()
        tally = {name: Statistics(**each) for name, each in content["tally"].items()}
        return cls(
            network=with_thetas(network, weights("network")),
            iterate=with_thetas(network, weights("iterate")),
            mean=WeightAverage(float(content["factor"]), float(content["total"]), sums),
            history=tuple(Record.of_entry(entry) for entry in content["records"]),
            tally=Tally(tally),
            batch_ended=True,
            **{name: content[name] for name in PLAIN},
        )
