"""Data sets that are downloaded: where their files are looked for, and how they come into the
cache, complete and verified."""

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
    """

    name: str
    title: str
    size: str
    mirrors: tuple[str, ...]
    advice: str

    def cache(self) -> Path:
        """Return the directory into which it is downloaded; it need not exist."""
        import pooch

        return Path(pooch.os_cache("layermilp")) / self.name

    def not_at_hand(self) -> str:
        """Return where it was looked for, in words."""
        named = named_directory()
        places = ([f"{named} ({ENVIRONMENT_VARIABLE})"] if named else []) + [
            f"the cache {self.cache()}"
        ]
        return f"{self.title} is not at hand (looked in {' and '.join(places)})"


def named_directory() -> Path | None:
    """Return the directory that the environment names, if it does."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named).expanduser() if named else None


def fetch(
    remote: Remote,
    files: Mapping[str, str],
    directory: Path,
    download: Download | None,
    report: Report | None = None,
) -> None:
    """Download files into a directory; each appears there only complete and verified.

    Parameters
    ----------
    remote : Remote
        The data set.
    files : mapping of str to str
        SHA-256 of every file that is wanted, by its name.
    directory : Path
        Where they go.
    download : Download or None
        How; None forbids it.
    report : callable, optional
        Is told in one line that a download starts.

    Raises
    ------
    Unavailable
        If they cannot be had.
    ChecksumError
        If all that could be had is something else.
    """
    if download is None:
        raise Unavailable(f"{remote.not_at_hand()}, and downloads are not wanted; {remote.advice}")
    candidates = remote.mirrors if download.mirrors is None else download.mirrors
    mirrors, failures = _reachable(candidates, next(iter(files)), download.deadline)
    if not mirrors:
        raise Unavailable(
            f"{remote.not_at_hand()} and could not be downloaded: {_listed(failures)}; "
            f"{remote.advice}"
        )
    if report is not None:
        report(f"downloading {remote.title} ({remote.size}) to {directory}")
    for name, sha256 in files.items():
        _fetch_file(remote, name, directory, mirrors, failures, sha256, download.timeout)


def _fetch_file(
    remote: Remote,
    name: str,
    directory: Path,
    mirrors: list[str],
    failures: dict[str, Exception],
    sha256: str,
    timeout: float,
) -> None:
    """Download one file from the first mirror that has it; mirrors that fail are dropped from the
    list."""
    import pooch
    import requests

    # Without this header a server may wrap the file in a second compression, or take the file's own
    # one away.
    downloader = pooch.HTTPDownloader(
        timeout=timeout, chunk_size=2**16, headers={"Accept-Encoding": "identity"}
    )
    while mirrors:
        url = mirrors[0] + name
        try:
            with _silent_pooch():
                pooch.retrieve(url, f"sha256:{sha256}", name, directory, downloader=downloader)
            return
        except requests.RequestException as error:  # before OSError, of which it is a kind
            failures[mirrors.pop(0)] = error
        except OSError as error:
            raise Unavailable(
                f"{remote.title} could not be downloaded: cannot write to {directory} "
                f"({error.strerror or error}); "
                f"{remote.advice}"
            ) from None
        except ValueError as error:  # pooch: the hash differs
            failures[mirrors.pop(0)] = ChecksumError(
                f"{url}: {error} (Nothing was kept; {remote.advice})"
            )
    for failure in failures.values():
        if isinstance(failure, ChecksumError):
            raise failure
    raise Unavailable(
        f"{remote.title} could not be downloaded: {_listed(failures)}; {remote.advice}"
    )


def _reachable(
    candidates: tuple[str, ...], probed: str, deadline: float
) -> tuple[list[str], dict[str, Exception]]:
    """Return the mirrors to try, the first one that answered in front, and why the others failed.

    Name look-ups know no timeout and may hang for a minute, so every mirror is asked in a thread of
    its own that can be left behind. Mirrors that were not heard of yet stay on the list once
    another one has answered."""
    answers: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()
    for mirror in candidates:
        threading.Thread(
            target=_probe, args=(mirror + probed, mirror, deadline, answers), daemon=True
        ).start()
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


def _probe(
    url: str, mirror: str, timeout: float, answers: queue.SimpleQueue[tuple[str, Exception | None]]
) -> None:
    import requests

    try:
        with requests.head(url, timeout=timeout, allow_redirects=True) as response:
            response.raise_for_status()
        answers.put((mirror, None))
    except (
        OSError,
        ValueError,
    ) as error:  # requests' own exceptions are OSErrors, those of bad addresses ValueErrors
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


def _listed(failures: Mapping[str, Exception]) -> str:
    return (
        "; ".join(f"{mirror}: {_in_short(error)}" for mirror, error in failures.items())
        or "there is no mirror"
    )


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
        # requests reports a silence within a body as a ConnectionError that names the timeout only
        # in its text
        return "timed out" if "timed out" in str(error).lower() else "no connection"
    return str(error)
