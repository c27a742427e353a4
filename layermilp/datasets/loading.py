"""`load`: every data set by its name or path; `catalogue`: what is at hand."""

from __future__ import annotations

import os
from pathlib import Path

from layermilp.datasets import adult, idx, mnist, tables
from layermilp.datasets.dataset import Dataset, FloatArray
from layermilp.datasets.digits import load_digits
from layermilp.datasets.remote import DEFAULT_DOWNLOAD, Download, Report, Unavailable
from layermilp.errors import DataError

NAMES = ("auto", "mnist", "adult", "digits")
"""What is no path."""


def load(
    name: str | os.PathLike[str] = "auto",
    *,
    n_inputs: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    label_column: str = "label",
    download: Download | None = DEFAULT_DOWNLOAD,
    report: Report | None = None,
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name : str or path
        ``"mnist"``; ``"adult"``, the census data of UCI; ``"digits"``, scikit-learn's embedded
        digits; ``"auto"``, which is MNIST where it is at hand or can be downloaded and else the
        digits; or a path: of a ``.csv`` file with a header line, a column of labels and numbers in
        all others; of an ``.npz`` file with arrays X and y, and X_test and y_test where there is a
        test part; or of a directory with any data in four IDX files under MNIST's names, each raw
        or with ``.gz`` appended. Pixels from IDX files and digits are scaled to [0, 1]; tables and
        arrays are taken as they are.
    n_inputs : int, optional
        The number of features that the data must have. The digits have 64, and are enlarged where
        784 are wanted.
    data_dir : path, optional
        Where the files of MNIST or Adult are (there or in a subfolder ``mnist`` or ``adult``).
        Without it they are looked for in the directory that the environment variable
        ``LAYERMILP_DATA`` names, then in the cache.
    label_column : str
        The column of a ``.csv`` file that holds the labels.
    download : Download or None
        How these are downloaded into the cache; None forbids it. Nothing is ever downloaded into
        `data_dir`.
    report : callable, optional
        Is called with one line of text when a download starts.

    Returns
    -------
    Dataset
        Its ``source`` says where the data are from and, for ``"auto"``, why.

    Raises
    ------
    DataError
        If the data are missing, damaged or unusable, or do not have `n_inputs` features.
    ChecksumError
        If what should be MNIST or Adult is something else.
    """
    directory = None if data_dir is None else Path(data_dir).expanduser()
    if name == "auto" and n_inputs not in (None, mnist.N_INPUTS):
        why = f" (MNIST has {mnist.N_INPUTS} inputs where {n_inputs} are wanted)"
        return load_digits(n_inputs, why)
    if name in ("auto", "mnist"):
        _require_inputs("mnist", mnist.N_INPUTS, n_inputs)  # before a download
        try:
            return mnist.load_mnist(directory, download, report)
        except Unavailable as error:  # not ChecksumError and the like: damage at hand must be seen
            if name == "mnist":
                raise
            return load_digits(n_inputs, f" INSTEAD OF MNIST ({error})")
    if name == "digits":
        return load_digits(n_inputs)
    if name == "adult":
        data = adult.load_adult(directory, download, report)
    else:
        data = _load_path(Path(name).expanduser(), label_column)
    _require_inputs(data.name, data.n_inputs, n_inputs)
    return data


def load_samples(path: str | os.PathLike[str], *, label_column: str = "label") -> FloatArray:
    """Load samples to predict, shape ``(n, d)``, from a ``.csv`` or ``.npz`` file; labels may be
    missing and are ignored.

    Raises
    ------
    DataError
        If the file is missing, damaged or unusable.
    """
    found = Path(path).expanduser()
    _require_table(found, "samples", "a .csv or .npz file")
    return tables.load_samples(found, label_column)


def catalogue(data_dir: str | os.PathLike[str] | None = None) -> list[tuple[str, str, str]]:
    """List the data sets that have names, without downloading or verifying anything.

    Parameters
    ----------
    data_dir : path, optional
        As for `load`.

    Returns
    -------
    list of (str, str, str)
        Name, status (``"at hand"``, ``"not at hand"`` or ``"embedded"``), and where the data are or
        would come from.
    """
    directory = None if data_dir is None else Path(data_dir).expanduser()
    listed = []
    for remote in (mnist.MNIST, adult.ADULT):
        status, where = "not at hand", f"would be downloaded to {remote.cache()}"
        try:
            found = remote.find(directory)
        except DataError as error:
            where = str(error)
        else:
            if found is not None:
                status, where = "at hand", str(found)
        listed.append((remote.name, status, where))
    return [*listed, ("digits", "embedded", "in scikit-learn")]


def _load_path(path: Path, label_column: str) -> Dataset:
    if path.is_dir():
        arrays = idx.read_four(mnist.MNIST.require(path))
        return idx.to_dataset(path.resolve().name, f"IDX files from {path}", arrays)
    files = "a .csv or .npz file, or a directory with four IDX files under MNIST's names"
    _require_table(path, "data", f"{', '.join(NAMES)}, {files}")
    if path.suffix.lower() == ".npz":
        return tables.load_npz(path)
    return tables.load_csv(path, label_column)


def _require_table(path: Path, what: str, choices: str) -> None:
    if path.suffix.lower() not in (".csv", ".npz"):
        raise DataError(f"unknown {what} {str(path)!r}; use {choices}")
    if not path.is_file():
        raise DataError(f"there is no file {path}")


def _require_inputs(name: str, present: int, wanted: int | None) -> None:
    """Raise `DataError` unless the data have as many features as the network wants (None: any)."""
    if wanted not in (None, present):
        raise DataError(f"the network wants {wanted} inputs, but {name} has {present}")
