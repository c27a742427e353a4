"""What a run needs to go on after a batch, as arrays in a file, and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from layermilp.algorithms.statistics import Phase, Statistics
from layermilp.errors import ModelFileError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Settings
from layermilp.layerwise.schedule import WeightAverage
from layermilp.layerwise.trainer import Record, State
from layermilp.networks.files import Arrays, ModelFile
from layermilp.networks.network import Network
from layermilp.program import FloatArray

FORMAT = "layermilp.checkpoint"
VERSION = 2

PLAIN = ("batch", "batch_accuracy", "seen_accuracy", "test_accuracy")
"""Fields of a state that are numbers."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """States of the members of a run, each at the end of a batch.

    Parameters
    ----------
    digest : str
        Of everything that decides the run, see `digest_of`.
    states : tuple of State
        One for every member that has begun: a single network, or the members of a committee that
        are done.
    scores : tuple of tuple of float
        Accuracies of the initializations that were tried, for every member.
    seconds : float
        Wall seconds of the run so far.
    """

    digest: str
    states: tuple[State, ...]
    scores: tuple[tuple[float, ...], ...] = ()
    seconds: float = 0.0

    def arrays(self) -> Arrays:
        """Return the arrays of its file."""
        found: dict[str, Any] = {}
        members = []
        for number, state in enumerate(self.states):
            for name, thetas in _weights(state).items():
                found |= {f"{name}_{number}_{i}": theta for i, theta in enumerate(thetas)}
            members.append(
                {name: getattr(state, name) for name in PLAIN}
                | {
                    "total": state.mean.total,
                    "factor": state.mean.factor,
                    "averaged": len(state.mean.sums),
                }
                | {
                    "records": [asdict(record) for record in state.records],
                    "tally": vars(state.tally),
                }
            )
        content = {
            "digest": self.digest,
            "members": members,
            "scores": self.scores,
            "seconds": self.seconds,
        }
        return found | {"content": np.array(json.dumps(content))}

    @classmethod
    def from_file(cls, file: ModelFile, network: Network) -> Checkpoint:
        """Read the checkpoint of a run with networks like the given one, and with its decision.

        Raises
        ------
        ModelFileError
            If the file is damaged, or of another format or version.
        """
        file.version(FORMAT, (VERSION,))
        with file.damage():
            content = json.loads(str(file.arrays["content"]))
            states = tuple(
                _state(entry, i, file.arrays, network) for i, entry in enumerate(content["members"])
            )
            scores = tuple(tuple(float(score) for score in own) for own in content["scores"])
            return cls(str(content["digest"]), states, scores, float(content["seconds"]))

    def check(self, digest: str) -> None:
        """Raise `ModelFileError` unless the checkpoint is of a run of this digest."""
        if self.digest != digest:
            raise ModelFileError(
                "the checkpoint is of a run with other options or data; train anew, into another "
                "directory"
            )


def digest_of(settings: Sequence[Settings], network: Network, data: TrainingData) -> str:
    """Return a fingerprint of the settings of all members, the shape of the network, and the
    training data."""
    found = hashlib.blake2b(digest_size=16)
    found.update(repr((tuple(settings), network.notation, network.classes.tolist())).encode())
    for array in (data.X, data.y):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _weights(state: State) -> dict[str, tuple[FloatArray, ...]]:
    return {
        "network": tuple(block.theta for block in state.network.blocks),
        "iterate": tuple(block.theta for block in state.iterate.blocks),
        "sums": state.mean.sums,
    }


def _state(entry: dict[str, Any], number: int, arrays: Arrays, network: Network) -> State:
    def weights(name: str, count: int) -> list[FloatArray]:
        found = [np.asarray(arrays[f"{name}_{number}_{i}"], dtype=np.float64) for i in range(count)]
        for theta, block in zip(found, network.blocks, strict=True):
            if theta.shape != block.theta.shape or not np.all(np.isfinite(theta)):
                raise ValueError(f"{name} has shape {theta.shape} or holds NaN")
        return found

    def built(name: str) -> Network:
        whole = network
        for i, theta in enumerate(weights(name, len(network.blocks))):
            whole = whole.with_block(i, whole.blocks[i].with_theta(theta))
        return whole

    records = tuple(_record(record) for record in entry["records"])
    tally = Statistics(
        **{**entry["tally"], "solver_calls": Counter(entry["tally"]["solver_calls"])}
    )
    sums = tuple(weights("sums", len(network.blocks))) if entry["averaged"] else ()
    mean = WeightAverage(float(entry["factor"]), float(entry["total"]), sums)
    return State(
        network=built("network"),
        iterate=built("iterate"),
        batch_ended=True,
        mean=mean,
        records=records,
        tally=tally,
        **{name: entry[name] for name in PLAIN},
    )


def _record(entry: dict[str, Any]) -> Record:
    tuples = {name: tuple(entry[name]) for name in ("objectives", "start_objectives")}
    return Record(
        **{**entry, **tuples, "phases": tuple(Phase(**phase) for phase in entry["phases"])}
    )
