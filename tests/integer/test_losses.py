"""The losses are those of the paper."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.integer.losses import OBJECTIVES, MinHinge, Objective
from tests.integer.instances import SEEDS


@settings(deadline=None, max_examples=100)
@given(SEEDS, st.sampled_from([1, 3, 7]), st.integers(1, 5), st.integers(2, 3))
def test_losses_are_those_of_the_paper(seed: int, bound: int, n_last: int, n_outputs: int) -> None:
    rng = np.random.default_rng(seed)
    most = bound * (n_last + 1)
    sums, labels = (
        rng.integers(-most, most + 1, (6, n_outputs)).astype(float),
        rng.integers(0, n_outputs, 6),
    )
    kinds: dict[str, Objective] = {
        name: kind(bound, n_last, n_outputs) for name, kind in OBJECTIVES.items()
    }
    found = {name: kind.losses(sums, labels) for name, kind in kinds.items()}
    for k in range(6):
        y = [1 if j == labels[k] else -1 for j in range(n_outputs)]
        outputs = [Fraction(2 * int(a), bound * (n_last + 1)) for a in sums[k]]
        fires = [output >= 0 for output in outputs]
        assert found["max-correct"][k] == (0.0 if fires == [value == 1 for value in y] else 1.0)
        assert found["sat-margin"][k] == sum(
            o * s < Fraction(1, 2) for o, s in zip(outputs, y, strict=True)
        )
        squares = sum(
            max(Fraction(0), Fraction(1, 2) - o * s) ** 2 for o, s in zip(outputs, y, strict=True)
        )
        # Between break points a chord lies above the square by a quarter of the squared distance at
        # most.
        assert (
            float(squares) - 1e-9
            <= found["min-hinge"][k]
            <= float(squares) + n_outputs * 0.25**2 / 4 + 1e-9
        )
    hinge = kinds["min-hinge"]
    assert isinstance(hinge, MinHinge)
    slopes, intercepts = hinge.pieces
    lines = hinge.signed(sums, labels)[..., None] * slopes + intercepts
    np.testing.assert_allclose(
        np.maximum(lines.max(axis=2), 0.0).sum(axis=1), found["min-hinge"], atol=1e-9
    )
