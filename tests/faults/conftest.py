"""Shared fixtures."""

from __future__ import annotations

import pytest

from tests import faulty
from tests.faults.runs import SOLVED


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of a run in which nothing goes wrong."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = faulty.run(*SOLVED, "--jobs", "1", "--out", str(out), after=10**9)
    assert done.returncode == 0, done.stderr
    return (out / "model.npz").read_bytes()
