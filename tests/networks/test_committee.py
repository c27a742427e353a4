"""Committees: votes, ties, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.errors import DataError, ModelFileError, NetworkError, OutputError
from layermilp.networks.committee import Committee
from layermilp.networks.layers import Dense
from layermilp.networks.load import load_model
from layermilp.networks.network import Block, Network
from tests.networks.committees import arrays_of, small_committee

GRID = st.integers(-4, 8).map(lambda k: k / 4)


def _constant(outputs: list[float], decision: str) -> Network:
    """Network whose outputs, apart from a ReLU, are the same for every sample."""
    extended = np.column_stack([np.zeros(len(outputs)), outputs])
    return Network([Block(Dense(1, len(outputs)), extended.reshape(-1))], decision=decision)


def _naive_choice(row: list[float], decision: str) -> int:
    return (
        row.index(max(row))
        if decision == "argmax"
        else min(range(len(row)), key=lambda j: abs(row[j] - 1.0))
    )


def _naive_vote(rows: list[list[float]], decision: str) -> tuple[list[int], int]:
    votes = [0] * len(rows[0])
    for row in rows:
        votes[_naive_choice(row, decision)] += 1
    winner = None
    for j, count in enumerate(votes):
        if count != max(votes):
            continue
        mean = sum(row[j] for row in rows) / len(rows)
        score = mean if decision == "argmax" else -abs(mean - 1.0)
        if winner is None or score > winner[1]:
            winner = (j, score)
    assert winner is not None
    return votes, winner[0]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["closest_to_one", "argmax"]), st.integers(1, 5), st.integers(1, 4), st.data()
)
def test_most_votes_win_and_ties_go_by_the_mean_output(
    decision: str, members: int, n: int, data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(st.lists(GRID, min_size=n, max_size=n), min_size=members, max_size=members)
    )
    committee = Committee(_constant(row, decision) for row in rows)
    if decision == "closest_to_one":
        rows = [[max(value, 0.0) for value in row] for row in rows]
    votes, winner = _naive_vote(rows, decision)
    X = np.zeros((2, 1))
    assert committee.votes(X).tolist() == [votes, votes]
    assert committee.predict(X).tolist() == [winner, winner]


@pytest.mark.parametrize(
    ("decision", "rows", "winner"),
    [
        ("argmax", [[1.0, 0.0], [1.0, 0.0], [0.0, 9.0]], 0),
        ("argmax", [[1.0, 0.0], [0.0, 9.0]], 1),
        ("argmax", [[-1.0, -2.0], [-5.0, -1.0]], 1),
        ("argmax", [[1.0, 0.0], [0.0, 1.0]], 0),
        ("argmax", [[3.0, 0.0, 2.0], [0.0, 3.0, 2.5]], 0),
        ("closest_to_one", [[1.0, 0.0], [0.0, 1.0]], 0),
        ("closest_to_one", [[1.0, 0.0], [0.5, 1.25]], 0),
        ("closest_to_one", [[1.0, 0.75], [0.0, 1.0]], 1),
    ],
)
def test_votes_by_hand(decision: str, rows: list[list[float]], winner: int) -> None:
    assert Committee(_constant(row, decision) for row in rows).predict([[0.0]]).tolist() == [winner]


def test_samples_are_voted_on_one_by_one() -> None:
    networks = [
        Network.dense([4, 3, 3], init="uniform", seed=seed).with_decision("argmax")
        for seed in range(3)
    ]
    committee = Committee(networks)
    X = np.random.default_rng(0).random((40, 4))
    votes = committee.votes(X)
    expected = np.zeros((40, 3), dtype=int)
    for network in networks:
        for k, label in enumerate(network.predict(X)):
            expected[k, label] += 1
    assert votes.dtype == np.int64 and votes.tolist() == expected.tolist()
    clear = expected.max(axis=1) >= 2
    assert clear.any()
    assert committee.predict(X)[clear].tolist() == expected.argmax(axis=1)[clear].tolist()


@pytest.mark.parametrize("decision", ["closest_to_one", "argmax"])
def test_a_committee_of_one_is_its_member(decision: str) -> None:
    network = (
        Network.dense([4, 5, 3], init="uniform", seed=2)
        .with_classes(["a", "b", "c"])
        .with_decision(decision)
    )
    committee = Committee([network])
    X = np.random.default_rng(0).random((30, 4))
    y = np.random.default_rng(1).choice(["a", "b", "c"], 30)
    assert committee.predict(X).tolist() == network.predict(X).tolist()
    assert committee.accuracy(X, y) == network.accuracy(X, y)
    assert committee.class_indices(y).tolist() == network.class_indices(y).tolist()


def test_a_committee_tells_what_its_members_share() -> None:
    networks = [
        Network.from_notation("3x3-conv2-2", seed=seed).with_classes(["a", "b"])
        for seed in range(3)
    ]
    committee = Committee(networks)
    assert (committee.n_inputs, committee.n_outputs, committee.decision) == (9, 2, "closest_to_one")
    assert committee.classes.tolist() == ["a", "b"]
    assert committee.notation == "3 x 3x3-conv2-2"
    assert repr(committee) == "Committee(3 x 3x3-conv2-2)"
    other = Network.dense([9, 4, 2]).with_classes(["a", "b"])
    assert Committee([*networks, other]).notation == "3 x 3x3-conv2-2 + 1 x 9-4-2"


def test_no_samples() -> None:
    committee = Committee([Network.dense([3, 2]), Network.dense([3, 2], seed=1)])
    assert committee.predict(np.zeros((0, 3))).tolist() == []
    assert committee.votes(np.zeros((0, 3))).shape == (0, 2)
    assert np.isnan(committee.accuracy(np.zeros((0, 3)), []))


def test_data_that_do_not_fit_are_refused() -> None:
    committee = Committee([Network.dense([3, 2])])
    with pytest.raises(DataError, match="3 inputs"):
        committee.predict(np.zeros((1, 2)))
    with pytest.raises(DataError, match="value nan"):
        committee.votes([[0.0, np.nan, 0.0]])
    with pytest.raises(DataError, match="1 samples"):
        committee.accuracy(np.zeros((1, 3)), [0, 1])
    with pytest.raises(DataError, match="label '7'"):
        committee.class_indices([7])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Network.dense([4, 2]), "inputs: 4, not 3"),
        (Network.dense([3, 3]), r"classes: \[0, 1, 2\], not \[0, 1\]"),
        (Network.dense([3, 2]).with_classes(["0", "1"]), "classes"),
        (Network.dense([3, 2]).with_classes([1, 0]), "classes"),
        (Network.dense([3, 2]).with_decision("argmax"), "decision: argmax, not closest_to_one"),
    ],
)
def test_members_must_be_alike(other: Network, words: str) -> None:
    with pytest.raises(
        NetworkError, match=f"member 3 of the committee differs from member 1 in its {words}"
    ):
        Committee([Network.dense([3, 2]), Network.dense([3, 5, 2]), other])


def test_a_committee_has_members() -> None:
    with pytest.raises(NetworkError, match="at least one network"):
        Committee([])


def test_saved_committees_come_back(tmp_path: Path) -> None:
    committee = small_committee()
    path = committee.save(tmp_path / "model.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
    found = Committee.load(path)
    assert (
        found.notation
        == committee.notation
        == "1 x 16-4-3 + 1 x 4x4-mean2-conv2-3 + 1 x 4x4-conv3b-3"
    )
    assert found.classes.tolist() == ["a", "b", "c"] and found.decision == "argmax"
    for one, other in zip(committee.networks, found.networks, strict=True):
        assert isinstance(one, Network) and isinstance(other, Network)
        assert [block.extended.tobytes() for block in one.blocks] == [
            block.extended.tobytes() for block in other.blocks
        ]
    X = np.random.default_rng(0).random((20, 16))
    assert found.predict(X).tolist() == committee.predict(X).tolist()
    assert found.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_files_of_version_1_load(tmp_path: Path) -> None:
    arrays = {name: array for name, array in arrays_of(tmp_path).items() if "layers" not in name}
    old = {name: np.array("largest") for name in arrays if name.endswith("decision")}
    np.savez(tmp_path / "model.npz", **{**arrays, **old, "version": np.array(1)})
    found = Committee.load(tmp_path / "model.npz")
    assert found.notation == small_committee().notation and found.decision == "argmax"
    new = found.save(tmp_path / "new.npz").read_bytes()
    assert new == (tmp_path / "original.npz").read_bytes()


@pytest.mark.parametrize(
    "key",
    [
        *(f"network_0_{name}" for name in sorted(small_committee().networks[0].arrays())),
        "n_networks",
    ],
)
def test_missing_arrays_are_noticed(key: str, tmp_path: Path) -> None:
    arrays = arrays_of(tmp_path)
    del arrays[key]
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged"):
        Committee.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_networks", 0),
        ("n_networks", 4),
        ("n_networks", 10**9),
        ("n_networks", "three"),
        ("n_networks", [1, 2]),
        ("network_1_decision", "closest_to_one"),
        ("network_2_classes", ["a", "b", "d"]),
        ("network_0_weights_0", np.eye(3)),
        ("network_0_index_0", np.zeros((4, 17), dtype=int)),
    ],
)
def test_arrays_that_do_not_fit_are_noticed(key: str, value: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", **{**arrays_of(tmp_path), key: np.asarray(value)})
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged"):
        load_model(tmp_path / "model.npz")


def test_unwritable_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        small_committee().save(tmp_path / "nowhere" / "model.npz")
