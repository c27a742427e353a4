"""MNIST: where its files are looked for, how they are downloaded, and how they are verified."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layermilp.datasets import idx
from layermilp.datasets.dataset import Dataset
from layermilp.errors import ChecksumError, DataError

N_INPUTS = 784
ENVIRONMENT_VARIABLE = "LAYERMILP_DATA"

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

ADVICE = (
    f"set {ENVIRONMENT_VARIABLE} or use `--data-dir DIR` for a directory that has the files, or use `--data digits`"
)

Report = Callable[[str], None]


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


@dataclass(frozen=True)
class Download:
    """How MNIST is downloaded.

    Attributes
    ----------
    mirrors : tuple of str
        Addresses of directories, each ending in a slash. The first one to answer is used first.
    deadline : float
        Seconds within which one mirror must have answered; otherwise there is no network. This includes the look-up of
        the mirrors' names.
    timeout : float
        Seconds without a byte after which a download is given up.
    """

    mirrors: tuple[str, ...] = MIRRORS
    deadline: float = 6.0
    timeout: float = 10.0


DEFAULT_DOWNLOAD = Download()


class MnistUnavailable(DataError):
    """MNIST is not at hand and cannot be downloaded, so that other data may stand in for it."""


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
    MnistUnavailable
        If the files are not at hand and cannot be had.
    ChecksumError
        If a file holds something other than MNIST.
    DataError
        If a file at hand is damaged or one of the four is missing.
    """
    note = ""
    directory = find(data_dir)
    if directory is None:
        if download is None:
            raise MnistUnavailable(f"{_not_at_hand()}, and downloads are not wanted; {ADVICE}")
        directory = cache_directory()
        fetch(directory, download, report, pinned)
        note = " (downloaded now)"
    paths = idx.locate(directory)
    arrays = idx.read_four(paths)
    for name, path in paths.items():
        _verify(path, idx.content_sha256(arrays[name]), pinned[name].content_sha256)
    return idx.to_dataset("mnist", f"MNIST from {directory}{note}", arrays)


def find(data_dir: Path | None) -> Path | None:
    """Return the directory that has MNIST's four files, or None if they would have to be downloaded.

    Raises `DataError` if `data_dir` is given and lacks one, or if a directory named by the environment has only some.
    """
    if data_dir is not None:
        return require_four(_directory_or_subfolder(data_dir))
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        directory = _directory_or_subfolder(Path(named).expanduser())
        if idx.locate(directory):
            return require_four(directory)
    cache = cache_directory()
    # Some of the files in the cache are the beginning of a download, which goes on with the others.
    return cache if len(idx.locate(cache)) == len(idx.FILE_NAMES) else None


def require_four(directory: Path) -> Path:
    """Return `directory`, or raise `DataError` if it is none or lacks one of the four IDX files."""
    if not directory.is_dir():
        raise DataError(f"there is no directory {directory}")
    found = idx.locate(directory)
    missing = [name for name in idx.FILE_NAMES if name not in found]
    if missing:
        raise DataError(f"{directory} has no file {missing[0]} (nor {missing[0]}.gz)" + _and_others(missing[1:]))
    return directory


def cache_directory() -> Path:
    """Return the directory into which MNIST is downloaded; it need not exist."""
    import pooch

    return Path(pooch.os_cache("layermilp")) / "mnist"


def fetch(
    directory: Path, download: Download, report: Report | None = None, pinned: Mapping[str, PinnedFile] = PINNED
) -> None:
    """Download those of the four files that `directory` lacks; a file appears there only complete and verified."""
    mirrors, failures = _reachable(download)
    if not mirrors:
        raise MnistUnavailable(f"{_not_at_hand()} and could not be downloaded: {_listed(failures)}; {ADVICE}")
    if report is not None:
        report(f"downloading MNIST (11 MB) to {directory}")
    present = idx.locate(directory)
    for name in idx.FILE_NAMES:
        if name not in present:
            _fetch_file(f"{name}.gz", directory, mirrors, failures, pinned[name].gz_sha256, download.timeout)


def _fetch_file(
    name: str, directory: Path, mirrors: list[str], failures: dict[str, Exception], sha256: str, timeout: float
) -> None:
    """Download one file from the first mirror that has it; mirrors that fail are dropped from the list."""
    import pooch
    import requests

    # Without this header a server may wrap the file in a second compression, or take the file's own one away.
    downloader = pooch.HTTPDownloader(timeout=timeout, chunk_size=2**16, headers={"Accept-Encoding": "identity"})
    while mirrors:
        url = mirrors[0] + name
        try:
            with _silent_pooch():
                pooch.retrieve(url, f"sha256:{sha256}", name, directory, downloader=downloader)
            return
        except requests.RequestException as error:  # before OSError, of which it is a kind
            failures[mirrors.pop(0)] = error
        except OSError as error:
            raise MnistUnavailable(
                f"MNIST could not be downloaded: cannot write to {directory} ({error.strerror or error}); {ADVICE}"
            ) from None
        except ValueError as error:  # pooch: the hash differs
            failures[mirrors.pop(0)] = ChecksumError(f"{url}: {error} (Nothing was kept; {ADVICE})")
    for failure in failures.values():
        if isinstance(failure, ChecksumError):
            raise failure
    raise MnistUnavailable(f"MNIST could not be downloaded: {_listed(failures)}; {ADVICE}")


def _reachable(download: Download) -> tuple[list[str], dict[str, Exception]]:
    """Return the mirrors to try, the first one that answered in front, and why the others failed.

    Name look-ups know no timeout and may hang for a minute, so every mirror is asked in a thread of its own that can be
    left behind. Mirrors that were not heard of yet stay on the list once another one has answered.
    """
    answers: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()
    for mirror in download.mirrors:
        threading.Thread(target=_probe, args=(mirror, download.deadline, answers), daemon=True).start()
    failures: dict[str, Exception] = {}
    end = time.monotonic() + download.deadline
    while len(failures) < len(download.mirrors):
        try:
            mirror, failure = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            silent = {name: TimeoutError(f"no answer within {download.deadline:g} s") for name in download.mirrors}
            return [], silent | failures
        if failure is None:
            others = [name for name in download.mirrors if name != mirror and name not in failures]
            return [mirror, *others], failures
        failures[mirror] = failure
    return [], failures


def _probe(mirror: str, timeout: float, answers: queue.SimpleQueue[tuple[str, Exception | None]]) -> None:
    import requests

    try:
        with requests.head(f"{mirror}{idx.TEST_LABELS}.gz", timeout=timeout, allow_redirects=True) as response:
            response.raise_for_status()
        answers.put((mirror, None))
    except (OSError, ValueError) as error:  # requests' own exceptions are OSErrors, those of bad addresses ValueErrors
        answers.put((mirror, error))


@contextmanager
def _silent_pooch() -> Iterator[None]:
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _verify(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ChecksumError(
            f"{path} is not the MNIST file: its content has the SHA-256 {found[:12]}..., expected {expected[:12]}...; "
            "use `--data DIR` for other data in IDX files"
        )


def _directory_or_subfolder(directory: Path) -> Path:
    subfolder = directory / "mnist"
    return subfolder if not idx.locate(directory) and idx.locate(subfolder) else directory


def _not_at_hand() -> str:
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    places = ([f"{named} ({ENVIRONMENT_VARIABLE})"] if named else []) + [f"the cache {cache_directory()}"]
    return f"MNIST is not at hand (looked in {' and '.join(places)})"


def _and_others(missing: list[str]) -> str:
    return f", nor {len(missing)} other(s) of MNIST's four: {', '.join(missing)}" if missing else ""


def _listed(failures: Mapping[str, Exception]) -> str:
    return "; ".join(f"{mirror}: {_in_short(error)}" for mirror, error in failures.items()) or "there is no mirror"


def _in_short(error: Exception) -> str:
    """Say in a few words what failed; requests' own messages are whole chains of causes."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy failed"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        # requests reports a silence within a body as a ConnectionError that names the timeout only in its text
        return "timed out" if "timed out" in str(error).lower() else "no connection"
    return str(error)
