"""The user's own tables: CSV and NPZ files, and which of them are refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.datasets import load, tables
from layermilp.errors import DataError
from tests.datasets.sources import SAMPLES, Y, write_npz


def write_csv(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, "a, label ,b\n1,cat,-2.5\n3e2,dog, 4\n\n0,cat,0\n"))
    assert data.name == "table.csv" and data.X_test is None and data.y_test is None
    assert np.array_equal(data.X_train, [[1.0, -2.5], [300.0, 4.0], [0.0, 0.0]])
    assert data.classes.tolist() == ["cat", "dog"] and data.y_train.tolist() == [0, 1, 0]


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, '\ufeff"label","x, 1"\r\n"b\n2","1"\r\n"ä","2"\r\n'))
    assert data.classes.tolist() == ["b\n2", "ä"] and data.X_train.tolist() == [[1.0], [2.0]]


def test_label_column_by_name(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, "x,kind\n1,7\n2,5\n"), label_column="kind")
    assert (
        data.classes.tolist() == [5, 7]
        and data.classes.dtype == np.int64
        and data.y_train.tolist() == [1, 0]
    )


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["0", "2", "1"], [0, 1, 2]),
        (["1.0", "3", "1e1"], [1, 3, 10]),
        (["-1", "1"], [-1, 1]),
        (["1", "one"], ["1", "one"]),
        (["2_1", "2_2"], ["2_1", "2_2"]),
        (["nan", "x"], ["nan", "x"]),
    ],
)
def test_csv_labels(tmp_path: Path, cells: list[str], classes: list[object]) -> None:
    data = load(write_csv(tmp_path, "x,label\n" + "".join(f"1,{cell}\n" for cell in cells)))
    assert data.classes.tolist() == classes
    assert data.classes[data.y_train].tolist() == [classes[i] for i in data.y_train]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"table\.csv is empty"),
        ("\n \n", r"table\.csv is empty"),
        ("x,label\n", "has a header but no samples"),
        ("label\n1\n", "no column besides the labels"),
        ("x,y\n1,2\n", r"no column 'label' for the labels \(columns: 'x', 'y'\)$"),
        ("x;label\n1;2\n", "separated by commas"),
        ("5,0,0\n1,0,0\n", "looks like a sample"),
        (",".join(f"c{i}" for i in range(50)) + "\n", "'c9' and 40 more"),
        ("x,label,x\n1,2,3\n", "more than one column of the name 'x'"),
        (",x,label\n0,1,2\n", "column 1 has no name"),
        ("x,label,z\n1,2,3\n1,2\n", "line 3: 2 cells, but the header has 3 columns"),
        ("x,label\n1,2,3\n", "line 2: 3 cells"),
        ("x,label,z\n1,2,3\n\n1,2,three\n", "line 4, column 'z': 'three' is not a number"),
        ("x,label\n1,2\n,2\n", "line 3, column 'x': the cell is empty"),
        ("x,label\n1,\n", "line 2: column 'label' is empty"),
        ("x,label\n1,2\nnan,2\n", "line 3, column 'x' is nan"),
        ("x,label\n1,2\n1e999,2\n", "line 3, column 'x' is inf"),
        (
            "x,label\n1,2\n1,0.5\n",
            r"line 3, column 'label' is 0\.5; a label must be a whole number",
        ),
        ("x,label\n1,nan\n1,0\n", "line 2, column 'label' is nan"),
        ("x,label\n1,1e300\n", r"line 2, column 'label' is 1e\+300"),
        ('x,label\n1,"' + "a" * 200_000 + '"\n', "line 2: field larger than field limit"),
        (b"x,label\n1,\xff\n", "not UTF-8 text"),
        ("x,label\n1,2\n".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_refused_csv(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(write_csv(tmp_path, text))
    assert "table.csv" in str(caught.value)


@settings(deadline=None, max_examples=100)
@given(
    text=st.one_of(st.binary(max_size=60), st.text('x,1"\n\r\0 .-é', max_size=40).map(str.encode))
)
def test_random_csv_never_crashes(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    for content in (text, b"x,label\n" + text):
        path.write_bytes(content)
        try:
            tables.load_csv(path)
        except DataError as error:
            assert str(path) in str(error)


def test_npz(tmp_path: Path) -> None:
    data = load(
        write_npz(tmp_path, X=SAMPLES, y=[0, 1, 2, 1], X_test=SAMPLES[:2], y_test=[2, 0], extra=[1])
    )
    assert data.name == "arrays.npz" and np.array_equal(data.X_train, SAMPLES)
    assert data.y_train.tolist() == [0, 1, 2, 1] and data.classes.tolist() == [0, 1, 2]
    assert data.X_test is not None and data.y_test is not None and data.y_test.tolist() == [2, 0]
    assert load(write_npz(tmp_path, X=SAMPLES, y=[0, 1, 2, 1])).X_test is None


def test_npz_images_are_flattened_and_not_scaled(tmp_path: Path) -> None:
    images = np.full((4, 2, 3), 255, np.uint8)
    data = load(write_npz(tmp_path, X=images, y=np.arange(4)), n_inputs=6)
    assert (
        data.X_train.shape == (4, 6)
        and data.X_train.dtype == np.float64
        and data.X_train.max() == 255.0
    )


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, -1, 3, 8], [-1, 3, 8]),
        (np.array([0.0, 2.0, 1.0, 0.0]), [0, 1, 2]),
        ([True, False, True, True], [0, 1]),
        (np.array([1, 2, 3, 4], np.uint64), [1, 2, 3, 4]),
        (["b", "a", "b", "ü"], ["a", "b", "ü"]),
        (np.array([b"b", b"a", b"b", b"c"]), ["a", "b", "c"]),
    ],
)
def test_npz_labels(tmp_path: Path, labels: object, classes: list[object]) -> None:
    data = load(write_npz(tmp_path, X=SAMPLES, y=labels, X_test=SAMPLES, y_test=labels))
    assert data.classes.tolist() == classes and data.classes.dtype.kind in "iU"
    assert data.y_train.dtype == np.int64 and data.y_test is not None
    assert np.array_equal(data.y_train, data.y_test)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": SAMPLES}, r"has no array y; .*\(found: X\)"),
        ({"x": SAMPLES, "y": Y}, r"has no array X; .*\(found: x, y\)"),
        ({"X": SAMPLES, "y": Y, "X_test": SAMPLES}, "both X_test and y_test, or neither"),
        ({"X": SAMPLES, "y": Y[:3]}, "4 samples but 3 labels"),
        ({"X": SAMPLES[0], "y": Y}, "2-D array"),
        ({"X": SAMPLES[:0], "y": []}, r"empty: its array has the shape \(0, 3\)"),
        ({"X": SAMPLES[:, :0], "y": Y}, "empty"),
        ({"X": SAMPLES, "y": np.eye(4)}, "1-D array"),
        ({"X": SAMPLES.astype(str), "y": Y}, "not real numbers"),
        ({"X": SAMPLES * 1j, "y": Y}, "not real numbers"),
        ({"X": SAMPLES, "y": np.array(Y) * 1j}, "whole numbers or text"),
        ({"X": SAMPLES, "y": np.array([0, 1, np.nan, 0])}, r"y\[2\] is nan"),
        ({"X": SAMPLES, "y": [0, 1, 0, 0.5]}, r"y\[3\] is 0\.5"),
        (
            {"X": SAMPLES, "y": np.array([1, 2, 3, 2**63], np.uint64)},
            r"y\[3\] is 9223372036854775808",
        ),
        ({"X": SAMPLES, "y": np.array([b"\xff"] * 4)}, "not UTF-8"),
        ({"X": np.where(SAMPLES == 0, np.inf, SAMPLES), "y": Y}, r"X\[1, 2\] is inf"),
        (
            {"X": np.where(SAMPLES == 1, np.nan, SAMPLES)[:, :, None], "y": Y},
            r"X\[2, 0, 0\] is nan",
        ),
        (
            {"X": SAMPLES, "y": Y, "X_test": SAMPLES[:, :2], "y_test": Y},
            "2 features where .* has 3",
        ),
        (
            {"X": SAMPLES, "y": Y, "X_test": SAMPLES, "y_test": [0, 1, 7, 0]},
            r"y_test\[2\] is 7, a class that",
        ),
        (
            {"X": SAMPLES, "y": list("abab"), "X_test": SAMPLES, "y_test": list("abca")},
            r"y_test\[2\] is 'c', a class",
        ),
        (
            {"X": SAMPLES, "y": list("abab"), "X_test": SAMPLES, "y_test": Y},
            "are whole numbers, but .* text",
        ),
        ({"X": SAMPLES, "y": np.array(["a", None, "b", 1], object)}, "without pickled objects"),
    ],
)
def test_refused_npz(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(write_npz(tmp_path, **arrays))
    assert "arrays.npz" in str(caught.value)


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with path.open("wb") as file:
        np.save(file, SAMPLES)
    with pytest.raises(DataError, match="single array"):
        load(path)
    for content in (b"", b"PK\x03\x04 nothing", b"words"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"arrays\.npz is no readable \.npz file"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", "no array")
        archive.writestr("y.npy", "no array")
    with pytest.raises(DataError, match="member 'X' is no numpy array"):
        load(path)


def test_npz_whose_header_claims_more_than_any_memory(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000), }"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", array)
        archive.writestr("y.npy", array)
    with pytest.raises(DataError, match="no readable"):
        load(path)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damaged_npz_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    np.savez(path, X=SAMPLES, y=Y)
    content = bytearray(path.read_bytes())
    content = content[: data.draw(st.integers(0, len(content)))]
    for position in (
        data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)) if content else []
    ):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tables.load_npz(path)
    except DataError as error:
        assert str(path) in str(error)
