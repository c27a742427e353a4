"""Model files that are whole, damaged, of earlier versions, or not model files at all."""

from __future__ import annotations

import io
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block, Network
from layermilp.errors import ModelFileError, OutputError
from layermilp.files import write_atomically
from layermilp.networks.files import write_model_file
from layermilp.networks.layers import Dense, Tied
from layermilp.networks.parameters import ParameterMap
from tests.networks.examples import OLD_NAMES, blocks


def _same(one: Network, other: Network) -> None:
    assert len(one.blocks) == len(other.blocks)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.layer.text == b.layer.text
        assert a.parameters.index.tolist() == b.parameters.index.tolist()
        assert a.extended.tobytes() == b.extended.tobytes()
        assert a.theta.tobytes() == b.theta.tobytes()
    assert one.classes.tolist() == other.classes.tolist()
    assert one.classes.dtype.kind == other.classes.dtype.kind
    assert one.decision == other.decision
    assert one.notation == other.notation


def _examples() -> dict[str, Network]:
    tied = ParameterMap(
        np.array([[0, 0, -1, 1], [1, -1, 2, -1]]), np.array([[0, 0, 0.3, 0], [0, -0.7, 0, 1 / 3]])
    )
    return {
        "dense": Network.dense([5, 4, 3], seed=1),
        "conv": Network(
            [Block.conv2d(4, 5, 2, seed=2), Block.dense(12, 2, init="uniform", seed=3)]
        ),
        "conv with bias": Network(
            [Block.conv2d(3, 3, 2, free_bias=True, init="uniform", seed=2), Block.dense(4, 2)]
        ),
        "text": Network.dense([3, 2]).with_classes(["Käse", "a longer label"]),
        "numbers": Network.dense([3, 2]).with_classes([-5, 2**40]),
        "argmax": Network.dense([3, 2], seed=4).with_decision("argmax"),
        "mean": Network.from_notation("4x6-mean2-conv2-3", seed=5),
        "nothing to train": Network([Block.mean2d(4, 4, 2)]),
        "ties and fixed values": Network([Block(Tied(tied), np.array([0.1, 0.2, -1.0]))]),
    }


EXAMPLES = _examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_saved_networks_come_back(name: str, tmp_path: Path) -> None:
    network = EXAMPLES[name]
    path = network.save(tmp_path / "model.npz")
    assert path == tmp_path / "model.npz"
    found = Network.load(path)
    _same(network, found)
    X = np.random.default_rng(0).random((6, network.n_inputs))
    assert found.forward(X).tobytes() == network.forward(X).tobytes()
    assert found.predict(X).tolist() == network.predict(X).tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


@settings(deadline=None, max_examples=40)
@given(blocks())
def test_any_block_comes_back(block: Block) -> None:
    network = Network([block])
    with tempfile.TemporaryDirectory() as folder:
        _same(network, Network.load(network.save(Path(folder) / "model.npz")))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_network_gives_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EXAMPLES[name].save(tmp_path / "first.npz").read_bytes()
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    assert _examples()[name].save(tmp_path / "second.npz").read_bytes() == first
    assert Network.load(tmp_path / "first.npz").save(tmp_path / "third.npz").read_bytes() == first


def test_files_of_version_1_load(tmp_path: Path) -> None:
    weights, bias, index = (
        np.array([[0.5, -0.25], [1.0, 2.0]]),
        np.array([0.0, 0.125]),
        np.arange(6, dtype=np.int32),
    )
    np.savez(
        tmp_path / "model.npz",
        format=np.array("layermilp.network"),
        version=np.array(1),
        classes=np.array(["a", "b"]),
        n_blocks=np.array(1),
        weights_0=weights,
        bias_0=bias,
        index_0=index.reshape(2, 3),
    )
    expected = Network(
        [Block(Dense(2, 2), np.array([0.5, -0.25, 0.0, 1.0, 2.0, 0.125]))], ["a", "b"]
    )
    _same(expected, Network.load(tmp_path / "model.npz"))
    assert expected.decision == "closest_to_one"
    with np.load(Network.load(tmp_path / "model.npz").save(tmp_path / "new.npz")) as archive:
        assert archive["version"] == 3 and archive["decision"] == "closest_to_one"


def _version_2(network: Network, path: Path) -> Path:
    """Write a network as files of version 2 are: without layers, and with other decisions."""
    arrays = network.arrays()
    del arrays["layers"]
    decision = np.array(OLD_NAMES[network.decision])
    return write_model_file(path, Network.FORMAT, 2, {**arrays, "decision": decision})


@pytest.mark.parametrize("name", EXAMPLES)
def test_files_of_version_2_load(name: str, tmp_path: Path) -> None:
    _same(EXAMPLES[name], Network.load(_version_2(EXAMPLES[name], tmp_path / "model.npz")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("28x28-mean4-conv3-10", "28x28-mean4-conv3-10"),
        ("6x9-mean3-conv2b-conv1-4-2", "6x9-mean3-conv2b-conv1-4-2"),
        ("2x8-conv1-conv2-3", "2x8-conv1-conv2-3"),
        ("2x8-conv1-10", "4x4-conv1-10"),
        ("3x3-conv3b-10", "9-1-10"),
    ],
)
def test_layers_of_version_2_are_the_simplest_with_these_ties(
    text: str, found: str, tmp_path: Path
) -> None:
    network = Network.from_notation(text, init="uniform")
    again = Network.load(_version_2(network, tmp_path / "model.npz"))
    assert again.notation == found
    for one, other in zip(network.blocks, again.blocks, strict=True):
        assert one.theta.tobytes() == other.theta.tobytes()
        assert one.parameters.is_same(other.parameters)


def test_saving_replaces_a_file_and_takes_any_name(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("old")
    EXAMPLES["dense"].save(str(path))
    _same(EXAMPLES["dense"], Network.load(str(path)))
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_unwritable_places_are_named_and_left_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "file" / "model.npz",
        tmp_path / "missing" / "model.npz",
        tmp_path / "folder",
    ):
        with pytest.raises(OutputError, match=path.name):
            EXAMPLES["dense"].save(path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "file",
        "folder",
    ]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("error", "seen"), [(OSError(28, "No space left"), OutputError), (KeyboardInterrupt(), None)]
)
def test_interrupted_writing_leaves_the_old_file(
    error: BaseException, seen: type | None, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")

    def write(file: Any) -> None:
        file.write(b"half of the new")
        raise error

    with pytest.raises(seen or type(error)):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


class _Trap:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _arrays(network: Network, folder: Path) -> dict[str, Any]:
    with np.load(network.save(folder / "original.npz")) as archive:
        return dict(archive)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nope.npz", tmp_path / "no folder" / "nope.npz", tmp_path):
        with pytest.raises(ModelFileError, match="there is no model file") as caught:
            Network.load(path)
        assert str(path) in str(caught.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    array = io.BytesIO()
    np.save(array, np.arange(3))
    pickled = pickle.dumps({"format": "layermilp.network"})
    for content in (b"", b"PK", b"hello", b"\x00" * 1000, pickled, array.getvalue()):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"model\.npz"):
            Network.load(path)
    for arrays in (
        {},
        {"weights_0": np.eye(2)},
        {"format": np.array("other")},
        {"format": np.eye(2)},
    ):
        np.savez(path, **arrays)
        with pytest.raises(ModelFileError, match=r"model\.npz is not a layermilp model"):
            Network.load(path)


@pytest.mark.parametrize("key", ["extra", "format", "classes", "weights_0", "index_0"])
def test_pickles_are_never_executed(key: str, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    trap = np.empty(1, dtype=object)
    trap[0] = _Trap(tmp_path / "sprung")
    np.savez(tmp_path / "model.npz", **{**arrays, key: trap})
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "model.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(trap))
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "pickle.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("version", [4, 0, -1, 1.5, "3", [1, 2]])
def test_other_versions_are_named(version: Any, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    np.savez(tmp_path / "model.npz", **{**arrays, "version": np.array(version)})
    with pytest.raises(
        ModelFileError, match=r"model\.npz has format version .*; this layermilp reads 1, 2, 3"
    ):
        Network.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    "key",
    [
        "format",
        "version",
        "classes",
        "decision",
        "n_blocks",
        "layers",
        "weights_1",
        "bias_0",
        "index_0",
    ],
)
def test_missing_arrays_are_noticed(key: str, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    del arrays[key]
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ModelFileError):
        Network.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_blocks", 0),
        ("n_blocks", -1),
        ("n_blocks", 10**9),
        ("n_blocks", np.nan),
        ("n_blocks", np.inf),
        ("n_blocks", "two"),
        ("n_blocks", [2, 2]),
        ("classes", [0, 1]),
        ("classes", [0, 0, 1]),
        ("classes", [0.0, 1.0, 2.0]),
        ("classes", 3),
        ("decision", "smallest"),
        ("decision", ["closest_to_one"]),
        ("decision", 0),
        ("layers", "x"),
        ("layers", ["x", "x"]),
        ("layers", ["[]", "[]"]),
        ("layers", ['["Dense", {"in_features": 5, "out_features": 4}]']),
        ("layers", ['["Dense", {"in_features": 5, "out_features": 3}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"in_features": 5.0, "out_features": 4}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"in_features": 99999, "out_features": 9999}]', '["Tied", {}]']),
        ("layers", ['["Dense", {"sizes": [5, 4]}]', '["Tied", {}]']),
        ("layers", ['["Conv", {}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 5], "window": {"size": [1, 1]}}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 1, 5], "window": {"size": [1]}}]', '["Tied", {}]']),
        ("layers", ['["Conv2d", {"image": [1, 1, 5], "window": {"size": [1, 2]}}]'] * 2),
        ("weights_0", np.eye(4)),
        ("weights_0", np.zeros((4, 5, 1))),
        ("weights_0", 1.0),
        ("weights_0", np.full((4, 5), np.nan)),
        ("weights_0", np.full((4, 5), np.inf)),
        ("weights_0", np.full((4, 5), "x")),
        ("weights_0", np.zeros((4, 5), dtype="i4,i4")),
        ("weights_0", np.zeros((0, 5))),
        ("bias_0", np.zeros(3)),
        ("bias_0", np.zeros((4, 1))),
        ("bias_0", np.full(4, np.nan)),
        ("bias_0", np.full(4, "x")),
        ("index_0", np.zeros((4, 6), dtype=int)),
        ("index_0", np.arange(24)),
        ("index_0", np.arange(1, 25).reshape(4, 6)),
        ("index_0", np.full((4, 6), -2)),
        ("index_0", np.full((4, 6), 2**62)),
        ("index_0", np.full((4, 6), "x")),
        ("index_0", np.zeros((4, 6), dtype="i4,i4")),
        ("index_0", np.zeros((0, 6), dtype=int)),
        ("index_0", 0),
    ],
)
def test_arrays_that_do_not_fit_are_noticed(key: str, value: Any, tmp_path: Path) -> None:
    arrays = _arrays(EXAMPLES["dense"], tmp_path)
    np.savez(tmp_path / "model.npz", **{**arrays, key: np.asarray(value)})
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged"):
        Network.load(tmp_path / "model.npz")


def _bytes_of(network: Network) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return network.save(Path(folder) / "model.npz").read_bytes()


WHOLE = {name: _bytes_of(EXAMPLES[name]) for name in ("dense", "conv", "text")}


def _survives(name: str, content: bytes) -> None:
    """Load damaged content: either it is refused, or the damage did not touch the network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        path.write_bytes(content)
        try:
            found = Network.load(path)
        except ModelFileError as error:
            assert str(path) in str(error)
        else:
            _same(EXAMPLES[name], found)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_truncated_files_are_refused(name: str, data: st.DataObject) -> None:
    whole = WHOLE[name]
    _survives(name, whole[: data.draw(st.integers(0, len(whole) - 1))])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_flipped_bytes_are_refused_or_harmless(name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    flips = st.lists(
        st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), min_size=1, max_size=3
    )
    for place, change in data.draw(flips):
        content[place] ^= change
    _survives(name, bytes(content))
