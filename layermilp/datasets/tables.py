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
from layermilp.datasets.dataset import AnyArray, Dataset, FloatArray, Part, Place, assemble
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


def load_csv(path: Path, label_column: str = "label") -> Dataset:
    """Load a table with a header line from a UTF-8 ``.csv`` file: one column of labels, all others
    numbers."""
    return _load_csv(path, label_column, needs_labels=True)


def _load_csv(path: Path, label_column: str, needs_labels: bool) -> Dataset:
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
    if path.suffix.lower() == ".npz":
        arrays = _read_npz(path)
        if "X" not in arrays:
            raise DataError(f"{path} has no array X")
        arrays["y"] = (
            np.zeros(len(arrays["X"]), dtype=np.int64)
            if arrays["X"].ndim
            else np.zeros(0, dtype=np.int64)
        )
        return assemble(path.name, "", _npz_part(path, arrays, "")).X_train
    return _load_csv(path, label_column, needs_labels=False).X_train


def _read_npz(path: Path) -> dict[str, AnyArray]:
    """Read the arrays that are of use; of others there is only the name, for messages that list
    what was found."""
    try:
        with path.open("rb") as file:
            is_array = file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX
        if is_array:
            raise DataError(
                f"{path} is a single array; save X and y with numpy.savez({path.name!r}, X=..., "
                "y=...)"
            )
        arrays = read_arrays(path, lambda name: name in _NPZ_NAMES)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (
        Exception
    ) as error:  # damaged bytes surface as whatever numpy, zipfile or zlib happen to trip over
        raise DataError(
            f"{path} is no readable .npz file without pickled objects ({error})"
        ) from None
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
    header = _header(reader, path)
    # Samples to predict may come without labels: every one then gets the same.
    has_labels = needs_labels or label_column in header
    columns = header if has_labels else [*header, label_column]
    at = _label_position(columns, path, label_column)
    features = columns[:at] + columns[at + 1 :]
    values, labels, lines = (
        array("d"),
        [],
        array("q"),
    )  # arrays of machine numbers: a tenth of a list's memory
    for line, cells in _numbered(reader, path):
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)} columns"
            )
        label = cells.pop(at).strip() if has_labels else "0"
        if not label:
            raise DataError(
                f"{path}, line {line}: column {label_column!r} is empty; every sample needs a label"
            )
        if len(label) > LONGEST_LABEL:
            raise DataError(
                f"{path}, line {line}: the label has {len(label):,} characters; at most "
                f"{LONGEST_LABEL} are taken"
            )
        try:
            values.extend(map(float, cells))
        except ValueError:
            raise _not_a_number(path, line, features, cells) from None
        labels.append(label)
        lines.append(line)
    if not labels:
        raise DataError(f"{path} has a header but no samples")
    samples = np.frombuffer(values, dtype=np.float64).reshape(len(labels), len(features))
    return Part(
        samples, _typed_labels(labels), str(path), _csv_place(path, lines, features, label_column)
    )


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    _, cells = next(_numbered(reader, path), (0, []))
    if not cells:
        raise DataError(f"{path} is empty; it needs a header line and samples")
    return [name.strip() for name in cells]


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
        elif all(_is_number(name) for name in header):
            hint = (
                "; its first line looks like a sample, but must be a header with the names of the "
                "columns"
            )
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


def _not_a_number(path: Path, line: int, features: list[str], cells: list[str]) -> DataError:
    name, cell = next(pair for pair in zip(features, cells, strict=True) if not _is_number(pair[1]))
    found = f"{cell[:40]!r} is not a number" if cell.strip() else "the cell is empty"
    return DataError(f"{path}, line {line}, column {name!r}: {found}")


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


def _csv_place(path: Path, lines: array[int], features: list[str], label_column: str) -> Place:
    def place(row: int, column: int | None) -> str:
        name = label_column if column is None else features[column]
        return f"{path}, line {lines[row]}, column {name!r}"

    return place


def _shortened(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"
