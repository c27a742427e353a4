"""Data sets that are downloaded: where their files are looked for, and how they come into the
cache, complete and verified."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layermilp.errors import ChecksumError, DataError

ENVIRONMENT_VARIABLE = "LAYERMILP_DATA"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Download:
    """How data sets are downloaded.

    Attributes
    ----------
    mirrors : tuple of str, optional
        Addresses of directories, each ending in a slash; None for those of the data set. The first
        one to answer is used first.
    deadline : float
        Seconds within which one mirror must have answered; otherwise there is no network. This
        includes the look-up of the mirrors' names.
    timeout : float
        Seconds without a byte after which a download is given up.
    """

    mirrors: tuple[str, ...] | None = None
    deadline: float = 6.0
    timeout: float = 10.0


DEFAULT_DOWNLOAD = Download()


class Unavailable(DataError):
    """A data set that is not at hand and cannot be downloaded, so that other data may stand in for
    it."""


@dataclass(frozen=True)
class PinnedFile:
    """SHA-256 of an official file, and of its content: without compression or a comment in its
    first line, which copies may lack."""

    sha256: str
    content_sha256: str


@dataclass(frozen=True)
class Remote:
    """A data set in files that can be downloaded.

    Attributes
    ----------
    name : str
        Of its folder in the cache, and of the subfolder in which it is looked for.
    title : str
        Its name in messages.
    size : str
        Of the download, in words.
    mirrors : tuple of str
        See `Download`.
    advice : str
        What to do where it is not to be had.
    files : mapping of str to PinnedFile
        Its files by their names.
    ending : str
        Appended to the names on the mirrors; at hand they may lack it.
    """

    name: str
    title: str
    size: str
    mirrors: tuple[str, ...]
    advice: str
    files: Mapping[str, PinnedFile]
    ending: str = ""

    def cache(self) -> Path:
        """Return the directory into which it is downloaded; it need not exist."""
        import pooch

        return Path(pooch.os_cache("layermilp")) / self.name

    def locate(self, directory: Path) -> dict[str, Path]:
        """Return those of the files that are in a directory, by their names."""
        ends = (self.ending, "")  # the latter wins
        places = [(name, directory / f"{name}{end}") for name in self.files for end in ends]
        return {name: place for name, place in places if place.is_file()}

    def require(self, directory: Path) -> dict[str, Path]:
        """Return all files of a directory by their names; raise `DataError` if it lacks one."""
        if not directory.is_dir():
            raise DataError(f"there is no directory {directory}")
        found = self.locate(directory)
        missing = [name for name in self.files if name not in found]
        if missing:
            first, *others = missing
            packed = f" (nor {first}{self.ending})" if self.ending else ""
            more = f", nor {len(others)} other(s) of {self.title}'s: {', '.join(others)}"
            raise DataError(f"{directory} has no file {first}{packed}{more if others else ''}")
        return found

    def find(self, data_dir: Path | None) -> Path | None:
        """Return the directory that has the files, or None if they would have to be downloaded.

        Raises `DataError` if `data_dir` is given and lacks one, or if a directory named by the
        environment has only some."""
        given = data_dir or named_directory()
        if given is not None:
            subfolder = given / self.name
            is_inside = not self.locate(given) and self.locate(subfolder)
            directory = subfolder if is_inside else given
            if data_dir is not None or self.locate(directory):
                self.require(directory)
                return directory
        # Some of the files in the cache are the beginning of a download, which goes on with the
        # others.
        cache = self.cache()
        return cache if len(self.locate(cache)) == len(self.files) else None

    def obtain(
        self, data_dir: Path | None, download: Download | None, report: Report | None
    ) -> tuple[str, dict[str, Path]]:
        """Find the files, or download into the cache what it lacks; return where they are from, in
        words, and the files by their names."""
        directory, note = self.find(data_dir), ""
        if directory is None:
            directory, note = self.cache(), " (downloaded now)"
            present = self.locate(directory)
            fetch(self, [name for name in self.files if name not in present], download, report)
        return f"{self.title} from {directory}{note}", self.locate(directory)

    def verify(self, name: str, path: Path, found: str, hint: str = "") -> None:
        """Raise `ChecksumError` unless the SHA-256 of a file's content is what it has to be."""
        expected = self.files[name].content_sha256
        if found != expected:
            raise ChecksumError(
                f"{path} is not the file of {self.title}: its content has the SHA-256 "
                f"{found[:12]}..., expected {expected[:12]}...{hint}"
            )

    def unavailable(self, why: str) -> Unavailable:
        """Return the error that it is not at hand and cannot be had either."""
        named = named_directory()
        places = [f"{named} ({ENVIRONMENT_VARIABLE})"] if named else []
        places.append(f"the cache {self.cache()}")
        return Unavailable(
            f"{self.title} is not at hand (looked in {' and '.join(places)}) and {why}; "
            f"{self.advice}"
        )


def named_directory() -> Path | None:
    """Return the directory that the environment names, if it does."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named).expanduser() if named else None


def fetch(
    remote: Remote, names: Sequence[str], download: Download | None, report: Report | None
) -> None:
    """Download files, by their names and at least one, into the cache; each appears there only
    complete and verified.

    Raises `Unavailable` if they cannot be had, `ChecksumError` if all that could be had is
    something else."""
    if download is None:
        raise remote.unavailable("downloads are not wanted")
    candidates = remote.mirrors if download.mirrors is None else download.mirrors
    mirrors, failures = _reachable(candidates, names[0] + remote.ending, download.deadline)
    if mirrors and report is not None:
        report(f"downloading {remote.title} ({remote.size}) to {remote.cache()}")
    for name in names:
        while mirrors:
            failure = _fetched(remote, mirrors[0], name, download.timeout)
            if failure is None:
                break
            failures[mirrors.pop(0)] = failure
    if not mirrors:
        for failure in failures.values():
            if isinstance(failure, ChecksumError):
                raise failure
        listed = "; ".join(f"{mirror}: {_in_short(error)}" for mirror, error in failures.items())
        raise remote.unavailable(f"could not be downloaded: {listed or 'there is no mirror'}")


def _fetched(remote: Remote, mirror: str, name: str, timeout: float) -> Exception | None:
    """Download a file; return why its mirror is to be asked no more, None if it has the file."""
    import pooch
    import requests

    # Without this header a server may wrap the file in a second compression, or take the file's own
    # one away.
    downloader = pooch.HTTPDownloader(
        timeout=timeout, chunk_size=2**16, headers={"Accept-Encoding": "identity"}
    )
    file, cache = f"{name}{remote.ending}", remote.cache()
    known_hash = f"sha256:{remote.files[name].sha256}"
    try:
        with _silent_pooch():
            pooch.retrieve(mirror + file, known_hash, file, cache, downloader=downloader)
    except requests.RequestException as error:  # before OSError, of which it is a kind
        return error
    except OSError as error:
        why = f"cannot write to {cache} ({error.strerror or error})"
        raise remote.unavailable(f"could not be downloaded: {why}") from None
    except ValueError as error:  # pooch: the hash differs
        return ChecksumError(f"{mirror}{file}: {error} (Nothing was kept; {remote.advice})")
    return None


def _reachable(
    candidates: tuple[str, ...], probed: str, deadline: float
) -> tuple[list[str], dict[str, Exception]]:
    """Return the mirrors to try, the first one that answered in front, and why the others failed.

    Name look-ups know no timeout and may hang for a minute, so every mirror is asked in a thread of
    its own that can be left behind. Mirrors that were not heard of yet stay on the list once
    another one has answered."""
    answers: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        import requests

        try:
            with requests.head(mirror + probed, timeout=deadline, allow_redirects=True) as response:
                response.raise_for_status()
            answers.put((mirror, None))
        # The exceptions of requests are OSErrors, those of bad addresses ValueErrors.
        except (OSError, ValueError) as error:
            answers.put((mirror, error))

    for mirror in candidates:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    failures: dict[str, Exception] = {}
    end = time.monotonic() + deadline
    while len(failures) < len(candidates):
        try:
            mirror, failure = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            silent = {name: TimeoutError(f"no answer within {deadline:g} s") for name in candidates}
            return [], silent | failures
        if failure is None:
            others = [name for name in candidates if name != mirror and name not in failures]
            return [mirror, *others], failures
        failures[mirror] = failure
    return [], failures


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
        # A silence within a body names the timeout only in its text.
        return "timed out" if "timed out" in str(error).lower() else "no connection"
    return str(error)
