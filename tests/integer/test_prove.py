"""No network is below what is proven."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import integer
from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.integer import prove
from layermilp.integer.losses import OBJECTIVES
from layermilp.integer.neighbourhood import Samples
from layermilp.integer.prove import least_loss
from layermilp.networks.integer import (
    rounded,
)
from layermilp.program import Limits
from layermilp.solvers import available
from tests.integer.instances import NAMES, SEEDS, drawn_samples, every_activation, every_theta


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(NAMES), st.integers(2, 3))
def test_no_network_is_below_the_least_loss(seed: int, name: str, n_outputs: int) -> None:
    """Equal samples with different labels: every sums they may have give at least the bound, and
    some sums give it."""
    rng = np.random.default_rng(seed)
    objective = OBJECTIVES[name](1, 7, n_outputs)
    samples = Samples(rng.integers(0, 2, (7, 1)).astype(float), rng.integers(0, n_outputs, 7))
    samples = replace(samples, labels=np.append(samples.labels[:-1], n_outputs - 1))
    counts = samples.conflicts()
    least = 0.0
    for value in np.unique(samples.inputs):
        labels = samples.labels[samples.inputs[:, 0] == value]
        every = itertools.product(range(-8, 9), repeat=n_outputs)
        least += min(
            float(objective.losses(np.tile(np.array(a, float), (labels.size, 1)), labels).sum())
            for a in every
        )
    assert objective.least_loss(counts) <= least + 1e-9
    if name != "min-hinge":
        assert objective.least_loss(counts) == pytest.approx(least)


@settings(deadline=None, max_examples=25)
@given(
    SEEDS,
    st.sampled_from(NAMES),
    st.sampled_from([(1, 1, 2), (1, 2, 2), (1, 1, 3)]),
    st.integers(2, 7),
)
def test_no_network_is_below_what_is_proven(
    seed: int, name: str, sizes: tuple[int, ...], m: int
) -> None:
    rng = np.random.default_rng(seed)
    samples = drawn_samples(rng, m, sizes[0], sizes[-1])
    objective = OBJECTIVES[name](1, sizes[-2], sizes[-1])
    proven = least_loss(samples, objective, SolveOptions(solver="highs"), Budget.of(None), 0)
    least = min(
        float(objective.losses(signs @ theta[:, :-1].T + theta[:, -1], samples.labels).sum())
        for signs in every_activation(samples.inputs, sizes[:-1])
        for theta in every_theta((sizes[-1], sizes[-2] + 1))
    )
    assert proven <= least + 1e-9
    if name == "sat-margin" and sizes == (1, 1, 2) and m == 2:
        assert proven == least  # of two samples both are right, or no neuron tells them apart


def test_samples_that_differ_can_still_be_inseparable() -> None:
    """With weights of one at most no threshold lies between 0.25 and 0.5; with P = 3 there is
    1/3."""
    X, y = np.array([[0.25], [0.5]]), [0, 1]
    options: dict[str, Any] = {"hidden": (4,), "stop_accuracy": 1.0, "n_jobs": 1}
    known, proven = (
        integer.train(X, y, bound=1, prove=prove, **options) for prove in (False, True)
    )
    assert (known.bound, proven.bound) == (4.0, 2.0) and proven.is_optimal
    hinge = integer.train(X, y, bound=1, prove=True, objective="min-hinge", **options)
    assert 0.0 < hinge.bound <= hinge.objective
    assert integer.train(X, y, bound=3, prove=True, **options).objective == 4.0


def test_a_proof_does_not_fail_for_a_small_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CPLEX's community edition does not take goes to another solver, after what was learned
    with it."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 4, (1200, 2)) / 4.0, rng.integers(0, 2, 1200)
    if "cplex" not in available():
        pytest.skip("CPLEX is not installed")
    monkeypatch.setattr(prove, "ROUNDS", 3)
    samples = Samples(rounded(X, 2), y)
    proven = least_loss(
        samples,
        OBJECTIVES["sat-margin"](1, 2, 2),
        SolveOptions(solver="cplex", limits=Limits(node_limit=10)),
        Budget.of(None),
        0,
    )
    assert 0.0 <= proven <= 2400.0
