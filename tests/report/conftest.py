"""Shared fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from layermilp.cli import main
from tests.cli.commands import QUICK


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a run of every kind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, words in QUICK.items():
        assert main(["train", *words, "--out", str(folder / name)]) == 0
    return folder
