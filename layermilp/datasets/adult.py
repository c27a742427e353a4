"""Adult, the census data of Kohavi and Becker (1996) from UCI: whether a person earns more than
50,000 a year."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layermilp.datasets.dataset import Dataset, FloatArray, Part, assemble
from layermilp.datasets.remote import (
    ENVIRONMENT_VARIABLE,
    Download,
    Remote,
    Report,
    fetch,
    named_directory,
)
from layermilp.errors import ChecksumError, DataError

ADULT = Remote(
    name="adult",
    title="Adult",
    size="6 MB",
    mirrors=("https://archive.ics.uci.edu/ml/machine-learning-databases/adult/",),
    advice=(
        f"set {ENVIRONMENT_VARIABLE} or use `--data-dir DIR` for a directory that has adult.data "
        "and adult.test"
    ),
)

TRAIN, TEST = "adult.data", "adult.test"

COMMENT = b"|"
"""Begins the first line of the official test file, which some copies lack."""

COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
NUMERIC = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")


@dataclass(frozen=True)
class PinnedFile:
    """SHA-256 of the official file, and of its content without a comment in its first line."""

    sha256: str
    content_sha256: str


PINNED: Mapping[str, PinnedFile] = {
    TRAIN: PinnedFile(
        "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    ),
    TEST: PinnedFile(
        "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
    ),
}


def load_adult(
    data_dir: Path | None,
    download: Download | None,
    report: Report | None = None,
    pinned: Mapping[str, PinnedFile] = PINNED,
) -> Dataset:
    """Load Adult from where it is at hand, else download it into the cache.

    The 8 categorical attributes become one input for every value that the training part has (a
    missing value, ``?``, is one too), the 6 numeric ones are scaled to [0, 1] by their range in the
    training part; test values beyond it are cut.

    Parameters
    ----------
    data_dir : Path or None
        The only place to look for the files if given; nothing is ever downloaded into it.
    download : Download or None
        None forbids to download.
    report : callable, optional
        Is told in one line that a download starts.
    pinned : mapping
        The SHA-256 that the files must have.

    Returns
    -------
    Dataset
        32,561 training and 16,281 test samples, 108 inputs: numeric first, then the others
        attribute by attribute.

    Raises
    ------
    Unavailable
        If the files are not at hand and cannot be had.
    ChecksumError
        If a file holds something other than Adult.
    DataError
        If a file is missing or damaged.
    """
    directory, note = find(data_dir), ""
    if directory is None:
        directory, note = ADULT.cache(), " (downloaded now)"
        fetch(
            ADULT, {name: pin.sha256 for name, pin in pinned.items()}, directory, download, report
        )
    train, test = (_read(directory / name, pinned[name].content_sha256) for name in (TRAIN, TEST))
    encoding = _Encoding(train)
    parts = [encoding.part(rows, directory / name) for name, rows in ((TRAIN, train), (TEST, test))]
    return assemble("adult", f"Adult from {directory}{note}", *parts)


def find(data_dir: Path | None) -> Path | None:
    """Return the directory that has both files, or None if they would have to be downloaded.

    Raises `DataError` if `data_dir` is given and lacks one.
    """
    if data_dir is not None:
        found = _with_both(data_dir)
        if found is None:
            raise DataError(
                f"{data_dir} has no files {TRAIN} and {TEST}, nor has its subfolder {ADULT.name}"
            )
        return found
    named = named_directory()
    return (None if named is None else _with_both(named)) or _with_both(ADULT.cache())


def _with_both(directory: Path) -> Path | None:
    """Return the directory or its subfolder, whichever has both files."""
    for candidate in (directory, directory / ADULT.name):
        if all((candidate / name).is_file() for name in (TRAIN, TEST)):
            return candidate
    return None


def _read(path: Path, sha256: str) -> list[list[str]]:
    """Return the rows of a file whose content is what it has to be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if content.startswith(COMMENT):
        content = content.partition(b"\n")[2]
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ChecksumError(
            f"{path} is not the file of Adult: its content has the SHA-256 {found[:12]}..., "
            f"expected {sha256[:12]}..."
        )
    lines = content.decode("ascii").splitlines()
    return [row for row in csv.reader(lines, skipinitialspace=True) if row]


class _Encoding:
    """Inputs of rows: learned from the training part."""

    def __init__(self, rows: list[list[str]]) -> None:
        self.numeric = [COLUMNS.index(name) for name in NUMERIC]
        self.categorical = [i for i, name in enumerate(COLUMNS) if name not in NUMERIC]
        values = self._numbers(rows)
        self.least, self.range = values.min(axis=0), np.ptp(values, axis=0)
        self.values = [np.unique([row[i] for row in rows]) for i in self.categorical]

    def part(self, rows: list[list[str]], path: Path) -> Part:
        """Return the rows of a file with their labels; those of the test file end in a full
        stop."""
        labels = np.array([row[-1].rstrip(".") for row in rows])
        return Part(
            self.inputs(rows), labels, str(path), lambda row, column: f"{path}: sample {row}"
        )

    def inputs(self, rows: list[list[str]]) -> FloatArray:
        """Return the inputs, shape ``(n, 108)``."""
        scaled = np.clip((self._numbers(rows) - self.least) / self.range, 0.0, 1.0)
        is_value = [
            np.array([row[i] for row in rows])[:, None] == values
            for i, values in zip(self.categorical, self.values, strict=True)
        ]
        return np.hstack([scaled, *is_value]).astype(np.float64)

    def _numbers(self, rows: list[list[str]]) -> FloatArray:
        return np.array([[float(row[i]) for i in self.numeric] for row in rows])
