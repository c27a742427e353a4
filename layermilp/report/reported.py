"""What a report knows of a run: its files, and how its model does on the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.datasets import Dataset
from layermilp.integer import IntegerNetwork
from layermilp.networks.committee import Committee
from layermilp.networks.load import Model, load_model
from layermilp.networks.network import Network
from layermilp.program import FloatArray
from layermilp.runs.directory import read_history, read_summary


@dataclass(frozen=True, eq=False)
class Judged:
    """Samples `X` of a part, ``test`` or ``training``, shape ``(m, d)``; their labels, and what a
    model takes them for, shapes ``(m,)``."""

    part: str
    X: FloatArray
    labels: NDArray[Any]
    predicted: NDArray[Any]

    @classmethod
    def of(cls, model: Model, data: Dataset) -> Judged:
        """Judge the samples of the test part, or without one those of the training part.

        Raises
        ------
        DataError
            If the samples do not fit the model.
        """
        part, X, y = "test", data.X_test, data.y_test
        if X is None or y is None:
            part, X, y = "training", data.X_train, data.y_train
        return cls(part, X, data.classes[y], model.predict(X))

    @property
    def wrong(self) -> NDArray[np.intp]:
        """Samples that are taken for something else."""
        return np.flatnonzero(self.predicted != self.labels)


@dataclass(frozen=True, eq=False)
class Reported:
    """A run with its name in the report, and the content of its files.

    Parameters
    ----------
    name : str
        Tells it from runs of other directories.
    model : Model or None
        What was learned; None, and no history, if nothing was.
    judged : Judged or None
        How the model does; None if the data were not to be had.
    note : str
        Why something is missing.
    """

    name: str
    summary: dict[str, Any]
    history: list[dict[str, Any]]
    model: Model | None = None
    judged: Judged | None = None
    note: str = ""

    @classmethod
    def read(cls, path: str | Path, name: str) -> Reported:
        """Read the files of a run's directory; the model is not judged yet.

        Raises
        ------
        ModelFileError
            If it has no summary, or a file is damaged.
        """
        folder = Path(path)
        summary = read_summary(folder)
        if not (folder / "model.npz").exists():
            return cls(name, summary, [], note="the run has found no network")
        return cls(name, summary, read_history(folder), load_model(folder / "model.npz"))

    @property
    def method(self) -> str:
        """What trained."""
        return str(self.summary.get("method", "layerwise"))

    @property
    def members(self) -> tuple[Network | IntegerNetwork, ...]:
        """The network, or those of a committee; none if nothing was learned."""
        if isinstance(self.model, Committee):
            return self.model.networks
        return () if self.model is None else (self.model,)


def names_of(paths: Sequence[str | Path]) -> list[str]:
    """Return a name for every directory: its last part, with as many before it as tell the
    directories apart.

    The same directory twice has the same name twice.
    """
    parts = [Path(path).resolve().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names
