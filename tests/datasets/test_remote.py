"""Downloads from servers good, bad and silent."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from layermilp.datasets import idx, load, mnist, remote
from layermilp.errors import ChecksumError
from tests.datasets.sources import REFUSING, Server, download, pins


def test_the_cache_follows_the_platform(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("XDG_CACHE_HOME is a convention of Linux")
    script = "from layermilp.datasets import mnist; print(mnist.MNIST.cache())"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == str(tmp_path / "layermilp" / "mnist")


def kept(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_download_into_the_cache(
    server: Server,
    cache: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    with caplog.at_level(logging.DEBUG, logger="pooch"):
        data = mnist.load_mnist(None, download(server.url), lines.append, pins(server.files))
    assert data.X_train.shape == (6, 784)
    assert data.source == f"MNIST from {cache} (downloaded now)"
    assert kept(cache) == sorted(f"{name}.gz" for name in idx.FILE_NAMES)
    assert lines == [f"downloading MNIST (11 MB) to {cache}"]
    assert capsys.readouterr() == ("", "")
    server.requests.clear()
    again = mnist.load_mnist(None, download(server.url), lines.append, pins(server.files))
    assert server.requests == [] and np.array_equal(again.X_train, data.X_train)


def test_begun_download_goes_on(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    name = f"{idx.TRAIN_IMAGES}.gz"
    (cache / name).write_bytes(server.files[f"/{name}"])
    mnist.load_mnist(None, download(server.url), None, pins(server.files))
    assert f"GET /{name}" not in server.requests and len(kept(cache)) == 4


def test_wrong_content_from_the_only_mirror(server: Server, cache: Path) -> None:
    with pytest.raises(ChecksumError, match=r"train-images.*hash.*--data digits"):
        load("mnist", download=download(server.url))
    assert kept(cache) == []


def test_second_mirror_makes_up_for_the_first(server: Server, cache: Path) -> None:
    expected = pins(server.files)
    with Server() as wrong:
        threading.Thread(target=wrong.serve_forever, daemon=True).start()
        wrong.files[f"/{idx.TRAIN_LABELS}.gz"] = b"something else"
        del wrong.files[f"/{idx.TEST_IMAGES}.gz"]
        data = mnist.load_mnist(None, download(REFUSING, wrong.url, server.url), None, expected)
        wrong.shutdown()
    assert data.X_train.shape == (6, 784) and len(kept(cache)) == 4


@pytest.mark.parametrize(
    "name", [idx.TEST_LABELS, idx.TEST_IMAGES]
)  # the file that is probed, and another
def test_file_that_a_mirror_does_not_have(server: Server, cache: Path, name: str) -> None:
    expected = pins(server.files)
    del server.files[f"/{name}.gz"]
    with pytest.raises(remote.Unavailable, match=f"{server.url}: HTTP status 404"):
        mnist.load_mnist(None, download(server.url), None, expected)
    assert f"{name}.gz" not in kept(cache)


def test_stalled_download_ends(server: Server, cache: Path) -> None:
    server.stalled.add(f"/{idx.TRAIN_IMAGES}.gz")
    with pytest.raises(remote.Unavailable, match=f"{server.url}: timed out"):
        mnist.load_mnist(None, download(server.url, timeout=0.3), None, pins(server.files))
    assert kept(cache) == []


def test_mirror_that_never_answers(server: Server, cache: Path) -> None:
    server.mute = True
    with pytest.raises(remote.Unavailable, match=r"no answer within 0\.3 s|timed out"):
        load("mnist", download=download(server.url, deadline=0.3))
    assert not cache.exists()


def test_name_lookup_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging(*_: object, **__: object) -> None:
        release.wait(20)
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        data = load(
            "auto", download=download("http://one.invalid/", "http://two.invalid/", deadline=0.3)
        )
        assert data.name == "digits"
        assert data.source.count("no answer within 0.3 s") == 2
    finally:
        release.set()


def test_odd_mirrors_are_failures_not_crashes() -> None:
    for mirror in ("nonsense", "ftp://127.0.0.1/", "http://[bad/", "http://.../"):
        with pytest.raises(remote.Unavailable, match="could not be downloaded"):
            load("mnist", download=download(mirror))
    with pytest.raises(remote.Unavailable, match="there is no mirror"):
        load("mnist", download=download())


def test_cache_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the directory should be")
    with pytest.raises(remote.Unavailable, match="cannot write to"):
        mnist.load_mnist(None, download(server.url), None, pins(server.files))
    assert load("auto", download=download(server.url)).name == "digits"
