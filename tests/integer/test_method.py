"""The integer method on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from tests.common import PATIENCE
from tests.integer.instances import blobs


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layermilp", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_command_line_trains_evaluates_and_predicts(tmp_path: Path) -> None:
    X, y = blobs()
    data = tmp_path / "blobs.npz"
    np.savez(data, X=X, y=y, X_test=X[:20], y_test=y[:20])
    words = (*split("--method integer --data"), str(data), *split("--hidden 3 --bound 7 --jobs 1"))
    done = _run("train", *words, "--samples", "40", "--seed", "1", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "6-3-2 on 40 samples" in done.stdout and "majority class" in done.stdout
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (
        found["bytes"] == 3 * 7 + 2 * 4
        and found["weight_type"] == "int8"
        and found["samples"] == 40
    )
    model = str(tmp_path / "run" / "model.npz")
    evaluated = _run("evaluate", model, "--data", str(data), "--json")
    assert json.loads(evaluated.stdout)["test_accuracy"] == found["test_accuracy"]
    assert len(_run("predict", model, str(data)).stdout.split()) == 60
    refused = _run("postprocess", model, "--data", str(data), "--out", str(tmp_path / "no.npz"))
    assert refused.returncode == 2 and "holds an integer network" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "magic"), "method 'magic' is unknown; choose layerwise, bcd"),
        (("--method", "integer", "--hidden", "a"), "'a' names no layers"),
        (("--method", "integer", "--ridge", "1"), "unrecognized arguments: --ridge"),
        (
            ("--method", "integer", "--data", "digits", "--samples", "9999"),
            "samples is 9999; digits has 1,500",
        ),
    ],
)
def test_the_command_line_refuses_in_one_line(words: tuple[str, ...], message: str) -> None:
    done = _run("train", *words)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) <= 2, (
        done.stderr
    )
