"""Committees of networks that vote."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import NetworkError
from layermilp.networks.classifier import Classifier, decide
from layermilp.networks.files import Arrays
from layermilp.networks.integer import IntegerNetwork
from layermilp.networks.network import Network
from layermilp.program import FloatArray, IntArray

Member = Network | IntegerNetwork

INTEGER = "integer"
"""What files say of members that are integer networks."""


class Committee(Classifier):
    """Networks that vote for a class.

    Each member votes for the class that it predicts. Most votes win. Among classes with equally
    many, the members' decision rule chooses by the mean of all members' outputs: "argmax" the
    largest mean, "closest_to_one" the mean closest to one; the first of equals. A committee of one
    predicts as its member does.

    Parameters
    ----------
    networks : iterable of Network or IntegerNetwork
        The members, of the same kind, number of inputs, classes and decision.

    Raises
    ------
    NetworkError
        If there is no member, or one differs from the first.
    """

    FORMAT = "layermilp.committee"
    VERSIONS = (1, 2)  # with members of version 2 and 3

    def __init__(self, networks: Iterable[Member]) -> None:
        self.networks: tuple[Member, ...] = tuple(networks)
        if not self.networks:
            raise NetworkError("a committee needs at least one network")
        for number, network in enumerate(self.networks[1:], start=2):
            _check_alike(network, self.networks[0], number)
        first = self.networks[0]
        self.n_inputs, self.n_outputs = first.n_inputs, first.n_outputs
        self.classes, self.decision = first.classes, first.decision

    @property
    def notation(self) -> str:
        """Number and notation of the members: ``3 x 784-8-8-8-10``."""
        counts = Counter(network.notation for network in self.networks)
        return " + ".join(f"{count} x {notation}" for notation, count in counts.items())

    def votes(self, X: ArrayLike) -> IntArray:
        """Members that vote for each class, shape ``(m, n_outputs)``, for samples of shape ``(m,
        n_inputs)``; errors as in `choices`."""
        return self._votes([network.forward(X) for network in self.networks])

    def choices(self, X: ArrayLike) -> IntArray:
        """Index of the class, shape ``(m,)``, that wins the vote for samples of shape ``(m,
        n_inputs)``."""
        outputs = [network.forward(X) for network in self.networks]
        votes = self._votes(outputs)
        mean = np.mean(outputs, axis=0)
        # Minus infinity is neither the largest nor close to one, so only classes with most votes
        # are left to decide for.
        leading = np.where(votes == votes.max(axis=1, keepdims=True), mean, -np.inf)
        return decide(leading, self.decision)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that makes the committee, as arrays by name."""
        arrays: dict[str, NDArray[Any]] = {"n_networks": np.array(len(self.networks))}
        for k, network in enumerate(self.networks):
            arrays |= {f"network_{k}_{name}": array for name, array in network.arrays().items()}
        if isinstance(self.networks[0], IntegerNetwork):
            arrays["members"] = np.array(INTEGER)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, version: int) -> Committee:
        """Return the committee of the arrays of a version of the format, see `arrays`."""
        members: defaultdict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
        for name, array in arrays.items():
            if name.startswith("network_"):
                k, _, of_member = name.removeprefix("network_").partition("_")
                members[k][of_member] = array
        ordered = (members[str(k)] for k in range(int(arrays["n_networks"])))
        if str(arrays.get("members")) == INTEGER:
            return cls(IntegerNetwork.from_arrays(member, 1) for member in ordered)
        return cls(Network.from_arrays(member, version + 1) for member in ordered)

    def _votes(self, outputs: list[FloatArray]) -> IntArray:
        choices = np.array([decide(of_member, self.decision) for of_member in outputs])
        votes: IntArray = (choices[:, :, np.newaxis] == np.arange(self.n_outputs)).sum(axis=0)
        return votes


def _check_alike(network: Member, first: Member, number: int) -> None:
    for what, found, expected in (
        ("kind", type(network).__name__, type(first).__name__),
        ("inputs", network.n_inputs, first.n_inputs),
        ("classes", network.classes.tolist(), first.classes.tolist()),
        ("decision", network.decision, first.decision),
    ):
        if found != expected:
            raise NetworkError(
                f"member {number} of the committee differs from member 1 in its {what}: {found}, "
                f"not {expected}"
            )
