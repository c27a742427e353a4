"""Reader for IDX files, the format of MNIST and its kin, raw or compressed with gzip.

An IDX file is two zero bytes, one byte for the type of the values (8: unsigned bytes, the only type
read here), one for the number of dimensions, the dimensions as big-endian 32-bit numbers, and the
values."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from layermilp.archives import BYTES_PER_NUMBER, SHARE
from layermilp.checks import memory_bytes
from layermilp.datasets.dataset import Dataset, Part, assemble
from layermilp.errors import DataError

ByteArray = NDArray[np.uint8]

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
FILE_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

MAX_BYTES = 2**30
"""Largest content that is read: more than any known data set in this format, less than a machine's
memory."""

_UNSIGNED_BYTES = 8
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**20


def read_four(paths: Mapping[str, Path]) -> dict[str, ByteArray]:
    """Read the files of the four names and check that they fit together; return the (n, h, w)
    arrays of images and (n,) arrays of labels by the same names.

    Raises `DataError` if a file is damaged, or the numbers of images and labels, or the sizes of
    the images, differ."""
    arrays = {name: read_idx(paths[name], 3 if "images" in name else 1) for name in FILE_NAMES}
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        n_images, n_labels = len(arrays[images]), len(arrays[labels])
        if n_images != n_labels:
            why = f"it holds {n_labels} labels for {n_images} images in {paths[images]}"
            raise _corrupt(paths[labels], why)
    train_size, test_size = arrays[TRAIN_IMAGES].shape[1:], arrays[TEST_IMAGES].shape[1:]
    if train_size != test_size:
        why = f"its images have the size {test_size}, those for training {train_size}"
        raise _corrupt(paths[TEST_IMAGES], why)
    return arrays


def read_idx(path: Path, n_dimensions: int) -> ByteArray:
    """Read one IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        The file; whether it is compressed is told by its first bytes, not by its name.
    n_dimensions : int
        The number of dimensions that it must have: 3 for images, 1 for labels.

    Raises
    ------
    DataError
        If the file cannot be read, or is not exactly such a file. No more memory is taken than its
        true content needs.
    """
    try:
        with path.open("rb") as file:
            is_compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            content = gzip.GzipFile(fileobj=file) if is_compressed else file
            return _parse(cast(BinaryIO, content), path, n_dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _corrupt(path, f"its gzip compression is broken ({error})") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def content_sha256(array: ByteArray) -> str:
    """Return the SHA-256 of the uncompressed IDX file that holds `array`."""
    # The parser accepts one header for one shape and nothing after the values, so the array tells
    # the whole content.
    digest = hashlib.sha256(_magic(array.ndim))
    digest.update(struct.pack(f">{array.ndim}I", *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def to_dataset(name: str, source: str, arrays: Mapping[str, ByteArray]) -> Dataset:
    """Make a data set of the four arrays, with the pixels scaled from 0..255 to [0, 1]."""
    train = Part(arrays[TRAIN_IMAGES] / 255.0, arrays[TRAIN_LABELS], f"the training part of {name}")
    test = Part(arrays[TEST_IMAGES] / 255.0, arrays[TEST_LABELS], f"the test part of {name}")
    return assemble(name, source, train, test)


def _magic(n_dimensions: int) -> bytes:
    return bytes([0, 0, _UNSIGNED_BYTES, n_dimensions])


def _parse(content: BinaryIO, path: Path, n_dimensions: int) -> ByteArray:
    magic = _magic(n_dimensions)
    found = content.read(4)
    if found != magic:
        start = f"{found.hex() or 'nothing'} instead of {magic.hex()}{_meaning(found, magic)}"
        raise _corrupt(path, f"it starts with {start}")
    header = content.read(4 * n_dimensions)
    if len(header) < 4 * n_dimensions:
        raise _corrupt(path, "it ends within its header")
    shape = struct.unpack(f">{n_dimensions}I", header)
    size, dimensions = math.prod(shape), f"the dimensions {' x '.join(map(str, shape))}"
    if size == 0:
        raise _corrupt(path, f"it has {dimensions}, so it holds nothing")
    if size > MAX_BYTES:
        raise _corrupt(
            path, f"it claims {dimensions}, more than the {MAX_BYTES} bytes that are read"
        )
    needed, memory = size * BYTES_PER_NUMBER, memory_bytes()
    if needed > SHARE * memory:
        raise DataError(
            f"{path} claims {dimensions}, which take {needed / 2**30:,.1f} GiB as numbers; that is "
            f"more than {SHARE:.0%} of the {memory / 2**30:,.1f} GiB of memory"
        )
    return np.frombuffer(_read_exactly(content, size, path), dtype=np.uint8).reshape(shape)


def _meaning(found: bytes, magic: bytes) -> str:
    """Say more of a wrong start where the file is an IDX file of another sort."""
    if len(found) < 4 or found[:2] != magic[:2]:
        return ""
    if found[2] != magic[2]:
        return " (values of another type than unsigned bytes)"
    return f" ({found[3]} dimension(s) instead of {magic[3]})"


def _read_exactly(content: BinaryIO, size: int, path: Path) -> bytearray:
    # In pieces, so that a header that lies about the size costs no memory; and one byte beyond the
    # end is asked for, so that a file that is too long is noticed, a bomb is not unpacked, and gzip
    # verifies its checksum at the end.
    values = bytearray()
    while piece := content.read(min(_CHUNK, size + 1 - len(values))):
        values += piece
    held = f"{len(values)} bytes of values"
    if len(values) < size:
        raise _corrupt(path, f"it is truncated: {held} where its header announces {size}")
    if len(values) > size:
        raise _corrupt(path, f"it goes on after the {size} bytes that its header announces")
    return values


def _corrupt(path: Path, reason: str) -> DataError:
    return DataError(f"corrupt IDX file {path}: {reason}")
