"""Model files: ``.npz`` archives without pickle that name their format and its version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.archives import ArchiveError, read_arrays
from layermilp.errors import ModelFileError
from layermilp.files import write_atomically

Arrays = Mapping[str, NDArray[Any]]

KINDS = {
    "layermilp.network": "a network",
    "layermilp.committee": "a committee",
    "layermilp.integer": "an integer network",
    "layermilp.checkpoint": "a checkpoint",
}
"""Kind of model in a file, by its format."""


DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Exceptions that wrong content raises where it is used."""


@contextmanager
def damage(name: str | Path, refusals: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Turn what working with wrong content raises into a `ModelFileError`; errors of the kind of
    `refusals` stay."""
    try:
        yield
    except refusals:
        raise
    except DAMAGE as error:
        raise ModelFileError(f"{name} is damaged: {str(error)[:200]}") from error


@dataclass(frozen=True, eq=False)
class ModelFile:
    """Path and content of a model file: arrays by name, ``format`` and ``version`` included."""

    path: Path
    arrays: Arrays

    @property
    def format(self) -> str:
        """Name of the format."""
        return str(self.arrays.get("format", ""))

    def version(self, format_name: str, readable: tuple[int, ...]) -> int:
        """Return the version, one of those `readable`, of a file of the named format; raise
        `ModelFileError`, which says what it found, if it has another format or version."""
        if self.format not in KINDS:
            raise ModelFileError(f"{self.path} is not a layermilp model")
        if self.format != format_name:
            found, wanted = KINDS[self.format], KINDS[format_name]
            raise ModelFileError(
                f"{self.path} holds {found}, not {wanted}; load_model reads every kind"
            )
        stated = np.asarray(self.arrays.get("version", -1))
        for version in readable:
            if stated.dtype.kind in "iu" and np.array_equal(stated, version):
                return version
        raise ModelFileError(
            f"{self.path} has format version {str(self.arrays.get('version'))[:40]}; this "
            f"layermilp reads {', '.join(map(str, readable))}"
        )


def file_size(path: Path, largest: float = float("inf")) -> int:
    """Return the size of a model file in bytes; raise `ModelFileError` if there is none, or it is
    larger than it may be."""
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    size = path.stat().st_size
    if size > largest:
        raise ModelFileError(f"{path} has {size:,} bytes; {largest:,.0f} are the limit")
    return size


def read_model_file(path: str | Path) -> ModelFile:
    """Read the arrays of a model file; nothing in it is ever executed. Raise `ModelFileError` if it
    is missing, no whole ``.npz`` archive without pickle, or claims more than there is memory
    for."""
    path = Path(path)
    file_size(path)
    try:
        return ModelFile(path, read_arrays(path))
    except ArchiveError as error:
        raise ModelFileError(f"{path} is damaged or not a layermilp model: {error}") from error
    except Exception as error:  # numpy and zipfile raise a dozen types on damaged files
        raise ModelFileError(f"{path} is damaged or not a layermilp model") from error


def write_model_file(path: str | Path, format_name: str, version: int, arrays: Arrays) -> Path:
    """Write arrays with their format and version, atomically and without pickle; return the path,
    or raise `OutputError`."""
    whole: dict[str, Any] = {"format": np.array(format_name), "version": np.array(version)}
    whole |= arrays
    return write_atomically(Path(path), lambda file: np.savez_compressed(file, **whole))
