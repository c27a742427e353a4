"""Parts of the samples: disjoint while there are enough, and what is said of them where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layermilp.datasets.parts import Sharing, part_of


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
def test_parts_are_disjoint_while_there_are_enough_samples(n: int, size: int, seed: int) -> None:
    size, order = min(size, n), np.random.default_rng(seed).permutation(n)
    per_pass = n // size
    parts = [part_of(order, size, number) for number in range(3 * per_pass)]
    assert all(np.unique(part).size == size for part in parts)
    assert np.concatenate(parts[:per_pass]).tolist() == order[: per_pass * size].tolist()
    for turn in range(3):
        of_pass = np.concatenate(parts[turn * per_pass : (turn + 1) * per_pass])
        assert np.unique(of_pass).size == of_pass.size
    # What the first pass has left over is the beginning of the second.
    left = order[per_pass * size :]
    assert parts[per_pass][: left.size].tolist() == left.tolist()
    sharing = Sharing.of(parts.__getitem__, per_pass + 1, n)
    brute = [
        sum(
            any(k in other for j, other in enumerate(parts[: per_pass + 1]) if j != i) for k in part
        )
        for i, part in enumerate(parts[: per_pass + 1])
    ]
    assert list(sharing.counts) == brute and bool(sharing) == any(brute)


def test_members_that_cannot_be_disjoint_have_their_samples_in_another_order() -> None:
    parts = [part_of(np.arange(40), 40, number) for number in range(3)]
    assert len({tuple(part) for part in parts}) == 3


@pytest.mark.parametrize(
    ("parts", "n", "words"),
    [
        (
            [[0, 1], [2, 3], [4, 0]],
            5,
            "members 1, 3 share 1 of their 2 samples with others, since there are only 5; it takes "
            "at most 2 members or at most 1 samples a member (size) or 6 training samples to share "
            "none",
        ),
        (
            [[0, 1], [0, 1], [0, 1]],
            2,
            "all 3 members share 2 of their 2 samples with others, since there are only 2; it "
            "takes 6 training samples to share none",
        ),
        (
            [[0, 1, 2], [2, 3, 4], [4, 3, 2]],
            5,
            "all 3 members share 1 to 3 of their 3 samples with others, since there are only 5; it "
            "takes at most 1 samples a member (size) or 9 training samples to share none",
        ),
    ],
)
def test_words_name_members_and_what_would_avoid_it(
    parts: list[list[int]], n: int, words: str
) -> None:
    sharing = Sharing.of(lambda number: np.array(parts[number]), len(parts), n)
    assert sharing.words("size") == words
