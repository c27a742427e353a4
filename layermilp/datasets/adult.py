"""Adult, the census data of Kohavi and Becker (1996) from UCI: whether a person earns more than
50,000 a year."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from layermilp.datasets.dataset import AnyArray, Dataset, Part, assemble
from layermilp.datasets.remote import ENVIRONMENT_VARIABLE, Download, PinnedFile, Remote, Report
from layermilp.errors import DataError

TRAIN, TEST = "adult.data", "adult.test"

COMMENT = b"|"
"""Begins the first line of the official test file, which some copies lack."""

NUMERIC = [0, 2, 4, 10, 11, 12]
"""Columns of numbers: age, fnlwgt, education-num, capital-gain, capital-loss, hours-per-week."""

CATEGORICAL = [1, 3, 5, 6, 7, 8, 9, 13]
"""Columns of names: workclass, education, marital-status, occupation, relationship, race, sex,
native-country. The last column, 14, is the label."""

ADULT = Remote(
    name="adult",
    title="Adult",
    size="6 MB",
    mirrors=("https://archive.ics.uci.edu/ml/machine-learning-databases/adult/",),
    advice=(
        f"set {ENVIRONMENT_VARIABLE} or use `--data-dir DIR` for a directory that has adult.data "
        "and adult.test"
    ),
    files={
        TRAIN: PinnedFile(
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        ),
        TEST: PinnedFile(
            "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
            "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
        ),
    },
)


def load_adult(
    data_dir: Path | None,
    download: Download | None,
    report: Report | None = None,
    pinned: Mapping[str, PinnedFile] = ADULT.files,
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
    remote = replace(ADULT, files=pinned)
    source, paths = remote.obtain(data_dir, download, report)
    train, test = (_read(remote, name, paths[name]) for name in (TRAIN, TEST))
    parts = (_part(rows, train, paths[name]) for name, rows in ((TRAIN, train), (TEST, test)))
    return assemble("adult", source, *parts)


def _read(remote: Remote, name: str, path: Path) -> AnyArray:
    """Return the rows of a file whose content is what it has to be, as texts, shape ``(n, 15)``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if content.startswith(COMMENT):
        content = content.partition(b"\n")[2]
    remote.verify(name, path, hashlib.sha256(content).hexdigest())
    lines = content.decode("ascii").splitlines()
    return np.array([row for row in csv.reader(lines, skipinitialspace=True) if row])


def _part(rows: AnyArray, train: AnyArray, path: Path) -> Part:
    """Return the rows of a file as inputs, shape ``(n, 108)``, in the ranges and with the values
    that those for training have; the labels of the test file end in a full stop."""
    numbers, learned = (part[:, NUMERIC].astype(np.float64) for part in (rows, train))
    scaled = np.clip((numbers - learned.min(axis=0)) / np.ptp(learned, axis=0), 0.0, 1.0)
    is_value = [rows[:, [i]] == np.unique(train[:, i]) for i in CATEGORICAL]
    return Part(np.hstack([scaled, *is_value]), np.char.rstrip(rows[:, -1], "."), str(path))
