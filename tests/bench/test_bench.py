"""Every bench runs, on a small part of what it measures."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from tests.common import PATIENCE, ROOT


@pytest.mark.parametrize(
    "script", ["adapters", "bulk", "epochs", "exchange", "proposals", "scaling", "train", "workers"]
)
def test_benches_run(script: str, tmp_path: Path) -> None:
    words = [
        sys.executable,
        str(ROOT / "bench" / f"{script}.py"),
        "--quick",
        "--json",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.json").is_file()


def test_the_formulations_are_compared(tmp_path: Path) -> None:
    """Every seventh recorded program, with a second for each solve: equal optima, and both
    means."""
    out = tmp_path / "out.json"
    words = [
        sys.executable,
        str(ROOT / "bench" / "formulations.py"),
        "--quick",
        "--time-limit",
        "1",
        "--solver",
        "highs",
    ]
    done = subprocess.run(
        [*words, "--json", str(out)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["geometric_mean"] > 0.0 and not found["different"]
    assert len(found["instances"]) == found["programs"] >= 10
    for row in found["instances"]:
        assert {"name", "rows", "columns", "paper_seconds", "reduced_seconds"} <= row.keys()
        if row["paper_finished"] and row["reduced_finished"]:
            assert row["paper_objective"] == pytest.approx(
                row["reduced_objective"], rel=1e-6, abs=1e-6
            )


def test_the_recorded_programs_are_many_and_small() -> None:
    path = ROOT / "bench" / "programs.npz"
    with np.load(path) as file:
        names = {key.removesuffix("/matrix") for key in file.files if key.endswith("/matrix")}
    assert len(names) >= 60 and path.stat().st_size < 1_000_000
    for words in (
        "dense",
        "conv",
        "-50-",
        "-100-",
        "-300-",
        "batch1",
        "batch3",
        "layer1",
        "layer2",
        "layer3",
    ):
        assert any(words in name for name in names)


def test_the_reports_experiments_run(tmp_path: Path) -> None:
    """The digits, one seed, few batches: every experiment in every setting, with table and
    figures."""
    script = str(ROOT / "bench" / "goebbels2021.py")
    words = [
        sys.executable,
        script,
        "--quick",
        "--out",
        str(tmp_path),
        "--only",
        "first100",
        "batches",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())["experiments"]
    assert set(results) == {"first100", "batches"}
    for entry in results.values():
        for setting in ("plain", "report", "defaults"):
            (run,) = entry[setting]["runs"]
            assert entry[setting]["mean"] == run["accuracy"] and 0.0 < run["accuracy"] <= 1.0
            assert entry[setting]["command"].startswith("layermilp train ")
            assert entry["title"] in done.stdout
    assert len(results["batches"]["report"]["runs"][0]["notes"]["init_scores"][0]) == 2
    assert {path.name for path in tmp_path.glob("*.png")} == {"figure2.png", "figure3.png"}


def test_the_integer_experiments_run(tmp_path: Path) -> None:
    """Two classes of the digits, one seed: every experiment, with tables and figures; baselines and
    majority beside them."""
    script = str(ROOT / "bench" / "thorbjarnarson.py")
    words = [sys.executable, script, "--quick", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())["experiments"]
    assert set(results) == {
        "objectives",
        "bounds",
        "plain",
        "starts",
        "neurons",
        "proofs",
        "batches",
    }
    assert {row["method"] for row in results["objectives"]} >= {
        "sat-margin",
        "min-hinge",
        "max-correct",
        "logistic regression",
    }
    for row in itertools.chain.from_iterable(results.values()):
        if not row["method"].startswith("plain model"):  # which may find nothing in two seconds
            assert row["test_accuracy"] > 0.0
        assert (
            row["test_accuracy"] <= 1.0
            and 0.5 <= row["test_majority"] < 1.0
            and row["seconds"] > 0.0
        )
        assert row["method"] in done.stdout
    assert {path.name for path in tmp_path.glob("*.png")} == {f"figure{k}.png" for k in range(1, 7)}


def test_the_hybrid_experiments_run(tmp_path: Path) -> None:
    """A seed, two functions, 100 digits: every method, with tables and figures; without PyTorch it
    says what is missing."""
    script = str(ROOT / "bench" / "gdsolver.py")
    words = [sys.executable, script, "--quick", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if importlib.util.find_spec("torch") is None:
        assert done.returncode == 1 and done.stderr.startswith("this bench needs PyTorch")
        return
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"regression", "mnist"}
    for name, score in (("regression", "mse"), ("mnist", "accuracy")):
        methods = {row["method"] for row in results[name]}
        assert methods >= {"SGD", "SGD with schedule", "Adam", "Adam with schedule"} and any(
            "GDSolver" in m for m in methods
        )
        assert all(row[score] > 0.0 and row["seconds"] > 0.0 for row in results[name])
        assert all(method in done.stdout for method in methods)
    assert {path.name for path in tmp_path.glob("*.png")} == {"regression.png", "mnist.png"}


def test_the_choice_of_defaults_runs(tmp_path: Path) -> None:
    script = str(ROOT / "bench" / "defaults.py")
    words = [
        sys.executable,
        script,
        *split("--quick --seeds 1 --out"),
        str(tmp_path),
        *split("--only defaults proximity=0.1"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == [
        "| nothing",
        "| proximity=0.1",
    ]
