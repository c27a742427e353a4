"""Where a training is, and what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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


COUNTS = ("programs", "optimal", "at_limit", "failed", "largest_gap", "solver_calls")
"""Fields of a record that are those of the sum of its phases."""


@dataclass(frozen=True)
class Record:
    """One sweep, as a line of ``history.jsonl``.

    Accuracies are shares of right predictions: on the batch, with the weights after the sweep; and
    with the weights that a run which ends here returns, their average over batches, on all training
    samples seen up to and with this batch and on the test data (None without them, never used for a
    choice). Programs are those of the sweep; its phases, in their order, may be followed by that of
    post-processing."""

    batch: int
    sweep: int
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
        All sweeps so far.
    tally : Tally
        All programs so far, post-processing included.
    batch_accuracy : float
        Of `iterate` on the batch.
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
        """The sweeps so far."""
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
