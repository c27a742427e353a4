"""MNIST: where its files are looked for, how they are downloaded, and how they are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layermilp.datasets import idx
from layermilp.datasets.dataset import Dataset
from layermilp.datasets.remote import (
    ENVIRONMENT_VARIABLE,
    Download,
    Remote,
    Report,
    fetch,
    named_directory,
)
from layermilp.errors import ChecksumError, DataError

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


@dataclass(frozen=True)
class PinnedFile:
    """SHA-256 of the official ``.gz`` file, and of its content whatever it is compressed with."""

    gz_sha256: str
    content_sha256: str


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
        If a file holds something other than MNIST.
    DataError
        If a file at hand is damaged or one of the four is missing.
    """
    note = ""
    directory = find(data_dir)
    if directory is None:
        directory = MNIST.cache()
        present = idx.locate(directory)
        wanted = {
            f"{name}.gz": pinned[name].gz_sha256 for name in idx.FILE_NAMES if name not in present
        }
        fetch(MNIST, wanted, directory, download, report)
        note = " (downloaded now)"
    paths = idx.locate(directory)
    arrays = idx.read_four(paths)
    for name, path in paths.items():
        _verify(path, idx.content_sha256(arrays[name]), pinned[name].content_sha256)
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
        raise DataError(
            f"{directory} has no file {missing[0]} (nor {missing[0]}.gz)" + _and_others(missing[1:])
        )
    return directory


def _verify(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ChecksumError(
            f"{path} is not the MNIST file: its content has the SHA-256 {found[:12]}..., expected "
            f"{expected[:12]}...; "
            "use `--data DIR` for other data in IDX files"
        )


def _directory_or_subfolder(directory: Path) -> Path:
    subfolder = directory / MNIST.name
    return subfolder if not idx.locate(directory) and idx.locate(subfolder) else directory


def _and_others(missing: list[str]) -> str:
    return f", nor {len(missing)} other(s) of MNIST's four: {', '.join(missing)}" if missing else ""
