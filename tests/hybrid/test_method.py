"""The hybrid method on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layermilp import load_model
from layermilp.cli import main


def test_the_command_trains_writes_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = split("train --method hybrid --data digits --hidden 12 --samples 300 --epochs 3")
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr()
    assert (
        "net             64-12-10 on 300 samples of digits" in printed.out
        and "solver, " in printed.err
    )
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    history = [
        json.loads(line) for line in (tmp_path / "a" / "history.jsonl").read_text().splitlines()
    ]
    assert summary["rounds_undone"] == sum(record["undone"] for record in history)
    assert summary["epochs_done"] == sum(record["epochs"] for record in history)
    assert main(["evaluate", str(tmp_path / "a" / "model.npz"), "--data", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == summary["test_accuracy"]
    assert main([*command, "--out", str(tmp_path / "b"), "--quiet"]) == 0
    first, second = (load_model(tmp_path / name / "model.npz") for name in "ab")
    for one, other in zip(first.blocks, second.blocks, strict=True):  # type: ignore[union-attr]
        np.testing.assert_array_equal(one.theta, other.theta)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "lbfgs"], "optimizer 'lbfgs' is unknown"),
        (["--hidden", "0"], "hidden is 0"),
        (["--hidden", "a"], "'a' names no layers"),
        (["--learning-rate", "-1"], "learning_rate is -1.0"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--samples", "9999"], "samples is 9999"),
        (["--radius", "0"], "radius is 0.0"),
        (["--rounds", "-2"], "rounds is -2"),
        (["--bound", "3"], "--bound"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["train", "--method", "hybrid", "--data", "digits", "--quiet", *words])
    except SystemExit as error:
        code = int(str(error.code))
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(lines) == 1 and message in lines[0]
