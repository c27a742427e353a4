"""Shared fixtures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layermilp.datasets import remote
from tests.datasets.sources import Server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no data at hand, and no proxy between the tests and their own servers."""
    directory = tmp_path / "cache" / "mnist"
    monkeypatch.setattr(remote.Remote, "cache", lambda self: tmp_path / "cache" / self.name)
    monkeypatch.delenv("LAYERMILP_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    return directory


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
