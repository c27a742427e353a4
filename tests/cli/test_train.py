"""The command ``train``: its output, its exit code, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layermilp import Network
from tests.cli.commands import FILES, LONG, METHOD, SMALL, Command, interrupted, refused, run


def test_quiet_prints_the_result_alone(table: Path) -> None:
    done = run("train", *SMALL, "--data", str(table), "--quiet")
    assert done.returncode == 0 and done.stderr == "" and "train accuracy" in done.stdout


def test_verbose_prints_a_line_per_sweep(table: Path) -> None:
    done = run("train", *SMALL, "--data", str(table), "--verbose")
    assert "batch 1 sweep 1: accuracy" in done.stderr


def test_same_seed_same_bytes_for_any_number_of_workers(table: Path, tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        done = run("train", *SMALL[:-1], jobs, "--data", str(table), "--out", str(tmp_path / jobs))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1" / "model.npz").read_bytes() == (
        tmp_path / "2" / "model.npz"
    ).read_bytes()


def test_unwritable_directory_is_refused_before_training(
    here: Command, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    refused(
        here("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file")),
        "cannot make the directory",
    )
    refused(
        here("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file" / "x")),
        "cannot make the directory",
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interruption_keeps_what_was_learned(tmp_path: Path, jobs: str) -> None:
    out = tmp_path / "run"
    code, stdout, stderr = interrupted([*LONG, "--jobs", jobs], out, (out / "summary.json").exists)
    assert code == 130, stderr
    assert "interrupted: these are the best weights so far" in stdout
    assert "Traceback" not in stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"] and summary["sweeps"] >= 1
    records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert sum(record["kind"] == "sweep" for record in records) == summary["sweeps"]
    assert Network.load(out / "model.npz").notation == "64-6-10"
    assert {path.name for path in out.iterdir()} - {"checkpoint-before.npz"} == FILES


def test_preset_is_overruled_by_what_is_given(here: Command, table: Path, tmp_path: Path) -> None:
    few = [*split("train --net 2-3-2 --batches 1 --batch-size 10 --jobs 1 --data"), str(table)]
    runs = {
        "alone": ["--preset", "goebbels2021"],
        "before": split("--postprocess end --init he --max-sweeps 2 --preset goebbels2021"),
        "after": ["--preset=goebbels2021", "--postprocess=end", "--init=he", "--max-sweeps=2"],
    }
    found = {}
    for name, words in runs.items():
        done = here(*few, *words, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / name / "summary.json").read_text())
    report = {
        "preset": "goebbels2021",
        "objective": "l1",
        "tie_break": "none",
        "average": 0.0,
        "class_weight": None,
    }
    for summary in found.values():
        assert report.items() <= summary.items()
    assert {"init": "paper", "postprocess": "batch", "max_sweeps": None}.items() <= found[
        "alone"
    ].items()
    for name in ("before", "after"):
        assert {"init": "he", "postprocess": "end", "max_sweeps": 2}.items() <= found[name].items()


def test_none_takes_away_a_limit(here: Command, table: Path, tmp_path: Path) -> None:
    words = [*split("train --net 2-3-2 --batches 1 --epochs 1 --batch-size 10 --jobs 1 --data")]
    limits = split("--max-sweeps none --node-limit none --weight-decay none")
    done = here(*words, str(table), *limits, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["max_sweeps"] is None and summary["node_limit"] is None
    assert summary["weight_decay"] == 0.1
    refused(here(*words, str(table), "--max-sweeps", "all"), "invalid int value: 'all'")
    refused(here(*words, str(table), "--batches", "none"), "invalid int value: 'none'")


def test_convolutions_are_written_as_nets(here: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", X=rng.random((30, 36)), y=np.arange(30) % 3)
    words = [
        *split("train --net 6x6-mean2-conv2-3"),
        *METHOD,
        *split("--batches 1 --batch-size 20 --jobs 1"),
    ]
    done = here(*words, "--data", str(tmp_path / "images.npz"), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    network = Network.load(tmp_path / "run" / "model.npz")
    assert network.notation == "6x6-mean2-conv2-3" and [
        block.theta.size for block in network.blocks
    ] == [0, 4, 15]
    assert "net             6x6-mean2-conv2-3 on images" in done.stdout


def test_too_large_for_the_community_edition(tmp_path: Path) -> None:
    pytest.importorskip("cplex", reason="the package cplex is not installed")
    if "community" not in run("solvers").stdout.splitlines()[0]:
        pytest.skip("a full edition of CPLEX takes any size")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.random((20, 1200)), y=np.arange(20) % 2)
    # An exact fit by a projection would take no solver.
    words = [
        *split("train --net 1200-2-2 --batches 1 --batch-size 20 --data"),
        str(tmp_path / "wide.npz"),
    ]
    words += [*METHOD, "--tie-break", "none", "--proximity", "0"]
    refused(run(*words, "--solver", "cplex", "--jobs", "1"), "1,000 columns", "auto", "highs")
    assert run(*words, "--jobs", "1").returncode == 0
