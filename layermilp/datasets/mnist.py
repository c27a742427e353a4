"""MNIST: what its files are, and how they are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from layermilp.datasets import idx
from layermilp.datasets.dataset import Dataset
from layermilp.datasets.remote import ENVIRONMENT_VARIABLE, Download, PinnedFile, Remote, Report

N_INPUTS = 784

MNIST = Remote(
    name="mnist",
    title="MNIST",
    size="11 MB",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    advice=(
        f"set {ENVIRONMENT_VARIABLE} or use `--data-dir DIR` for a directory that has the files, "
        "or use `--data digits`"
    ),
    files={
        idx.TRAIN_IMAGES: PinnedFile(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        idx.TRAIN_LABELS: PinnedFile(
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        idx.TEST_IMAGES: PinnedFile(
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        idx.TEST_LABELS: PinnedFile(
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
    ending=".gz",
)


def load_mnist(
    data_dir: Path | None,
    download: Download | None,
    report: Report | None = None,
    pinned: Mapping[str, PinnedFile] = MNIST.files,
) -> Dataset:
    """Load MNIST from where it is at hand, else download it into the cache.

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

    Raises
    ------
    Unavailable
        If the files are not at hand and cannot be had.
    ChecksumError
        If a file holds something else.
    DataError
        If a file at hand is damaged, or one is missing.
    """
    remote = replace(MNIST, files=pinned)
    source, paths = remote.obtain(data_dir, download, report)
    arrays = idx.read_four(paths)
    hint = "; use `--data DIR` for other data in IDX files"
    for name, path in paths.items():
        remote.verify(name, path, idx.content_sha256(arrays[name]), hint)
    return idx.to_dataset("mnist", source, arrays)
