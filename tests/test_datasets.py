"""Data sets: every source that `load` knows, what it refuses, and downloads from servers good, bad
and silent."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.datasets import Dataset, Download, adult, catalogue, idx, load, mnist, remote, tables
from layermilp.errors import ChecksumError, DataError

REFUSING = "http://127.0.0.1:9/"  # the discard port, where nothing listens
NO_NETWORK = Download(mirrors=(REFUSING,), deadline=5.0)
REAL_MNIST = os.environ.get("LAYERMILP_DATA")  # as it is before the tests hide it from themselves


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no data at hand, and no proxy between the tests and their own servers."""
    directory = tmp_path / "cache" / "mnist"
    monkeypatch.setattr(remote.Remote, "cache", lambda self: tmp_path / "cache" / self.name)
    monkeypatch.delenv("LAYERMILP_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    return directory


# ------------------------------------------------------------------------------------------
# IDX files


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def idx_contents(n_train: int = 6, n_test: int = 4) -> dict[str, bytes]:
    """Four small files of another content than MNIST's, with the labels 0, 1 and 2."""
    rng = np.random.default_rng(0)
    contents = {}
    for images, labels, n in (
        (idx.TRAIN_IMAGES, idx.TRAIN_LABELS, n_train),
        (idx.TEST_IMAGES, idx.TEST_LABELS, n_test),
    ):
        contents[images] = idx_bytes(rng.integers(0, 256, (n, 28, 28)))
        contents[labels] = idx_bytes(np.arange(n) % 3)
    return contents


def write_idx(directory: Path, compress: bool = False, **replaced: bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in idx_contents().items():
        content = replaced.get(name.split("-ubyte")[0].replace("-", "_"), content)
        path = directory / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(content) if compress else content)
    return directory


@pytest.mark.parametrize("compress", [False, True])
def test_directory_of_idx_files(tmp_path: Path, compress: bool) -> None:
    directory = write_idx(tmp_path / "fashion", compress)
    data = load(directory)
    assert (data.name, data.n_inputs, data.n_classes) == ("fashion", 784, 3)
    assert data.X_train.shape == (6, 784) and data.X_train.dtype == np.float64
    assert data.X_test is not None and data.y_test is not None and data.X_test.shape == (4, 784)
    assert data.y_train.dtype == np.int64 and data.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    raw = np.frombuffer(idx_contents()[idx.TRAIN_IMAGES][16:], np.uint8)
    assert np.array_equal(data.X_train.ravel(), raw / 255)
    assert str(directory) in data.source


def test_directory_with_a_file_missing(tmp_path: Path) -> None:
    (write_idx(tmp_path / "d") / idx.TEST_LABELS).unlink()
    with pytest.raises(DataError, match=rf"d has no file {idx.TEST_LABELS} \(nor .*\.gz\)$"):
        load(tmp_path / "d")


def test_packing_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    directory = write_idx(tmp_path)
    for name in idx.FILE_NAMES:
        (directory / name).rename(directory / f"{name}.gz")
    assert load(directory).X_train.shape == (6, 784)


IMAGES = idx_contents()[idx.TRAIN_IMAGES]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x08", "starts with 000008"),
        (b"PNG!" + IMAGES[4:], "starts with 504e4721 instead of 00000803$"),
        (b"\x00\x00\x0d\x03" + IMAGES[4:], "another type"),
        (b"\x00\x00\x08\x01" + IMAGES[4:], r"1 dimension\(s\) instead of 3"),
        (IMAGES[:10], "within its header"),
        (IMAGES[:-1], "truncated: 4703 bytes of values where its header announces 4704"),
        (IMAGES + b"x", "goes on after the 4704 bytes"),
        (IMAGES[:4] + struct.pack(">3I", 0, 28, 28), "0 x 28 x 28, so it holds nothing"),
        (IMAGES[:4] + b"\xff" * 12, "more than the 1073741824 bytes"),
        (idx_bytes(np.zeros((5, 28, 28))), "holds 6 labels for 5 images"),
        (idx_bytes(np.zeros((6, 14, 28))), r"images have the size \(28, 28\)"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["mnist", "directory"])
def test_damaged_idx_file_is_named(
    tmp_path: Path, content: bytes, message: str, compress: bool, name: str
) -> None:
    directory = write_idx(tmp_path / "d", compress, train_images_idx3=content)
    with pytest.raises(DataError, match=f"corrupt IDX file .*{message}") as caught:
        load("mnist", data_dir=directory) if name == "mnist" else load(directory)
    assert not isinstance(caught.value, ChecksumError)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "check sum"])
def test_broken_gzip(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(IMAGES))
    if damage == "truncated":
        del packed[-20:]
    elif damage == "flipped":
        packed[100:110] = bytes(10)
    else:
        packed[-8] ^= 1
    path = write_idx(tmp_path, compress=True) / f"{idx.TRAIN_IMAGES}.gz"
    path.write_bytes(packed)
    with pytest.raises(
        DataError, match=r"corrupt IDX file .*train-images.*(gzip compression is broken|truncated)"
    ):
        load(tmp_path)


def test_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\x00\x00\x08\x01" + struct.pack(">I", 10))
        for _ in range(64):
            file.write(bytes(2**20))
    read = []
    real = gzip.GzipFile.read

    def counting(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        piece = real(self, size)
        read.append(len(piece))
        return piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip.GzipFile, "read", counting)
        with pytest.raises(DataError, match="goes on after the 10 bytes"):
            idx.read_idx(path, 1)
    assert sum(read) == 4 + 4 + 11


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root reads all",
)
def test_unreadable_file(tmp_path: Path) -> None:
    (write_idx(tmp_path) / idx.TRAIN_IMAGES).chmod(0)
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path)


def read_or_refuse(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, n_dimensions: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    try:
        array = idx.read_idx(path, n_dimensions)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert array.ndim == n_dimensions and array.size > 0


@settings(deadline=None, max_examples=150)
@given(
    start=st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x08\x03", b"\x1f\x8b", b"\x1f\x8b\x08\0"]),
    rest=st.binary(),
)
def test_random_bytes_never_crash_the_parser(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes
) -> None:
    for n_dimensions in (1, 3):
        read_or_refuse(tmp_path_factory, start + rest, n_dimensions)
        read_or_refuse(tmp_path_factory, gzip.compress(start + rest, 1), n_dimensions)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), compress=st.booleans())
def test_truncated_and_flipped_files_never_crash_the_parser(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compress: bool
) -> None:
    content = bytearray(idx_bytes(np.arange(24).reshape(2, 3, 4)))
    if compress:
        content = bytearray(gzip.compress(bytes(content)))
    content = content[: data.draw(st.integers(0, len(content)))]
    for position in (
        data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)) if content else []
    ):
        content[position] = data.draw(st.integers(0, 255))
    read_or_refuse(tmp_path_factory, bytes(content), 3)


@settings(deadline=None, max_examples=30)
@given(shape=st.tuples(*[st.integers(1, 5)] * 3), seed=st.integers(0, 99), compress=st.booleans())
def test_idx_round_trip(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], seed: int, compress: bool
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.getbasetemp() / "round-trip"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compress else content)
    read = idx.read_idx(path, 3)
    assert np.array_equal(read, array)
    assert idx.content_sha256(read) == hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------------------------------------
# MNIST


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("compress", [False, True])
def test_other_content_under_mnists_names_is_refused(
    tmp_path: Path, name: str, compress: bool
) -> None:
    directory = write_idx(tmp_path / "d", compress)
    with pytest.raises(ChecksumError, match=f"{idx.TRAIN_IMAGES}.*ba891046e650.*--data DIR"):
        load(name, data_dir=directory)


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_explicit_directory_must_have_the_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"there is no directory .*nowhere"):
        load(name, data_dir=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"empty has no file {idx.TRAIN_IMAGES}"):
        load(name, data_dir=tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("subfolder", ["", "mnist"])
def test_directory_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str
) -> None:
    write_idx(tmp_path / "data" / subfolder)
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "data"))
    data = mnist.load_mnist(None, None, pinned=pins())
    assert data.source == f"MNIST from {tmp_path / 'data' / subfolder}"
    assert catalogue()[0] == ("mnist", "at hand", str(tmp_path / "data" / subfolder))
    with pytest.raises(ChecksumError):  # what is at hand is looked at before the network
        load("auto", download=NO_NETWORK)


def test_environment_with_only_some_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write_idx(tmp_path / "data") / idx.TEST_IMAGES).unlink()
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=f"data has no file {idx.TEST_IMAGES}"):
        load("auto", download=NO_NETWORK)
    assert catalogue()[0][1] == "not at hand" and idx.TEST_IMAGES in catalogue()[0][2]


def test_files_in_the_cache_are_used(cache: Path) -> None:
    write_idx(cache, compress=True)
    assert mnist.load_mnist(None, None, pinned=pins()).source == f"MNIST from {cache}"
    assert catalogue()[0] == ("mnist", "at hand", str(cache))


def test_mnist_without_files_and_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(
        DataError,
        match=r"not at hand.*elsewhere.*no connection.*LAYERMILP_DATA.*--data-dir.*digits",
    ):
        load("mnist", download=NO_NETWORK)
    with pytest.raises(DataError, match="downloads are not wanted"):
        load("mnist", download=None)
    assert not cache.exists()
    assert catalogue()[0] == ("mnist", "not at hand", f"would be downloaded to {cache}")


@pytest.mark.parametrize("n_inputs", [None, 784])
def test_auto_without_mnist_says_so(n_inputs: int | None) -> None:
    data = load("auto", n_inputs=n_inputs, download=NO_NETWORK)
    assert data.name == ("digits (28 x 28)" if n_inputs else "digits")
    assert "INSTEAD OF MNIST" in data.source and REFUSING in data.source


def test_auto_for_another_number_of_inputs_never_asks_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no download was wanted")

    monkeypatch.setattr(remote, "fetch", refuse)
    data = load("auto", n_inputs=64)
    assert data.name == "digits" and "MNIST has 784 inputs" in data.source
    with pytest.raises(DataError, match="wants 10 inputs, but digits has 64"):
        load("auto", n_inputs=10)
    with pytest.raises(DataError, match="the network wants 10 inputs, but mnist has 784"):
        load("mnist", n_inputs=10)


def test_the_cache_follows_the_platform(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("XDG_CACHE_HOME is a convention of Linux")
    script = "from layermilp.datasets import mnist; print(mnist.MNIST.cache())"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == str(tmp_path / "layermilp" / "mnist")


def test_import_loads_no_heavy_package() -> None:
    script = "import layermilp.datasets.loading, sys; print(*sys.modules)"
    package = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    without = subprocess.run(
        [sys.executable, "-c", "import layermilp, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not (set(package) - set(without)) & {"sklearn", "scipy", "pooch", "requests"}


def test_real_mnist() -> None:
    named = REAL_MNIST
    if not named:
        pytest.skip(
            "REAL MNIST IS NOT TESTED: set LAYERMILP_DATA to a directory that has its four files"
        )
    data = load("mnist", data_dir=named, n_inputs=784)
    assert (
        data.X_train.shape == (60_000, 784)
        and data.X_test is not None
        and data.X_test.shape == (10_000, 784)
    )
    assert np.array_equal(data.classes, np.arange(10)) and data.y_train[:5].tolist() == [
        5,
        0,
        4,
        1,
        9,
    ]
    assert data.X_train.min() == 0.0 and data.X_train.max() == 1.0
    assert load("auto", data_dir=named).name == "mnist"


# ------------------------------------------------------------------------------------------
# downloads


def pins(served: dict[str, bytes] | None = None) -> dict[str, remote.PinnedFile]:
    """Pinned checksums of the synthetic files, and of their compressed form where they are
    served."""
    return {
        name: remote.PinnedFile(
            hashlib.sha256((served or {}).get(f"/{name}.gz", b"")).hexdigest(),
            hashlib.sha256(content).hexdigest(),
        )
        for name, content in idx_contents().items()
    }


class Server(ThreadingHTTPServer):
    """Serves `files`; sends half of those in `stalled` and then nothing more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {
            f"/{name}.gz": gzip.compress(content, mtime=0)
            for name, content in idx_contents().items()
        }
        self.stalled: set[str] = set()
        self.mute = False
        self.requests: list[str] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.mute:
            self.server.release.wait(20)
            return
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_body:
            return
        if self.path in self.server.stalled:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server.release.wait(20)
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        yield running
        running.release.set()
        running.shutdown()
        thread.join()


def download(*mirrors: str, deadline: float = 10.0, timeout: float = 10.0) -> Download:
    return Download(mirrors=mirrors, deadline=deadline, timeout=timeout)


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


# ------------------------------------------------------------------------------------------
# digits


def test_digits() -> None:
    data = load("digits")
    assert isinstance(data, Dataset) and data.name == "digits" and "scikit-learn" in data.source
    assert (
        data.X_train.shape == (1500, 64)
        and data.X_test is not None
        and data.X_test.shape == (297, 64)
    )
    assert data.X_train.min() == 0.0 and data.X_train.max() == 1.0
    assert data.y_test is not None and set(data.y_test) == set(range(10))
    assert np.array_equal(load("digits", n_inputs=64).X_train, data.X_train)


def test_enlarged_digits() -> None:
    small, large = load("digits"), load("digits", n_inputs=784)
    assert large.name == "digits (28 x 28)" and "enlarged to 28 x 28" in large.source
    assert (
        large.X_train.shape == (1500, 784)
        and large.X_test is not None
        and large.X_test.shape == (297, 784)
    )
    assert large.X_train.min() >= 0.0 and large.X_train.max() <= 1.0
    assert np.array_equal(large.y_train, small.y_train)
    pictures = large.X_train.reshape(-1, 28, 28)
    for shift in range(3):
        assert np.array_equal(
            pictures[:, 2 + shift : 26 : 3, 2 + shift : 26 : 3].reshape(-1, 64), small.X_train
        )
    assert pictures.sum() == pytest.approx(9 * small.X_train.sum())


# ------------------------------------------------------------------------------------------
# CSV files


def write_csv(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, "a, label ,b\n1,cat,-2.5\n3e2,dog, 4\n\n0,cat,0\n"))
    assert data.name == "table.csv" and data.X_test is None and data.y_test is None
    assert np.array_equal(data.X_train, [[1.0, -2.5], [300.0, 4.0], [0.0, 0.0]])
    assert data.classes.tolist() == ["cat", "dog"] and data.y_train.tolist() == [0, 1, 0]


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, '\ufeff"label","x, 1"\r\n"b\n2","1"\r\n"ä","2"\r\n'))
    assert data.classes.tolist() == ["b\n2", "ä"] and data.X_train.tolist() == [[1.0], [2.0]]


def test_label_column_by_name(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path, "x,kind\n1,7\n2,5\n"), label_column="kind")
    assert (
        data.classes.tolist() == [5, 7]
        and data.classes.dtype == np.int64
        and data.y_train.tolist() == [1, 0]
    )


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["0", "2", "1"], [0, 1, 2]),
        (["1.0", "3", "1e1"], [1, 3, 10]),
        (["-1", "1"], [-1, 1]),
        (["1", "one"], ["1", "one"]),
        (["2_1", "2_2"], ["2_1", "2_2"]),
        (["nan", "x"], ["nan", "x"]),
    ],
)
def test_csv_labels(tmp_path: Path, cells: list[str], classes: list[object]) -> None:
    data = load(write_csv(tmp_path, "x,label\n" + "".join(f"1,{cell}\n" for cell in cells)))
    assert data.classes.tolist() == classes
    assert data.classes[data.y_train].tolist() == [classes[i] for i in data.y_train]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"table\.csv is empty"),
        ("\n \n", r"table\.csv is empty"),
        ("x,label\n", "has a header but no samples"),
        ("label\n1\n", "no column besides the labels"),
        ("x,y\n1,2\n", r"no column 'label' for the labels \(columns: 'x', 'y'\)$"),
        ("x;label\n1;2\n", "separated by commas"),
        ("5,0,0\n1,0,0\n", "looks like a sample"),
        (",".join(f"c{i}" for i in range(50)) + "\n", "'c9' and 40 more"),
        ("x,label,x\n1,2,3\n", "more than one column of the name 'x'"),
        (",x,label\n0,1,2\n", "column 1 has no name"),
        ("x,label,z\n1,2,3\n1,2\n", "line 3: 2 cells, but the header has 3 columns"),
        ("x,label\n1,2,3\n", "line 2: 3 cells"),
        ("x,label,z\n1,2,3\n\n1,2,three\n", "line 4, column 'z': 'three' is not a number"),
        ("x,label\n1,2\n,2\n", "line 3, column 'x': the cell is empty"),
        ("x,label\n1,\n", "line 2: column 'label' is empty"),
        ("x,label\n1,2\nnan,2\n", "line 3, column 'x' is nan"),
        ("x,label\n1,2\n1e999,2\n", "line 3, column 'x' is inf"),
        (
            "x,label\n1,2\n1,0.5\n",
            r"line 3, column 'label' is 0\.5; a label must be a whole number",
        ),
        ("x,label\n1,nan\n1,0\n", "line 2, column 'label' is nan"),
        ("x,label\n1,1e300\n", r"line 2, column 'label' is 1e\+300"),
        ('x,label\n1,"' + "a" * 200_000 + '"\n', "line 2: field larger than field limit"),
        (b"x,label\n1,\xff\n", "not UTF-8 text"),
        ("x,label\n1,2\n".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_refused_csv(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(write_csv(tmp_path, text))
    assert "table.csv" in str(caught.value)


@settings(deadline=None, max_examples=100)
@given(
    text=st.one_of(st.binary(max_size=60), st.text('x,1"\n\r\0 .-é', max_size=40).map(str.encode))
)
def test_random_csv_never_crashes(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    for content in (text, b"x,label\n" + text):
        path.write_bytes(content)
        try:
            tables.load_csv(path)
        except DataError as error:
            assert str(path) in str(error)


# ------------------------------------------------------------------------------------------
# NPZ files

SAMPLES = np.arange(12.0).reshape(4, 3) - 5


def write_npz(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_npz(tmp_path: Path) -> None:
    data = load(
        write_npz(tmp_path, X=SAMPLES, y=[0, 1, 2, 1], X_test=SAMPLES[:2], y_test=[2, 0], extra=[1])
    )
    assert data.name == "arrays.npz" and np.array_equal(data.X_train, SAMPLES)
    assert data.y_train.tolist() == [0, 1, 2, 1] and data.classes.tolist() == [0, 1, 2]
    assert data.X_test is not None and data.y_test is not None and data.y_test.tolist() == [2, 0]
    assert load(write_npz(tmp_path, X=SAMPLES, y=[0, 1, 2, 1])).X_test is None


def test_npz_images_are_flattened_and_not_scaled(tmp_path: Path) -> None:
    images = np.full((4, 2, 3), 255, np.uint8)
    data = load(write_npz(tmp_path, X=images, y=np.arange(4)), n_inputs=6)
    assert (
        data.X_train.shape == (4, 6)
        and data.X_train.dtype == np.float64
        and data.X_train.max() == 255.0
    )


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, -1, 3, 8], [-1, 3, 8]),
        (np.array([0.0, 2.0, 1.0, 0.0]), [0, 1, 2]),
        ([True, False, True, True], [0, 1]),
        (np.array([1, 2, 3, 4], np.uint64), [1, 2, 3, 4]),
        (["b", "a", "b", "ü"], ["a", "b", "ü"]),
        (np.array([b"b", b"a", b"b", b"c"]), ["a", "b", "c"]),
    ],
)
def test_npz_labels(tmp_path: Path, labels: object, classes: list[object]) -> None:
    data = load(write_npz(tmp_path, X=SAMPLES, y=labels, X_test=SAMPLES, y_test=labels))
    assert data.classes.tolist() == classes and data.classes.dtype.kind in "iU"
    assert data.y_train.dtype == np.int64 and data.y_test is not None
    assert np.array_equal(data.y_train, data.y_test)


Y = [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": SAMPLES}, r"has no array y; .*\(found: X\)"),
        ({"x": SAMPLES, "y": Y}, r"has no array X; .*\(found: x, y\)"),
        ({"X": SAMPLES, "y": Y, "X_test": SAMPLES}, "both X_test and y_test, or neither"),
        ({"X": SAMPLES, "y": Y[:3]}, "4 samples but 3 labels"),
        ({"X": SAMPLES[0], "y": Y}, "2-D array"),
        ({"X": SAMPLES[:0], "y": []}, r"empty: its array has the shape \(0, 3\)"),
        ({"X": SAMPLES[:, :0], "y": Y}, "empty"),
        ({"X": SAMPLES, "y": np.eye(4)}, "1-D array"),
        ({"X": SAMPLES.astype(str), "y": Y}, "not real numbers"),
        ({"X": SAMPLES * 1j, "y": Y}, "not real numbers"),
        ({"X": SAMPLES, "y": np.array(Y) * 1j}, "whole numbers or text"),
        ({"X": SAMPLES, "y": np.array([0, 1, np.nan, 0])}, r"y\[2\] is nan"),
        ({"X": SAMPLES, "y": [0, 1, 0, 0.5]}, r"y\[3\] is 0\.5"),
        (
            {"X": SAMPLES, "y": np.array([1, 2, 3, 2**63], np.uint64)},
            r"y\[3\] is 9223372036854775808",
        ),
        ({"X": SAMPLES, "y": np.array([b"\xff"] * 4)}, "not UTF-8"),
        ({"X": np.where(SAMPLES == 0, np.inf, SAMPLES), "y": Y}, r"X\[1, 2\] is inf"),
        (
            {"X": np.where(SAMPLES == 1, np.nan, SAMPLES)[:, :, None], "y": Y},
            r"X\[2, 0, 0\] is nan",
        ),
        (
            {"X": SAMPLES, "y": Y, "X_test": SAMPLES[:, :2], "y_test": Y},
            "2 features where .* has 3",
        ),
        (
            {"X": SAMPLES, "y": Y, "X_test": SAMPLES, "y_test": [0, 1, 7, 0]},
            r"y_test\[2\] is 7, a class that",
        ),
        (
            {"X": SAMPLES, "y": list("abab"), "X_test": SAMPLES, "y_test": list("abca")},
            r"y_test\[2\] is 'c', a class",
        ),
        (
            {"X": SAMPLES, "y": list("abab"), "X_test": SAMPLES, "y_test": Y},
            "are whole numbers, but .* text",
        ),
        ({"X": SAMPLES, "y": np.array(["a", None, "b", 1], object)}, "without pickled objects"),
    ],
)
def test_refused_npz(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(write_npz(tmp_path, **arrays))
    assert "arrays.npz" in str(caught.value)


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with path.open("wb") as file:
        np.save(file, SAMPLES)
    with pytest.raises(DataError, match="single array"):
        load(path)
    for content in (b"", b"PK\x03\x04 nothing", b"words"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"arrays\.npz is no readable \.npz file"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", "no array")
        archive.writestr("y.npy", "no array")
    with pytest.raises(DataError, match="member 'X' is no numpy array"):
        load(path)


def test_npz_whose_header_claims_more_than_any_memory(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000), }"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", array)
        archive.writestr("y.npy", array)
    with pytest.raises(DataError, match="no readable"):
        load(path)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damaged_npz_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    np.savez(path, X=SAMPLES, y=Y)
    content = bytearray(path.read_bytes())
    content = content[: data.draw(st.integers(0, len(content)))]
    for position in (
        data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)) if content else []
    ):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tables.load_npz(path)
    except DataError as error:
        assert str(path) in str(error)


# ------------------------------------------------------------------------------------------
# names and sizes


def test_unknown_names_are_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"unknown data 'minst'; use auto, mnist, adult, digits, a \.csv or \.npz file",
    ):
        load("minst")
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        load(tmp_path / "absent.csv")
    (tmp_path / "data.txt").write_text("x,label\n1,2\n")
    with pytest.raises(DataError, match="unknown data"):
        load(tmp_path / "data.txt")


def test_number_of_inputs_must_fit(tmp_path: Path) -> None:
    path = write_npz(tmp_path, X=SAMPLES, y=Y)
    assert load(path, n_inputs=3).n_inputs == 3
    with pytest.raises(DataError, match=r"the network wants 10 inputs, but arrays\.npz has 3"):
        load(path, n_inputs=10)
    with pytest.raises(DataError, match=r"wants 10 inputs, but digits has 64 \(or 784"):
        load("digits", n_inputs=10)


def test_catalogue(tmp_path: Path) -> None:
    names = [row[0] for row in catalogue()]
    assert names == ["mnist", "adult", "digits"]
    assert catalogue(tmp_path / "nowhere")[0][1:] == (
        "not at hand",
        f"there is no directory {tmp_path / 'nowhere'}",
    )
    assert catalogue(write_idx(tmp_path / "d"))[0] == ("mnist", "at hand", str(tmp_path / "d"))


ROWS = (
    "39, State-gov, 100, Bachelors, 13, Never-married, Sales, Not-in-family, White, Male, 0, 0, "
    "40, Cuba, <=50K",
    "50, ?, 300, HS-grad, 9, Divorced, Sales, Husband, White, Female, 10, 0, 20, ?, >50K",
    "20, Private, 200, HS-grad, 9, Divorced, Sales, Husband, Black, Male, 5, 50, 60, Cuba, <=50K",
)
TEST_ROWS = (
    "60, Private, 200, Masters, 9, Divorced, Sales, Husband, Black, Male, 5, 0, 60, Cuba, >50K.",
    "30, ?, 50, HS-grad, 13, Divorced, Sales, Husband, White, Male, 0, 0, 40, Cuba, <=50K.",
)


def write_adult(directory: Path, comment: bool = True) -> dict[str, remote.PinnedFile]:
    """Write small files of Adult's kind; return what pins them."""
    directory.mkdir(parents=True, exist_ok=True)
    pinned = {}
    for name, rows in ((adult.TRAIN, ROWS), (adult.TEST, TEST_ROWS)):
        content = ("\n".join(rows) + "\n\n").encode()
        whole = (b"|1x3 Cross validator\n" if comment and name == adult.TEST else b"") + content
        (directory / name).write_bytes(whole)
        pinned[name] = remote.PinnedFile(
            hashlib.sha256(whole).hexdigest(), hashlib.sha256(content).hexdigest()
        )
    return pinned


@pytest.mark.parametrize("comment", [True, False])
def test_adult_is_encoded_by_its_training_part(tmp_path: Path, comment: bool) -> None:
    pinned = write_adult(tmp_path / "adult", comment)
    data = adult.load_adult(tmp_path, None, pinned=pinned)
    assert data.classes.tolist() == ["<=50K", ">50K"] and data.y_train.tolist() == [0, 1, 0]
    assert data.X_test is not None and data.y_test is not None and data.y_test.tolist() == [1, 0]
    # Six numeric inputs, then 3, 2, 2, 1, 2, 2, 2 and 2 values.
    assert data.X_train.shape == (3, 6 + 16) and data.X_test.shape == (2, 22)
    np.testing.assert_allclose(data.X_train[:, 0], [19 / 30, 1.0, 0.0])
    np.testing.assert_allclose(data.X_test[:, 0], [1.0, 1 / 3])  # 60 is beyond the range
    assert data.X_test[1, 1] == 0.0  # and so is 50
    np.testing.assert_array_equal(data.X_train[:, 6:].sum(axis=1), [8, 8, 8])
    np.testing.assert_array_equal(
        data.X_test[:, 6:].sum(axis=1), [7, 8]
    )  # the first has a degree that no one had


def test_adult_that_is_something_else_is_refused(tmp_path: Path) -> None:
    write_adult(tmp_path)
    with pytest.raises(ChecksumError, match=r"adult\.data is not the file of Adult"):
        load("adult", data_dir=tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"nothing has no file adult\.data, nor .*: adult\.test"):
        load("adult", data_dir=tmp_path / "nothing")
    with pytest.raises(
        remote.Unavailable, match=r"Adult is not at hand .* and could not be downloaded"
    ):
        load("adult", download=NO_NETWORK)


def test_adult_is_downloaded(tmp_path: Path, cache: Path, server: Server) -> None:
    pinned = write_adult(tmp_path / "served")
    server.files = {f"/{path.name}": path.read_bytes() for path in (tmp_path / "served").iterdir()}
    data = adult.load_adult(None, download(server.url), None, pinned)
    assert data.source.endswith("(downloaded now)") and len(data.X_train) == 3
    assert (
        adult.load_adult(None, None, pinned=pinned).source == f"Adult from {cache.parent / 'adult'}"
    )


@pytest.mark.skipif(
    not REAL_MNIST,
    reason="THE REAL ADULT IS NOT TESTED: set LAYERMILP_DATA to a directory that has its files",
)
def test_the_real_adult_loads() -> None:
    assert REAL_MNIST is not None
    if not (Path(REAL_MNIST) / "adult").is_dir():
        pytest.skip("THE REAL ADULT IS NOT TESTED: there is no subfolder adult in LAYERMILP_DATA")
    data = load("adult", data_dir=REAL_MNIST)
    assert (
        data.X_train.shape == (32_561, 108)
        and data.X_test is not None
        and data.X_test.shape == (16_281, 108)
    )
