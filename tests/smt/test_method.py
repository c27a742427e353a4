"""The SMT method on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pytest

from layermilp import Network, load_model
from layermilp.cli import main
from tests.common import PATIENCE
from tests.smt.samples import APART, CORNERS


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layermilp", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_command_line_trains_and_says_what_answered(tmp_path: Path) -> None:
    words = (*split("train --method smt --data digits --samples 60 --net 64-8-10 --bound 2"),)
    done = _run(*words, "--seed", "1", "--time-limit", "100", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (
        "64-8-10 on 60 samples of digits, 610 weights" in done.stdout
        and "satisfied, answered by" in done.stdout
    )
    found = json.loads((tmp_path / "summary.json").read_text())
    assert (
        found["verdict"] == "satisfied"
        and found["train_accuracy"] == 1.0
        and found["least_lead"] > 0.0
    )
    model = load_model(tmp_path / "model.npz")
    assert (
        isinstance(model, Network)
        and max(np.abs(block.theta).max() for block in model.blocks) <= 2.0
    )
    evaluated = _run("evaluate", str(tmp_path / "model.npz"), "--data", "digits", "--json")
    assert json.loads(evaluated.stdout)["test_accuracy"] == found["test_accuracy"]
    stages = [
        json.loads(line)["name"] for line in (tmp_path / "history.jsonl").read_text().splitlines()
    ]
    assert stages[0] == "samples" and stages[-1] == found["stage"]


def test_the_command_line_ends_with_1_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "xor.npz"
    np.savez(path, X=CORNERS, y=APART)
    words = (*split("train --method smt --data"), str(path), *split("--time-limit 100 --rounds 1"))
    done = _run(*words, "--net", "2-1-2", "--out", str(tmp_path / "run"))
    assert done.returncode == 1 and "unsatisfiable, answered by formula" in done.stdout, done.stderr
    assert {file.name for file in (tmp_path / "run").iterdir()} == {
        "checkpoint-before.npz",
        "checkpoint.npz",
        "run.json",
        "summary.json",
    }
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["test_accuracy"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--net", "64-8-3", "--data", "digits"), "has 3 outputs, but digits has 10 classes"),
        (("--net", "64-a"), "a"),
        (("--grid", "1"), "there is no bound"),
        (("--stages", "random,magic"), "stages 'magic' is unknown"),
        (("--samples", "0", "--data", "digits"), "samples is 0"),
        (("--gap", "2"), "unrecognized arguments: --gap"),
    ],
)
def test_the_command_line_refuses_in_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["train", "--method", "smt", *words])
    except SystemExit as end:
        code = end.code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("layermilp:")]
    assert code == 2 and len(lines) == 1 and message in lines[0]
