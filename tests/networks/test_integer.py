"""Integer networks: exact arithmetic, files, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import load_model
from layermilp.errors import DataError, ModelFileError, NetworkError
from layermilp.networks.integer import (
    GRID,
    IntegerLayer,
    IntegerNetwork,
    correct,
)
from tests.integer.instances import SEEDS, drawn_network


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from([(3, 2, 2), (4, 3, 2, 3), (2, 1, 1)]), st.sampled_from([1, 3, 15]))
def test_the_forward_pass_is_exact(seed: int, sizes: tuple[int, ...], bound: int) -> None:
    """Against rational arithmetic, on inputs of which many sums are zero."""
    rng = np.random.default_rng(seed)
    network, X = drawn_network(rng, sizes, bound), rng.integers(0, 5, (8, sizes[0])) / 4.0
    sums = network.output_sums(X)
    for x, found in zip(X, sums, strict=True):
        values: list[Fraction | int] = [Fraction(round(v * GRID), GRID) for v in x]
        for i, layer in enumerate(network.layers):
            totals = [
                sum(int(w) * v for w, v in zip(row[:-1], values, strict=True)) + int(row[-1])
                for row in layer.theta
            ]
            values = (
                totals
                if i == len(network.layers) - 1
                else [Fraction(1 if total >= 0 else -1) for total in totals]
            )
        assert [Fraction(value) for value in found] == values


def test_ties_count_as_errors() -> None:
    network = IntegerNetwork.zeros((2, 2, 2), 1)
    assert network.accuracy([[0.0, 1.0], [1.0, 0.0]], [0, 1]) == 0.0
    np.testing.assert_array_equal(
        correct(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0, 0])), [True, False]
    )


def test_a_network_is_saved_in_the_smallest_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for bound, name, size in (
        (1, "int8", 1),
        (127, "int8", 1),
        (128, "int16", 2),
        (40_000, "int32", 4),
    ):
        network = drawn_network(rng, (5, 3, 2), bound)
        path = network.save(tmp_path / "model.npz")
        with np.load(path) as arrays:
            assert arrays["theta0"].dtype.name == name
        assert network.n_bytes == size * (3 * 6 + 2 * 4)
        again = load_model(path)
        assert isinstance(again, IntegerNetwork) and again.bound == bound
        assert all(
            np.array_equal(a.theta, b.theta)
            for a, b in zip(network.layers, again.layers, strict=True)
        )


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = IntegerNetwork.zeros((2, 2, 2), 1).save(tmp_path / "model.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"theta1": np.full((2, 3), 9, dtype=np.int8)}))
    with pytest.raises(
        ModelFileError, match=r"model\.npz is damaged: layer 2 has a weight of 9, above the bound 1"
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: IntegerNetwork.zeros((2, 2), 1), "needs a hidden layer"),
        (lambda: IntegerNetwork.zeros((2, 2, 2), 0), "bound is 0"),
        (lambda: IntegerNetwork.zeros((2, 2, 2), 2**50), "would not be exact"),
        (
            lambda: IntegerNetwork([IntegerLayer.of([[1, 2]]), IntegerLayer.of([[1, 1, 1]])], 3),
            "layer 1 has 1 outputs",
        ),
        (
            lambda: IntegerNetwork([IntegerLayer.of([[1, 2]]), IntegerLayer.of([[1, 1]])], 1),
            "weight of 2, above the bound 1",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(build: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        build()


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ([[0.0, 2.0]], r"value 2 at input 1; integer networks need inputs scaled to \[0, 1\]"),
        ([[0.0, np.nan]], "sample 0 has the value nan at input 1"),
        ([[0.0]], "takes samples of 2 inputs"),
    ],
)
def test_inputs_that_cannot_be_are_refused(X: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        IntegerNetwork.zeros((2, 2, 2), 1).predict(X)
