"""The portfolio: what is found, what is proven, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Network, smt
from layermilp.errors import DataError, NetworkError, OptionError
from layermilp.smt import Verdict
from tests.smt.samples import APART, CORNERS, holds, planes


@pytest.mark.parametrize("sizes", [(3, 40, 2), (3, 50, 30, 3), (3, 60, 60, 2)])
def test_wide_networks_need_no_search(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(30, 3)), rng.integers(0, sizes[-1], 30)
    found = smt.train(Network.dense(sizes), X, labels, stages=("random",))
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage == "random"
        and found.lead is not None
        and found.lead > 0
    )
    assert holds(found.network, X, labels)


@pytest.mark.parametrize("sizes", [(3, 2, 2), (3, 3, 2), (3, 3, 3, 2)])
def test_narrow_networks_are_found(sizes: tuple[int, ...]) -> None:
    X, labels = planes(50)
    found = smt.train(
        Network.dense(sizes), X, labels, stages=("trained", "patterns"), time_limit=None
    )
    assert found.verdict is Verdict.SATISFIED and holds(found.network, X, labels)
    again = smt.train(
        Network.dense(sizes), X, labels, stages=("trained", "patterns"), time_limit=None
    )
    assert found.network is not None and again.network is not None
    assert all(
        np.array_equal(a.theta, b.theta)
        for a, b in zip(found.network.blocks, again.network.blocks, strict=True)
    )


def test_three_classes_and_two_hidden_layers() -> None:
    X = np.random.default_rng(1).normal(size=(30, 2))
    labels = np.arange(30) % 3
    for sizes in ([2, 10, 3], [2, 6, 6, 3]):
        network = Network.dense(sizes).with_classes(["a", "b", "c"])
        found = smt.train(network, X, np.array(["a", "b", "c"])[labels], time_limit=60.0)
        assert found.verdict is Verdict.SATISFIED and holds(found.network, X, labels)


@pytest.mark.parametrize(
    ("hidden", "options"),
    [((1,), {}), ((1, 1), {"bound": 0.5}), ((1,), {"bound": 1.0, "grid": 1.0})],
)
def test_what_one_neuron_cannot_tell_apart_is_proven(
    hidden: tuple[int, ...], options: dict[str, Any]
) -> None:
    found = smt.train(
        Network.dense([2, *hidden, 2]), CORNERS, APART, rounds=1, time_limit=120.0, **options
    )
    assert (
        found.verdict is Verdict.UNSATISFIABLE
        and found.stage == "formula"
        and found.network is None
    )


@pytest.mark.parametrize("stages", [("trained", "patterns"), ("formula",), ("plain",)])
@pytest.mark.parametrize("bound", [None, 0.125])
def test_two_neurons_tell_it_apart(stages: tuple[str, ...], bound: float | None) -> None:
    found = smt.train(
        Network.dense([2, 2, 2]), CORNERS, APART, stages=stages, bound=bound, time_limit=120.0
    )
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage in stages
        and holds(found.network, CORNERS, APART)
    )
    assert found.network is not None
    assert all(np.abs(block.theta).max() <= (bound or np.inf) for block in found.network.blocks)


@pytest.mark.parametrize("stages", [("trained", "patterns"), ("formula",)])
def test_a_grid_is_respected(stages: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"bound": 1.5, "grid": 0.5, "time_limit": 120.0}
    found = smt.train(Network.dense([2, 2, 2]), CORNERS, APART, stages=stages, **options)
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage in stages
        and holds(found.network, CORNERS, APART)
    )
    assert found.network is not None
    for block in found.network.blocks:
        assert np.abs(block.theta).max() <= 1.5 and not np.any(block.theta % 0.5)


def test_rounded_samples_give_a_model_of_the_true_ones() -> None:
    X, labels = planes(15)
    found = smt.train(Network.dense([3, 2, 2]), X, labels, stages=("rounded",), time_limit=100.0)
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage == "rounded"
        and holds(found.network, X, labels)
    )
    # Three samples that become one: no proof for the true ones.
    close = np.array([[1.0], [1.00001], [1.00002]])
    found = smt.train(
        Network.dense([1, 2, 2]), close, [0, 1, 0], stages=("rounded",), time_limit=100.0
    )
    assert found.verdict is Verdict.UNKNOWN


def test_equal_samples_with_different_labels_are_seen_at_once() -> None:
    X = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]])
    found = smt.train(Network.dense([2, 4, 2]), X, [0, 1, 1], stages=("random",))
    assert found.verdict is Verdict.UNSATISFIABLE and found.stage == "samples"
    assert found.reason == "samples 0 and 2 are equal, but their labels differ"


def test_the_end_of_the_time_is_no_proof() -> None:
    X, labels = planes(60)
    found = smt.train(Network.dense([3, 6, 2]), X, labels, stages=("plain",), time_limit=1.0)
    assert (
        found.verdict is Verdict.TIMEOUT
        and found.network is None
        and "time limit of 1 s" in found.reason
    )
    found = smt.train(
        Network.dense([2, 1, 2]), CORNERS, APART, stages=("random", "trained", "patterns"), rounds=1
    )
    assert (
        found.verdict is Verdict.UNKNOWN
        and found.reason == "no complete search was among the stages"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bound": 0.0}, "bound is 0.0; it must be a number above 0"),
        ({"grid": 1.0}, "there is no bound"),
        ({"grid": 2.0, "bound": 1.0}, "above the bound 1"),
        ({"grid": 0.1, "bound": 1.0}, "use a whole number or a power of two"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"rounds": 0}, "rounds is 0"),
        ({"seed": -1}, "seed is -1"),
        (
            {"stages": ("magic",)},
            "stages 'magic' is unknown; choose random, trained, patterns, rounded, formula, plain",
        ),
        ({"stages": ()}, "stages is \\(\\)"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        smt.train(Network.dense([2, 2, 2]), CORNERS, APART, **options)


@pytest.mark.parametrize(
    ("network", "X", "y", "kind", "words"),
    [
        (Network.dense([3, 2, 2]), CORNERS, APART, DataError, "needs samples in rows of 3 values"),
        (Network.dense([2, 2, 2]), CORNERS[:0], APART[:0], DataError, r"X has shape \(0, 2\)"),
        (
            Network.dense([2, 2, 2]),
            CORNERS * np.nan,
            APART,
            DataError,
            "sample 0 has the value nan at input 0",
        ),
        (
            Network.dense([2, 2, 2]),
            CORNERS,
            [0, 0, 1, 2],
            DataError,
            "label '2' is none of the network's 2 classes",
        ),
        (Network.dense([2, 2, 2]), CORNERS, [0, 1], DataError, "there are 4 samples, but 2 labels"),
        (Network.dense([2, 2, 1]), CORNERS, [0] * 4, NetworkError, "has one output"),
        (
            Network.conv(2, 2, 2, 2),
            np.ones((2, 4)),
            [0, 1],
            NetworkError,
            "block 1 of .* has tied or fixed weights",
        ),
    ],
)
def test_data_and_networks_that_cannot_be_are_refused(
    network: Network, X: Any, y: Any, kind: Any, words: str
) -> None:
    with pytest.raises(kind, match=words):
        smt.train(network, X, y)
