"""The user's own data from ``.csv`` and ``.npz`` files."""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from layermilp.archives import read_arrays
from layermilp.datasets.dataset import AnyArray, Dataset, FloatArray, Part, assemble
from layermilp.errors import DataError

_SHOWN_NAMES = 10

_NPZ_NAMES = ("X", "y", "X_test", "y_test")

LONGEST_LABEL = 1000
"""Characters of a text label: numpy gives every label the room of the longest."""


def load_npz(path: Path) -> Dataset:
    """Load ``X`` and ``y``, and ``X_test`` and ``y_test`` where present, from an ``.npz`` file.

    Values are taken as they are, not scaled; images (n, h, w) are flattened. Pickled objects are
    refused."""
    arrays = _read_npz(path)
    present = ", ".join(sorted(arrays)) or "none"
    for name in ("X", "y"):
        if name not in arrays:
            raise DataError(
                f"{path} has no array {name}; it needs X and y, and may have X_test and y_test "
                f"(found: {present})"
            )
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} needs both X_test and y_test, or neither (found: {present})")
    test = _npz_part(path, arrays, "_test") if "X_test" in arrays else None
    return assemble(path.name, f"arrays from {path}", _npz_part(path, arrays, ""), test)


def load_csv(path: Path, label_column: str = "label", needs_labels: bool = True) -> Dataset:
    """Load a table with a header line from a UTF-8 ``.csv`` file: one column of labels, which may
    be missing where they are not needed, all others numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            part = _read_csv(csv.reader(file), path, label_column, needs_labels)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    return assemble(path.name, f"table from {path}", part)


def load_samples(path: Path, label_column: str = "label") -> FloatArray:
    """Load samples without labels, shape ``(n, d)``: ``X`` of an ``.npz``, or all columns but the
    labels of a ``.csv``."""
    if path.suffix.lower() == ".csv":
        return load_csv(path, label_column, needs_labels=False).X_train
    arrays = _read_npz(path)
    if "X" not in arrays:
        raise DataError(f"{path} has no array X")
    arrays["y"] = np.zeros(arrays["X"].shape[:1], dtype=np.int64)
    return assemble(path.name, "", _npz_part(path, arrays, "")).X_train


def _read_npz(path: Path) -> dict[str, AnyArray]:
    """Read the arrays that are of use; of others there is only the name, for messages that list
    what was found."""
    try:
        with path.open("rb") as file:
            is_array = file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX
        arrays = {} if is_array else read_arrays(path, lambda name: name in _NPZ_NAMES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    # Damaged bytes surface as whatever numpy, zipfile or zlib happen to trip over.
    except Exception as error:
        raise DataError(
            f"{path} is no readable .npz file without pickled objects ({error})"
        ) from None
    if is_array:
        raise DataError(
            f"{path} is a single array; save X and y with numpy.savez({path.name!r}, X=..., y=...)"
        )
    return arrays


def _npz_part(path: Path, arrays: dict[str, AnyArray], suffix: str) -> Part:
    samples, labels = arrays[f"X{suffix}"], arrays[f"y{suffix}"]

    def place(row: int, column: int | None) -> str:
        index = f"y{suffix}[{row}]"
        if column is not None:
            inner = np.unravel_index(column, samples.shape[1:])
            index = f"X{suffix}[{', '.join(map(str, (row, *map(int, inner))))}]"
        return f"{path}: {index}"

    return Part(samples, labels, f"X{suffix} with y{suffix} of {path}", place)


def _read_csv(
    reader: Iterator[list[str]], path: Path, label_column: str, needs_labels: bool
) -> Part:
    lines = _numbered(reader, path)
    _, header = next(lines, (0, []))
    header = [name.strip() for name in header]
    if not header:
        raise DataError(f"{path} is empty; it needs a header line and samples")
    # Samples to predict may come without labels: every one then gets the same.
    has_labels = needs_labels or label_column in header
    columns = header if has_labels else [*header, label_column]
    at = _label_position(columns, path, label_column)
    features = columns[:at] + columns[at + 1 :]
    # Arrays of machine numbers take a tenth of a list's memory.
    values, labels, numbers = array("d"), [], array("q")
    for number, cells in lines:
        place = f"{path}, line {number}"
        if len(cells) != len(header):
            raise DataError(
                f"{place}: {len(cells)} cells, but the header has {len(header)} columns"
            )
        label = cells.pop(at).strip() if has_labels else "0"
        if not label:
            raise DataError(
                f"{place}: column {label_column!r} is empty; every sample needs a label"
            )
        if len(label) > LONGEST_LABEL:
            raise DataError(
                f"{place}: the label has {len(label):,} characters; at most {LONGEST_LABEL} are "
                "taken"
            )
        try:
            values.extend(map(float, cells))
        except ValueError:
            wrong = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            found = f"{cells[wrong][:40]!r} is not a number"
            if not cells[wrong].strip():
                found = "the cell is empty"
            raise DataError(f"{place}, column {features[wrong]!r}: {found}") from None
        labels.append(label)
        numbers.append(number)
    if not labels:
        raise DataError(f"{path} has a header but no samples")

    def place_of(row: int, column: int | None) -> str:
        name = label_column if column is None else features[column]
        return f"{path}, line {numbers[row]}, column {name!r}"

    samples = np.frombuffer(values, dtype=np.float64).reshape(len(labels), len(features))
    return Part(samples, _typed_labels(labels), str(path), place_of)


def _numbered(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not blank, each with its number in the file."""
    try:
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield reader.line_num, cells  # type: ignore[attr-defined]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None  # type: ignore[attr-defined]


def _label_position(header: list[str], path: Path, label_column: str) -> int:
    if label_column not in header:
        hint = ""
        if len(header) == 1:
            hint = "; columns must be separated by commas"
        elif all(map(_is_number, header)):
            hint = "; its first line looks like a sample, but must hold the names of the columns"
        raise DataError(
            f"{path} has no column {label_column!r} for the labels (columns: "
            f"{_shortened(header)}){hint}"
        )
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path} has more than one column of the name {_shortened(repeated)}; names must be "
            "unique"
        )
    if "" in header:
        raise DataError(
            f"{path}: column {header.index('') + 1} has no name; name it, or leave it out if it "
            "is an index of rows"
        )
    if len(header) == 1:
        raise DataError(f"{path} has no column besides the labels in {label_column!r}")
    return header.index(label_column)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _typed_labels(labels: list[str]) -> AnyArray:
    """Return numbers where every label is one, else text."""
    # float() reads "2_1" as 21, but as a label that is text.
    if all(_is_number(label) and "_" not in label for label in labels):
        return np.array([float(label) for label in labels])
    return np.array(labels)


def _shortened(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"
