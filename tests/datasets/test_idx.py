"""Directories of IDX files, whole and damaged."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.datasets import idx, load
from layermilp.errors import ChecksumError, DataError
from tests.datasets.sources import idx_bytes, idx_contents, write_idx


@pytest.mark.parametrize("compress", [False, True])
def test_directory_of_idx_files(tmp_path: Path, compress: bool) -> None:
    directory = write_idx(tmp_path / "fashion", compress)
    data = load(directory)
    assert (data.name, data.n_inputs, data.n_classes) == ("fashion", 784, 3)
    assert data.X_train.shape == (6, 784) and data.X_train.dtype == np.float64
    assert data.X_test is not None and data.y_test is not None and data.X_test.shape == (4, 784)
    assert data.y_train.dtype == np.int64 and data.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    raw = np.frombuffer(idx_contents()[idx.TRAIN_IMAGES][16:], np.uint8)
    assert np.array_equal(data.X_train.ravel(), raw / 255)
    assert str(directory) in data.source


def test_directory_with_a_file_missing(tmp_path: Path) -> None:
    (write_idx(tmp_path / "d") / idx.TEST_LABELS).unlink()
    with pytest.raises(DataError, match=rf"d has no file {idx.TEST_LABELS} \(nor .*\.gz\)$"):
        load(tmp_path / "d")


def test_packing_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    directory = write_idx(tmp_path)
    for name in idx.FILE_NAMES:
        (directory / name).rename(directory / f"{name}.gz")
    assert load(directory).X_train.shape == (6, 784)


IMAGES = idx_contents()[idx.TRAIN_IMAGES]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x08", "starts with 000008"),
        (b"PNG!" + IMAGES[4:], "starts with 504e4721 instead of 00000803$"),
        (b"\x00\x00\x0d\x03" + IMAGES[4:], "another type"),
        (b"\x00\x00\x08\x01" + IMAGES[4:], r"1 dimension\(s\) instead of 3"),
        (IMAGES[:10], "within its header"),
        (IMAGES[:-1], "truncated: 4703 bytes of values where its header announces 4704"),
        (IMAGES + b"x", "goes on after the 4704 bytes"),
        (IMAGES[:4] + struct.pack(">3I", 0, 28, 28), "0 x 28 x 28, so it holds nothing"),
        (IMAGES[:4] + b"\xff" * 12, "more than the 1073741824 bytes"),
        (idx_bytes(np.zeros((5, 28, 28))), "holds 6 labels for 5 images"),
        (idx_bytes(np.zeros((6, 14, 28))), r"images have the size \(28, 28\)"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["mnist", "directory"])
def test_damaged_idx_file_is_named(
    tmp_path: Path, content: bytes, message: str, compress: bool, name: str
) -> None:
    directory = write_idx(tmp_path / "d", compress, train_images_idx3=content)
    with pytest.raises(DataError, match=f"corrupt IDX file .*{message}") as caught:
        load("mnist", data_dir=directory) if name == "mnist" else load(directory)
    assert not isinstance(caught.value, ChecksumError)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "check sum"])
def test_broken_gzip(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(IMAGES))
    if damage == "truncated":
        del packed[-20:]
    elif damage == "flipped":
        packed[100:110] = bytes(10)
    else:
        packed[-8] ^= 1
    path = write_idx(tmp_path, compress=True) / f"{idx.TRAIN_IMAGES}.gz"
    path.write_bytes(packed)
    with pytest.raises(
        DataError, match=r"corrupt IDX file .*train-images.*(gzip compression is broken|truncated)"
    ):
        load(tmp_path)


def test_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\x00\x00\x08\x01" + struct.pack(">I", 10))
        for _ in range(64):
            file.write(bytes(2**20))
    read = []
    real = gzip.GzipFile.read

    def counting(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        piece = real(self, size)
        read.append(len(piece))
        return piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip.GzipFile, "read", counting)
        with pytest.raises(DataError, match="goes on after the 10 bytes"):
            idx.read_idx(path, 1)
    assert sum(read) == 4 + 4 + 11


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root reads all",
)
def test_unreadable_file(tmp_path: Path) -> None:
    (write_idx(tmp_path) / idx.TRAIN_IMAGES).chmod(0)
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path)


def read_or_refuse(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, n_dimensions: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    try:
        array = idx.read_idx(path, n_dimensions)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert array.ndim == n_dimensions and array.size > 0


@settings(deadline=None, max_examples=150)
@given(
    start=st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x08\x03", b"\x1f\x8b", b"\x1f\x8b\x08\0"]),
    rest=st.binary(),
)
def test_random_bytes_never_crash_the_parser(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes
) -> None:
    for n_dimensions in (1, 3):
        read_or_refuse(tmp_path_factory, start + rest, n_dimensions)
        read_or_refuse(tmp_path_factory, gzip.compress(start + rest, 1), n_dimensions)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), compress=st.booleans())
def test_truncated_and_flipped_files_never_crash_the_parser(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compress: bool
) -> None:
    content = bytearray(idx_bytes(np.arange(24).reshape(2, 3, 4)))
    if compress:
        content = bytearray(gzip.compress(bytes(content)))
    content = content[: data.draw(st.integers(0, len(content)))]
    for position in (
        data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)) if content else []
    ):
        content[position] = data.draw(st.integers(0, 255))
    read_or_refuse(tmp_path_factory, bytes(content), 3)


@settings(deadline=None, max_examples=30)
@given(shape=st.tuples(*[st.integers(1, 5)] * 3), seed=st.integers(0, 99), compress=st.booleans())
def test_idx_round_trip(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], seed: int, compress: bool
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.getbasetemp() / "round-trip"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compress else content)
    read = idx.read_idx(path, 3)
    assert np.array_equal(read, array)
    assert idx.content_sha256(read) == hashlib.sha256(content).hexdigest()
