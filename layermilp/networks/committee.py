"""Committees of networks that vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import NetworkError
from layermilp.networks.files import ModelFile, read_model_file, write_model_file
from layermilp.networks.network import Network, agreement, decide
from layermilp.program import FloatArray, IntArray

FORMAT = "layermilp.committee"
VERSION = 1


class Committee:
    """Networks that vote for a class.

    Each member votes for the class that it predicts. Most votes win. Among classes with equally
    many, the members' decision rule chooses by the mean of all members' outputs: "largest" the
    largest mean, "nearest" the mean closest to one; the first of equals. A committee of one
    predicts as its member does.

    Committees are values, as networks are.

    Parameters
    ----------
    networks : iterable of Network
        The members, of the same number of inputs, classes and decision.

    Raises
    ------
    NetworkError
        If there is no member, or one differs from the first.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self.networks = tuple(networks)
        if not self.networks:
            raise NetworkError("a committee needs at least one network")
        for number, network in enumerate(self.networks[1:], start=2):
            _check_alike(network, self.networks[0], number)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.networks[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs of each member."""
        return self.networks[0].n_outputs

    @property
    def classes(self) -> NDArray[Any]:
        """Label of each output, shape ``(n_outputs,)``."""
        return self.networks[0].classes

    @property
    def decision(self) -> str:
        """How the members read the class from their outputs."""
        return self.networks[0].decision

    @property
    def notation(self) -> str:
        """Number and notation of the members: ``3 x 784-8-8-8-10``."""
        counts = Counter(network.notation for network in self.networks)
        return " + ".join(f"{count} x {notation}" for notation, count in counts.items())

    def __repr__(self) -> str:
        return f"Committee({self.notation})"

    def votes(self, X: ArrayLike) -> IntArray:
        """Members that vote for each class, shape ``(m, n_outputs)``, for samples of shape ``(m,
        n_inputs)``.

        Raises
        ------
        DataError
            If the shape does not fit or a value is not finite.
        """
        return self._votes([network.forward(X) for network in self.networks])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels, shape ``(m,)``, that win the vote for samples of shape ``(m, n_inputs)``; errors
        as in `votes`."""
        outputs = [network.forward(X) for network in self.networks]
        votes = self._votes(outputs)
        mean = np.mean(outputs, axis=0)
        # Minus infinity is neither the largest nor close to one, so only classes with most votes
        # are left to decide for.
        leading = np.where(votes == votes.max(axis=1, keepdims=True), mean, -np.inf)
        return np.asarray(self.classes[decide(leading, self.decision)])

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of the samples whose predicted label is `y`; NaN without samples."""
        return agreement(self.predict(X), y)

    def class_indices(self, y: ArrayLike) -> IntArray:
        """Return the output that stands for each label; see `Network.class_indices`."""
        return self.networks[0].class_indices(y)

    def save(self, path: str | Path) -> Path:
        """Write the committee to an ``.npz`` file, atomically and without pickle; return the path.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {"n_networks": np.array(len(self.networks))}
        for k, network in enumerate(self.networks):
            arrays |= network.arrays(_prefix(k))
        return write_model_file(path, FORMAT, VERSION, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Committee:
        """Read a committee written by `save`.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, foreign, of a newer version, or holds a network.
            Nothing in the file is ever executed.
        """
        return cls.from_file(read_model_file(path))

    @classmethod
    def from_file(cls, file: ModelFile) -> Committee:
        """Build the committee that a model file holds; errors as in `load`."""
        file.version(FORMAT, (VERSION,))
        with file.damage():
            return cls(
                [
                    Network.from_arrays(file.arrays, _prefix(k))
                    for k in range(int(file.arrays["n_networks"]))
                ]
            )

    def _votes(self, outputs: list[FloatArray]) -> IntArray:
        choices = np.array([decide(of_member, self.decision) for of_member in outputs])
        return np.asarray(
            (choices[:, :, np.newaxis] == np.arange(self.n_outputs)).sum(axis=0), dtype=np.int64
        )


def _check_alike(network: Network, first: Network, number: int) -> None:
    for what, found, expected in (
        ("inputs", network.n_inputs, first.n_inputs),
        ("classes", network.classes.tolist(), first.classes.tolist()),
        ("decision", network.decision, first.decision),
    ):
        if found != expected:
            raise NetworkError(
                f"member {number} of the committee differs from member 1 in its {what}: {found}, "
                f"not {expected}"
            )


def _prefix(k: int) -> str:
    return f"network_{k}_"
