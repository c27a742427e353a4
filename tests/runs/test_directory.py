"""The directory of a run: one run at a time, and no resuming of what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layermilp.cli import main
from layermilp.errors import OutputError
from layermilp.runs.directory import RunDirectory

RUN = [
    *("train", "--net", "64-5-10", "--data", "digits", "--batches", "8", "--epochs", "5"),
    *("--jobs", "1", "--quiet"),
]


def test_what_cannot_be_resumed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    few = ["--batches", "2", "--epochs", "1", "--jobs", "1", "--quiet", "--out", str(out)]
    assert main([*RUN[:5], *few]) == 0
    kept = out / "run.json"
    content = json.loads(kept.read_text())
    other = json.dumps({**content, "options": {**content["options"], "batches": 3}})
    refusals = {
        "is not the directory of a run": lambda: kept.rename(tmp_path / "away"),
        "is damaged": lambda: kept.write_text("[1, 2]"),
        "is damaged: Expecting": lambda: kept.write_text("["),
        "is damaged: batches is 0": lambda: kept.write_text(
            json.dumps({**content, "options": {**content["options"], "batches": 0}})
        ),
        "with other options or data": lambda: kept.write_text(other),
    }
    for words, spoil in refusals.items():
        spoil()  # type: ignore[no-untyped-call]
        capsys.readouterr()
        assert main(["train", "--resume", str(out), "--quiet"]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert main(["train", "--resume", str(out), "--epochs", "3"]) == 2
    assert "--epochs cannot be given beside it" in capsys.readouterr().err


def test_a_directory_takes_one_run_at_a_time(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path)
    with pytest.raises(OutputError, match="another run is writing"):
        RunDirectory(tmp_path)
    del first
    RunDirectory(tmp_path)
