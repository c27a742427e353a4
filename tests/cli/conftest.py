"""Shared fixtures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from layermilp.cli import main
from tests.cli.commands import Command


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what runs the command line in this process."""
    monkeypatch.delenv("LAYERMILP_DATA", raising=False)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return subprocess.CompletedProcess(words, code, *capfd.readouterr())

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two separable classes with text labels, 40 samples."""
    rng = np.random.default_rng(0)
    X = rng.random((40, 2)).round(3)
    path = tmp_path / "points.csv"
    lines = [f"{a},{b},{'right' if a > b else 'left'}" for a, b in X]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path
