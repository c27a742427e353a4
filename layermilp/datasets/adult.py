"""Adult, the census data of Kohavi and Becker (1996) from UCI: whether a person earns more than
50,000 a year."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from layermilp.datasets.dataset import AnyArray, Dataset, Part, assemble
from layermilp.datasets.remote import (
    ENVIRONMENT_VARIABLE,
    Download,
    PinnedFile,
    Remote,
    Report,
    fetch,
    named_directory,
)
from layermilp.errors import DataError

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

    Parameters, errors and the pinned files are as for `layermilp.datasets.mnist.load_mnist`.

    Returns
    -------
    Dataset
        32,561 training and 16,281 test samples, 108 inputs: numeric first, then the others
        attribute by attribute.
    """
    directory, note = find(data_dir), ""
    if directory is None:
        wanted = {name: pin.sha256 for name, pin in pinned.items()}
        directory, note = fetch(ADULT, wanted, download, report), " (downloaded now)"
    train, test = (_read(directory / name, pinned[name]) for name in (TRAIN, TEST))
    return assemble(
        "adult",
        f"Adult from {directory}{note}",
        _part(train, train, directory / TRAIN),
        _part(test, train, directory / TEST),
    )


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


def _read(path: Path, pinned: PinnedFile) -> AnyArray:
    """Return the rows of a file whose content is what it has to be, as texts, shape ``(n, 15)``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if content.startswith(COMMENT):
        content = content.partition(b"\n")[2]
    ADULT.verify(path, hashlib.sha256(content).hexdigest(), pinned)
    lines = content.decode("ascii").splitlines()
    return np.array([row for row in csv.reader(lines, skipinitialspace=True) if row])


def _part(rows: AnyArray, train: AnyArray, path: Path) -> Part:
    """Return the rows of a file as inputs, shape ``(n, 108)``, in the ranges and with the values
    that those for training have; the labels of the test file end in a full stop."""
    is_numeric = np.isin([*COLUMNS, "label"], NUMERIC)
    numbers, learned = (part[:, is_numeric].astype(np.float64) for part in (rows, train))
    scaled = np.clip((numbers - learned.min(axis=0)) / np.ptp(learned, axis=0), 0.0, 1.0)
    is_value = [
        rows[:, [i]] == np.unique(train[:, i])
        for i, name in enumerate(COLUMNS)
        if name not in NUMERIC
    ]
    return Part(np.hstack([scaled, *is_value]), np.char.rstrip(rows[:, -1], "."), str(path))
