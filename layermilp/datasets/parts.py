"""Parts of the samples, one for each member of a committee, and what of them is shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from layermilp.program import IntArray


def part_of(order: IntArray, size: int, number: int) -> IntArray:
    """Return part `number`, counted from 0, of samples in an order.

    Parts are disjoint, one after the other in the given order, while there are enough samples.
    Those that follow are of further passes in shuffled orders, each again in disjoint parts; what
    the first pass has left over comes first in the second.

    Parameters
    ----------
    order : (n,) array of int
        The samples.
    size : int
        Samples of a part, from 1 to `n`.
    """
    per_pass = order.size // size
    turn, place = divmod(number, per_pass)
    if turn:
        left = order[per_pass * size :] if turn == 1 else order[:0]
        # By no member's seed: the members must agree on the order that they divide.
        others = np.random.default_rng(turn).permutation(order[: order.size - left.size])
        order = np.concatenate([left, others])
    return order[place * size : (place + 1) * size]


@dataclass(frozen=True)
class Sharing:
    """Samples that more than one member of a committee is trained on.

    Parameters
    ----------
    counts : tuple of int
        Of each member's samples, how many another member has too.
    size : int
        Samples of the largest part.
    n_samples : int
        Training samples there are.
    """

    counts: tuple[int, ...]
    size: int
    n_samples: int

    @classmethod
    def of(cls, part: Callable[[int], IntArray], members: int, n_samples: int) -> Self:
        """Return what members have in common, by a function that returns the samples of a member,
        counted from 0, without repetition.

        It is asked twice, so that there is never more than one member's samples in memory."""
        if members == 1:
            return cls((0,), part(0).size, n_samples)
        times = np.zeros(n_samples, dtype=np.int64)
        for number in range(members):
            times[part(number)] += 1
        parts = map(part, range(members))
        counts, sizes = zip(
            *((int(np.count_nonzero(times[own] > 1)), own.size) for own in parts), strict=True
        )
        return cls(counts, max(sizes), n_samples)

    def __bool__(self) -> bool:
        """Whether any sample is shared."""
        return any(self.counts)

    def words(self, size_name: str) -> str:
        """Return who shares how many samples, and what would avoid it, in one line; `size_name` are
        the options that decide how many samples a member has."""
        sharing = [number for number, count in enumerate(self.counts, start=1) if count]
        least, most = min(filter(None, self.counts)), max(self.counts)
        members = len(self.counts)
        who = f"all {members} members" if len(sharing) == members else f"members {_listed(sharing)}"
        many = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        ways = [f"{members * self.size:,} training samples"]
        if self.n_samples >= members:
            ways.insert(0, f"at most {self.n_samples // members:,} samples a member ({size_name})")
        if self.n_samples >= 2 * self.size:
            ways.insert(0, f"at most {self.n_samples // self.size:,} members")
        return (
            f"{who} share {many} of their {self.size:,} samples with others, since there are only "
            f"{self.n_samples:,}; it takes {' or '.join(ways)} to share none"
        )


def _listed(numbers: Sequence[int]) -> str:
    """Return ascending numbers in words, the first ones where there are many."""
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown} and {len(numbers) - 8} more" if len(numbers) > 8 else shown
