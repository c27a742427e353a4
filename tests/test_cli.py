"""The command line as a user types it: a process of its own, its output, its exit code, and what it leaves behind."""

from __future__ import annotations

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from layermilp import Network

SMALL = ["--net", "2-3-2", "--batches", "3", "--batch-size", "10", "--jobs", "1"]


def run(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line; nothing of the user's environment decides where data come from."""
    env = {name: value for name, value in os.environ.items() if name != "LAYERMILP_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "layermilp", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**env, **environment},
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check for one line on stderr that holds the words, nothing on stdout, and exit code 2."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("data: ")]
    assert len(lines) == 1 and lines[0].startswith("layermilp: "), done.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two separable classes with text labels, 40 samples."""
    rng = np.random.default_rng(0)
    X = rng.random((40, 2)).round(3)
    path = tmp_path / "points.csv"
    lines = [f"{a},{b},{'right' if a > b else 'left'}" for a, b in X]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path


def test_train_evaluate_predict(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run("train", *SMALL, "--data", str(table), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "train accuracy" in done.stdout and "test accuracy   none" in done.stdout
    assert done.stderr.splitlines()[0] == f"data: table from {table}"
    assert [line.split(":")[0] for line in done.stderr.splitlines()[1:]] == ["batch 1/3", "batch 2/3", "batch 3/3"]
    assert sorted(path.name for path in out.iterdir()) == ["history.jsonl", "model.npz", "summary.json"]

    summary = json.loads((out / "summary.json").read_text())
    wanted = (
        "data net seed solver solver_version formulation batches batch_accuracy seen_accuracy train_accuracy test_accuracy "
        "wall_seconds programs_solved programs_optimal programs_at_limit largest_gap"
    )
    assert set(wanted.split()) <= set(summary)
    assert summary["net"] == "2-3-2" and summary["batches"] == 3 and summary["test_accuracy"] is None
    counted = summary["programs_optimal"] + summary["programs_at_limit"] + summary["programs_failed"]
    assert counted == summary["programs_solved"] > 0

    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert len(history) == summary["sweeps"]
    assert [record["batch"] for record in history] == sorted(record["batch"] for record in history)

    model = str(out / "model.npz")
    scored = run("evaluate", model, "--data", str(table), "--json")
    assert json.loads(scored.stdout)["train_accuracy"] == summary["train_accuracy"]

    labels = run("predict", model, str(table)).stdout.split()
    truth = [line.split(",")[2] for line in table.read_text().splitlines()[1:]]
    assert np.mean(np.array(labels) == np.array(truth)) == summary["train_accuracy"]
    assert run("predict", model, str(table), "--out", str(tmp_path / "labels.txt")).stdout == ""
    assert (tmp_path / "labels.txt").read_text().split() == labels


def test_unlabelled_samples_are_predicted(table: Path, tmp_path: Path) -> None:
    Network.dense([2, 2], seed=1).save(tmp_path / "m.npz")
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rsplit(",", 1)[0] for line in table.read_text().splitlines()))
    with_labels, without = (run("predict", str(tmp_path / "m.npz"), str(path)).stdout for path in (table, bare))
    assert with_labels == without and len(without.split()) == 40


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
    assert (tmp_path / "1" / "model.npz").read_bytes() == (tmp_path / "2" / "model.npz").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--net", "3-3-2"], "3 inputs"),
        (["--net", "2-3-5"], "end --net with 2"),
        (["--net", "2-x-2"], "'2-x-2'"),
        (["--net", "2"], "784-8-10"),
        (["--net", "2-0-2"], "0 is not a layer size"),
        (["--solver", "gurobi"], "'gurobi'"),
        (["--formulation", "big"], "'big'"),
        (["--init", "zeros"], "'zeros'"),
        (["--batches", "0"], "batches is 0"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--batch-size", "41"], "41"),
        (["--jobs", "0"], "n_jobs is 0"),
        (["--seed", "-1"], "seed is -1"),
        (["--gap", "-1"], "gap is -1.0"),
        (["--time-limit", "0"], "time_limit is 0.0"),
        (["--node-limit", "0"], "node_limit is 0"),
        (["--label-column", "class"], "'class'"),
        (["--batches", "x"], "--batches"),
        (["--solver-option", "threads"], "NAME=VALUE"),
        (["--solver-option", "threads=2"], "need that solver to be named"),
        (["--solver", "highs", "--solver-option", "no_such=1"], "no_such"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "fashion"], "'fashion'"),
    ],
)
def test_bad_options_are_refused_in_one_line(table: Path, tmp_path: Path, words: list[str], message: str) -> None:
    out = tmp_path / "run"
    refused(run("train", *SMALL, "--data", str(table), "--out", str(out), *words), message)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("cell", "message"), [("nan", "nan"), ("-0.5", "non-negative"), ("inf", "inf"), ("abc", "'abc'"), ("", "empty")]
)
def test_bad_values_are_refused_in_one_line(tmp_path: Path, cell: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b,label\n" + "0.1,0.2,0\n" * 10 + f"{cell},0.3,1\n")
    refused(run("train", *SMALL, "--data", str(path)), message)


def test_unknown_labels_are_refused(table: Path, tmp_path: Path) -> None:
    Network.dense([2, 2], seed=0).save(tmp_path / "m.npz")
    refused(run("evaluate", str(tmp_path / "m.npz"), "--data", str(table)), "none of the network's 2 classes")


def test_unwritable_directory_is_refused_before_training(table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file")), "cannot make the directory")
    refused(run("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file" / "x")), "cannot make the directory")


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 broken"])
def test_foreign_models_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    refused(run("evaluate", str(tmp_path / "m.npz"), "--data", "digits"), "m.npz")
    refused(run("evaluate", str(tmp_path / "missing.npz"), "--data", "digits"), "missing.npz")


def _idx(shape: tuple[int, ...], payload: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + payload


def _four_files(directory: Path, train_images: bytes) -> None:
    directory.mkdir()
    for name, content in (
        ("train-images-idx3-ubyte", train_images),
        ("train-labels-idx1-ubyte", _idx((2,), b"\0\1")),
        ("t10k-images-idx3-ubyte", _idx((2, 28, 28), bytes(2 * 784))),
        ("t10k-labels-idx1-ubyte", _idx((2,), b"\0\1")),
    ):
        (directory / f"{name}.gz").write_bytes(gzip.compress(content))


def test_corrupt_idx_and_wrong_checksum_are_refused(tmp_path: Path) -> None:
    _four_files(tmp_path / "cut", _idx((2, 28, 28), bytes(784)))
    refused(run("train", "--data", "mnist", "--data-dir", str(tmp_path / "cut")), "train-images-idx3-ubyte")
    _four_files(tmp_path / "other", _idx((2, 28, 28), bytes(2 * 784)))
    refused(run("train", "--data", "mnist", "--data-dir", str(tmp_path / "other")), "SHA-256")
    refused(run("train", "--data", "mnist", "--data-dir", str(tmp_path / "none")), "none")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interruption_keeps_what_was_learned(tmp_path: Path, jobs: str) -> None:
    out = tmp_path / "run"
    words = ["train", "--net", "64-6-10", "--batches", "500", "--batch-size", "30", "--data", "digits", "--jobs", jobs]
    process = subprocess.Popen(
        [sys.executable, "-m", "layermilp", *words, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (out / "summary.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does, to every process
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted: these are the best weights so far" in stdout
    assert "Traceback" not in stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"] and summary["sweeps"] >= 1
    assert len((out / "history.jsonl").read_text().splitlines()) == summary["sweeps"]
    assert Network.load(out / "model.npz").notation == "64-6-10"
    assert sorted(path.name for path in out.iterdir()) == ["history.jsonl", "model.npz", "summary.json"]


def test_solvers_and_data_are_listed(tmp_path: Path) -> None:
    listed = run("solvers")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["cplex", "highs", "cbc"]
    catalogue = run("data", XDG_CACHE_HOME=str(tmp_path))
    assert "digits" in catalogue.stdout and "mnist" in catalogue.stdout
    assert "1,500 training and 297 test samples, 64 inputs, 10 classes" in run("data", "digits").stdout


def test_too_large_for_the_community_edition(tmp_path: Path) -> None:
    pytest.importorskip("cplex", reason="the package cplex is not installed")
    if "community" not in run("solvers").stdout.splitlines()[0]:
        pytest.skip("a full edition of CPLEX takes any size")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.random((20, 1200)), y=np.arange(20) % 2)
    words = ["train", "--net", "1200-2-2", "--batches", "1", "--batch-size", "20", "--data", str(tmp_path / "wide.npz")]
    refused(run(*words, "--solver", "cplex", "--jobs", "1"), "1,000 columns", "auto", "highs")
    assert run(*words, "--jobs", "1").returncode == 0


def test_help_and_version() -> None:
    assert run("--version").stdout.startswith("layermilp 0.")
    text = run("train", "--help").stdout
    options = "net batches batch-size data data-dir seed solver formulation time-limit gap jobs init out quiet verbose"
    for option in (f"--{name}" for name in options.split(" ")):
        assert option in text
    refused(run("trian"), "trian")
