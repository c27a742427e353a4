"""Files and servers to load from, good, bad and silent."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from layermilp.datasets import Download, idx, remote

REFUSING = "http://127.0.0.1:9/"  # the discard port, where nothing listens
NO_NETWORK = Download(mirrors=(REFUSING,), deadline=5.0)
REAL_MNIST = os.environ.get("LAYERMILP_DATA")  # as it is before the tests hide it from themselves


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


def download(*mirrors: str, deadline: float = 10.0, timeout: float = 10.0) -> Download:
    return Download(mirrors=mirrors, deadline=deadline, timeout=timeout)


SAMPLES = np.arange(12.0).reshape(4, 3) - 5


def write_npz(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, **arrays)
    return path


Y = [0, 1, 0, 1]
