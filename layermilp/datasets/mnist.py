"""MNIST: where its files are looked for, how they are downloaded, and how they are verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from layermilp.datasets import idx
from layermilp.datasets.dataset import Dataset
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
)


PINNED: Mapping[str, PinnedFile] = {
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
}


def load_mnist(
    data_dir: Path | None,
    download: Download | None,
    report: Report | None = None,
    pinned: Mapping[str, PinnedFile] = PINNED,
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
    directory, note = find(data_dir), ""
    if directory is None:
        present = idx.locate(MNIST.cache())
        wanted = {f"{name}.gz": pinned[name].sha256 for name in pinned if name not in present}
        directory, note = fetch(MNIST, wanted, download, report), " (downloaded now)"
    paths = idx.locate(directory)
    arrays = idx.read_four(paths)
    for name, path in paths.items():
        hint = "; use `--data DIR` for other data in IDX files"
        MNIST.verify(path, idx.content_sha256(arrays[name]), pinned[name], hint)
    return idx.to_dataset("mnist", f"MNIST from {directory}{note}", arrays)


def find(data_dir: Path | None) -> Path | None:
    """Return the directory that has MNIST's four files, or None if they would have to be
    downloaded.

    Raises `DataError` if `data_dir` is given and lacks one, or if a directory named by the
    environment has only some."""
    if data_dir is not None:
        return require_four(_directory_or_subfolder(data_dir))
    named = named_directory()
    if named is not None:
        directory = _directory_or_subfolder(named)
        if idx.locate(directory):
            return require_four(directory)
    cache = MNIST.cache()
    # Some of the files in the cache are the beginning of a download, which goes on with the others.
    return cache if len(idx.locate(cache)) == len(idx.FILE_NAMES) else None


def require_four(directory: Path) -> Path:
    """Return `directory`, or raise `DataError` if it is none or lacks one of the four IDX files."""
    if not directory.is_dir():
        raise DataError(f"there is no directory {directory}")
    found = idx.locate(directory)
    missing = [name for name in idx.FILE_NAMES if name not in found]
    if missing:
        first, *others = missing
        more = f", nor {len(others)} other(s) of MNIST's four: {', '.join(others)}"
        raise DataError(f"{directory} has no file {first} (nor {first}.gz){more if others else ''}")
    return directory


def _directory_or_subfolder(directory: Path) -> Path:
    subfolder = directory / MNIST.name
    return subfolder if not idx.locate(directory) and idx.locate(subfolder) else directory
