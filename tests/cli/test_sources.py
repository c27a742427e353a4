"""Data that a command refuses."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

from tests.cli.commands import Command, refused


def _idx(shape: tuple[int, ...], payload: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + payload


def _four_files(directory: Path, train_images: bytes) -> None:
    directory.mkdir()
    for name, content in (
        ("train-images-idx3-ubyte", train_images),
        ("train-labels-idx1-ubyte", _idx((2,), b"\0\1")),
        ("t10k-images-idx3-ubyte", _idx((2, 28, 28), bytes(2 * 784))),
        ("t10k-labels-idx1-ubyte", _idx((2,), b"\0\1")),
    ):
        (directory / f"{name}.gz").write_bytes(gzip.compress(content))


def test_corrupt_idx_and_wrong_checksum_are_refused(here: Command, tmp_path: Path) -> None:
    _four_files(tmp_path / "cut", _idx((2, 28, 28), bytes(784)))
    refused(
        here("train", "--data", "mnist", "--data-dir", str(tmp_path / "cut")),
        "train-images-idx3-ubyte",
    )
    _four_files(tmp_path / "other", _idx((2, 28, 28), bytes(2 * 784)))
    refused(here("train", "--data", "mnist", "--data-dir", str(tmp_path / "other")), "SHA-256")
    refused(here("train", "--data", "mnist", "--data-dir", str(tmp_path / "none")), "none")
