"""Bounds and grids of weights."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.smt.problem import Domain
from tests.smt.samples import SEEDS, SHAPES, drawn_weights, exactly


@settings(deadline=None, max_examples=60)
@given(SEEDS, SHAPES, st.floats(1e-3, 1e3), st.sampled_from(["float32", "float64"]))
def test_a_bound_changes_no_decision(
    seed: int, sizes: tuple[int, ...], bound: float, dtype: str
) -> None:
    rng = np.random.default_rng(seed)
    domain, weights, X = (
        Domain(bound, None, dtype),
        drawn_weights(rng, sizes),
        rng.normal(size=(5, sizes[0])),
    )
    weights = tuple(layer.astype(dtype).astype(float) for layer in weights)
    fitted = domain.fitted(weights)
    assert domain.contains(fitted)
    for before, after in zip(exactly(weights, X), exactly(fitted, X), strict=True):
        order, again = (np.argsort(np.array(each), kind="stable") for each in (before, after))
        assert np.array_equal(order, again)
        (scale,) = {b / a for a, b in zip(before, after, strict=True) if a} or {Fraction(1)}
        assert scale > 0


@settings(deadline=None, max_examples=40)
@given(SEEDS, SHAPES, st.sampled_from([(1.0, 1.0), (2.0, 0.25), (3.0, 2.0)]))
def test_a_grid_is_kept(seed: int, sizes: tuple[int, ...], limits: tuple[float, float]) -> None:
    domain = Domain(*limits)
    fitted = domain.fitted(drawn_weights(np.random.default_rng(seed), sizes))
    assert domain.contains(fitted)
    assert all(
        np.array_equal(again, layer)
        for again, layer in zip(domain.fitted(fitted), fitted, strict=True)
    )
    off = (fitted[0] + limits[1] / 2, *fitted[1:])
    assert not domain.contains(off)
