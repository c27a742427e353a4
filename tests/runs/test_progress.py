"""What is shown while a command works: on a terminal a live line with the time left, elsewhere
plain lines."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from shlex import split
from types import SimpleNamespace

import pytest

from layermilp.cli import main
from layermilp.datasets import load
from layermilp.layerwise.method import Layerwise
from layermilp.method import Listener
from layermilp.parallel import Workers
from layermilp.runs import progress as progresses
from layermilp.runs.progress import Progress


def seen_on_a_terminal(words: list[str], folder: Path) -> str:
    """Return all that a command writes to a terminal on stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150"}
    command = [sys.executable, "-m", "layermilp", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, cwd=folder, env=environment
    )
    os.close(theirs)
    found = b""
    try:
        while chunk := os.read(ours, 65536):
            found += chunk
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait() in (0, 1)
    return found.decode(errors="replace")


COMMITTEE = split("--net 64-4-10 --batches 2 --epochs 2 --committee 2 --jobs 1")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--net", "64-4-10", "--batches", "3", "--epochs", "2", "--proximity", "0"],
            r"batch \d/6 · sweep 1 · layer \d (weights|inputs) \d+/\d+",
        ),
        (COMMITTEE, r"passed.* · member [12]/2"),
        (["--method", "smt", "--net", "64-3-10", "--time-limit", "3"], "at most 0:0"),
        (
            ["--method", "integer", "--samples", "40", "--hidden", "3", "--time-limit", "2"],
            "at most 0:0",
        ),
        (
            ["--method", "bcd", "--net", "64-64-10", "--sweeps", "200"],
            r"sweep \d+/200 · objective [\d.]+, accuracy",
        ),
        (
            ["--method", "hybrid", "--rounds", "2", "--epochs", "3"],
            r"round [12]/2 · (gradient|solver)",
        ),
    ],
)
def test_long_commands_say_what_they_do(words: list[str], line: str, tmp_path: Path) -> None:
    text = seen_on_a_terminal(["train", *words, "--data", "digits"], tmp_path)
    assert re.search(line, text) and " passed" in text and " left" in text


def test_postprocessing_says_how_many_programs_are_left(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert main(["train", *COMMITTEE, "--data", "digits", "--quiet", "--out", run]) == 0
    words = [
        "postprocess",
        f"{run}/model.npz",
        *split("--data digits --objective l1 --jobs 1 --out new.npz"),
    ]
    text = seen_on_a_terminal(words, tmp_path)
    assert re.search(r" passed.* · member [12]/2 · program \d+/10", text)


def test_elsewhere_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "--net", "64-3-10", "--batches", "2", "--epochs", "1", "--data", "digits"])
        == 0
    )
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[-2:]] == ["batch 1/2", "batch 2/2"]
    assert "\x1b" not in "".join(lines) and lines[-1].endswith("0:00 left")


def test_the_time_left_follows_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("layermilp.runs.progress.time.perf_counter", lambda: now)
    progress = Progress(limit=60.0)
    assert progress._line().plain == "0:00 passed, at most 1:00 left"
    now = 110.0
    progress.show("half", 0.5)
    now = 112.0
    assert progress._line().plain == "0:12 passed, about 0:08 left · half"
    now = 130.0
    assert progress._line().plain == "0:30 passed, about 0:00 left · half"


def test_a_resumed_run_counts_its_own_batches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of ten batches were done before: what is left is judged by the time of the others."""
    monkeypatch.setattr(progresses, "time", SimpleNamespace(perf_counter=lambda: 1000.0))
    progress, data = Progress(), load("digits")
    progress.began -= 100.0
    method = Layerwise(net="64-10", batches=10, epochs=1, postprocess="none")
    with Workers(1) as workers:
        states = method.training(data, workers, Listener())
        half = next(state for state in states if state.batch == 5 and state.is_resumable)
        resumed = method.training(data, workers, progress, half)
        assert next(state for state in resumed if state.is_resumable).batch == 6
    assert "1:40 passed, about 6:40 left" in capsys.readouterr().err
