"""What outputs decide: classes, labels, accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Block, Network
from layermilp.errors import DataError, NetworkError
from layermilp.networks.classifier import decide
from layermilp.networks.layers import Dense
from tests.networks.examples import OLD_NAMES


def test_prediction_is_the_output_closest_to_one_not_the_largest() -> None:
    for outputs, expected in (
        ([[0.0, 0.9, 3.0], [0.0, 0.0, 2.5], [1.2, 0.9, 0.0]], [1, 0, 1]),
        ([[0.5, 1.5], [2.0, 0.0], [0.0, 0.0]], [0, 0, 0]),
    ):
        assert decide(np.array(outputs), "closest_to_one").tolist() == expected


@pytest.mark.parametrize(
    ("decision", "outputs", "expected"),
    [
        ("closest_to_one", [[0.0, 0.9, 3.0], [-1.0, -2.0, -0.5], [0.5, 1.5, 0.5]], [1, 2, 0]),
        ("argmax", [[0.0, 0.9, 3.0], [-1.0, -2.0, -0.5], [0.5, 1.5, 1.5]], [2, 2, 1]),
    ],
)
def test_decisions_read_the_class(
    decision: str, outputs: list[list[float]], expected: list[int]
) -> None:
    assert decide(np.array(outputs), decision).tolist() == expected
    network = Network.dense([2, 3]).with_decision(decision)
    assert network.decide(np.array(outputs)).tolist() == expected
    assert network.decide(np.zeros((0, 3))).tolist() == []


def test_the_decision_is_kept() -> None:
    network = Network([Block.dense(3, 2)], decision="argmax")
    assert network.with_classes(["a", "b"]).decision == "argmax"
    assert network.with_block(0, Block.dense(3, 2, seed=1)).decision == "argmax"
    assert network.with_decision("closest_to_one").with_classes([1, 2]).decision == "closest_to_one"
    assert network.with_classes(["a", "b"]).with_decision("closest_to_one").classes.tolist() == [
        "a",
        "b",
    ]
    assert Network.dense([3, 2]).decision == "closest_to_one"


def test_unknown_decisions_are_named() -> None:
    with pytest.raises(
        NetworkError, match=r"decision 'smallest' is unknown; choose closest_to_one, argmax"
    ):
        Network.dense([3, 2]).with_decision("smallest")
    with pytest.raises(NetworkError, match="'smallest' is unknown"):
        decide(np.zeros((1, 2)), "smallest")


def test_classes_are_a_value() -> None:
    labels = np.array([3, 4])
    network = Network.dense([3, 2]).with_classes(labels)
    labels[0] = 5
    assert network.classes.tolist() == [3, 4]
    with pytest.raises(ValueError, match="read-only"):
        network.classes[0] = 5


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((2, 2)), r"3 inputs, got an array of shape \(2, 2\)"),
        (np.zeros(3), "3 inputs"),
        ([[0.0, np.nan, 0.0]], "sample 0 has the value nan at input 1"),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, np.inf]], "sample 1 has the value inf at input 2"),
    ],
)
def test_forward_refuses_what_does_not_fit(X: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Network.dense([3, 2]).forward(X)


def test_accuracy_is_a_share() -> None:
    network = Network([Block(Dense(2, 2), np.array([1.0, 0, 0, 0, 1.0, 0]))], ["left", "right"])
    X = np.eye(2)
    assert network.predict(X).tolist() == ["left", "right"]
    assert network.accuracy(X, ["left", "right"]) == 1.0
    assert network.accuracy(X, ["right", "right"]) == 0.5
    assert np.isnan(network.accuracy(np.zeros((0, 2)), []))
    with pytest.raises(DataError, match="2 samples"):
        network.accuracy(X, ["left"])


def test_classes_are_numbers_by_default_and_may_be_text() -> None:
    network = Network.dense([3, 2])
    assert network.classes.tolist() == [0, 1]
    named = network.with_classes(["zebra", "ape"])
    assert named.class_indices(["ape", "zebra", "ape"]).tolist() == [1, 0, 1]
    assert set(named.predict(np.random.default_rng(0).random((20, 3)))) <= {"zebra", "ape"}
    assert network.with_classes([7, -3]).class_indices(np.array([-3, 7])).tolist() == [1, 0]
    assert network.class_indices([]).tolist() == []


@pytest.mark.parametrize(
    "classes",
    [[0], [0, 1, 2], [1, 1], ["a", "a"], [0.5, 1.5], [True, False], [[0, 1]], [None, 1]],
    ids=repr,
)
def test_classes_that_do_not_fit_are_refused(classes: list[Any]) -> None:
    with pytest.raises(
        NetworkError, match="2 outputs needs as many different integer or text labels"
    ):
        Network.dense([3, 2]).with_classes(classes)


@pytest.mark.parametrize(
    ("classes", "labels", "words"),
    [
        ([0, 1], [0, 2], "label .*2.* is none of the network's 2 classes"),
        ([0, 1], [0, -1], "-1"),
        ([0, 1], [0.0, 0.5], r"0\.5"),
        ([0, 1], [0.0, np.nan], "nan"),
        ([0, 1], ["0", "1"], "0"),
        ([0, 1], [[0, 1]], r"\(1, 2\)"),
        ([0, 1], 1, r"\(\)"),
        ([0, 1], [None, 1], "label"),
        (["a", "b"], ["a", "c"], r"c.*\(a, b\)"),
        (["a", "b"], [0, 1], "label"),
        (["a", "b"], [None, "a"], "label"),
    ],
)
def test_unknown_labels_are_named(classes: list[Any], labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Network.dense([3, 2]).with_classes(classes).class_indices(labels)


def test_old_names_of_decisions_are_taken_and_not_kept() -> None:
    for name, old in OLD_NAMES.items():
        assert Network([Block.dense(3, 2)], decision=old).decision == name
        assert Network.dense([3, 2]).with_decision(old).decision == name
