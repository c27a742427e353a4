"""Exact outputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.smt import exact
from layermilp.smt.problem import Problem, outputs
from tests.smt.samples import SEEDS, SHAPES, by_hand, drawn_weights, exactly


@settings(deadline=None, max_examples=60)
@given(SEEDS, SHAPES, st.sampled_from([0, 30, 200]))
def test_the_forward_pass_is_exact(seed: int, sizes: tuple[int, ...], spread: int) -> None:
    """Against fractions one sum at a time, with weights of very different sizes and zeros among
    them; and against numpy."""
    rng = np.random.default_rng(seed)
    weights = tuple(
        np.ldexp(layer, rng.integers(-spread, spread + 1, layer.shape))
        * (rng.random(layer.shape) > 0.2)
        for layer in drawn_weights(rng, sizes)
    )
    X, labels = rng.normal(size=(5, sizes[0])), rng.integers(0, sizes[-1], 5)
    found = exactly(weights, X)
    assert found == [by_hand(weights, x) for x in X]
    least = min(
        row[y] - max(v for j, v in enumerate(row) if j != y)
        for row, y in zip(found, labels, strict=True)
    )
    assert exact.least_lead(weights, X, labels) == least
    if spread == 0:
        np.testing.assert_allclose(
            np.array(found, dtype=float), outputs(weights, X), rtol=1e-9, atol=1e-9
        )
    fractions = tuple(
        np.array([[Fraction(float(w)) for w in row] for row in layer], dtype=object)
        for layer in weights
    )
    assert exactly(fractions, X) == found


def test_sums_beyond_64_bits_are_exact() -> None:
    """On both sides of the limit, where numbers change from one kind to the other; and without any
    neuron in use."""
    for size in (2.0**20, 2.0**31, 2.0**40, 2.0**60):
        weights = (
            np.array([[size - 1, 1.0], [1.0, -size]]),
            np.array([[size - 3, 1.0, 2.0**-30], [1.0, 0.0, 0.0]]),
        )
        X = np.array([[size - 7.0], [-3.0], [0.0]])
        assert exactly(weights, X) == [by_hand(weights, x) for x in X]
    idle = (np.ones((2, 2)), np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]))
    assert exactly(idle, np.ones((1, 1))) == [[1, 2]]


def test_a_tie_is_no_lead() -> None:
    assert exact.least_lead((np.zeros((2, 2)),), np.ones((1, 1)), np.array([0])) == 0
    problem = Problem(np.ones((1, 1)), np.array([0]), (1, 2))
    assert problem.model((np.zeros((2, 2)),)) is None
    # A lead that only rounding makes: 1 + 2^-60 - 1 is zero in floating point, and its tie is
    # refused as well.
    assert problem.model((np.array([[2.0**-60, 1.0], [0.0, 1.0]]),)) is None
