"""What a run needs to go on, as arrays in a file, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layermilp.datasets.dataset import Dataset
from layermilp.method import Method, State
from layermilp.networks.files import Arrays, ModelFile, damage

FORMAT = "layermilp.checkpoint"
VERSION = 4


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where the members of a run are: states, scores and seconds as `layermilp.runs.run.Run` has
    them, and the digest of everything that decides the run, see `digest_of`."""

    digest: str
    states: tuple[State, ...]
    scores: tuple[tuple[float, ...], ...] = ()
    seconds: float = 0.0

    def arrays(self) -> Arrays:
        """Return the arrays of its file."""
        found: dict[str, Any] = {}
        members = []
        for number, state in enumerate(self.states):
            content, arrays = state.content()
            members.append(content)
            found |= {f"{number}:{name}": array for name, array in arrays.items()}
        content = {
            "digest": self.digest,
            "members": members,
            "scores": self.scores,
            "seconds": self.seconds,
        }
        return found | {"content": np.array(json.dumps(content))}

    @classmethod
    def from_file(cls, file: ModelFile, methods: Sequence[Method], data: Dataset) -> Checkpoint:
        """Read the checkpoint of a run whose members have the given methods.

        Raises
        ------
        ModelFileError
            If the file is damaged, or of another format or version.
        """
        file.version(FORMAT, (VERSION,))
        with damage(file.path):
            content = json.loads(str(file.arrays["content"]))
            own: list[dict[str, Any]] = [{} for _ in content["members"]]
            for name, array in file.arrays.items():
                number, colon, rest = name.partition(":")
                if colon:
                    own[int(number)][rest] = array
            states = tuple(
                method.restored(entry, arrays, data)
                for entry, arrays, method in zip(content["members"], own, methods, strict=False)
            )
            scores = tuple(tuple(map(float, tried)) for tried in content["scores"])
            return cls(str(content["digest"]), states, scores, float(content["seconds"]))


def digest_of(methods: Sequence[Method], data: Dataset) -> str:
    """Return a fingerprint of the options of all members and of the training data."""
    found = hashlib.blake2b(digest_size=16)
    decisive = [(method.name, method.values(decisive=True)) for method in methods]
    found.update(repr((decisive, data.classes.tolist())).encode())
    for array in (data.X_train, data.y_train):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
