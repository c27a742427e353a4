"""What goes wrong around a run: every row of docs/faults.md has a test here, or names one
elsewhere.

In every case there is one line that says what happened, exit code 2, and what was learned before is
whole."""

from __future__ import annotations

import ast
import contextlib
import errno
import gzip
import io
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty
import numpy as np
import pytest
from patience import PATIENCE

from layermilp import Network, Run, checks, fit_relu_neuron, load_model
from layermilp.checks import memory_bytes
from layermilp.cli import main
from layermilp.datasets import idx
from layermilp.errors import NetworkError, SolverError
from layermilp.networks.files import read_model_file
from layermilp.parallel import Workers
from layermilp.program import Program, Status
from layermilp.runs import keeping
from layermilp.smt import process
from layermilp.smt.method import Tried
from layermilp.solvers import SOLVERS

ROOT = Path(__file__).parents[1]

SOLVED = [
    "train",
    "--data",
    "digits",
    "--net",
    "64-3-10",
    "--formulation",
    "paper",
    "--ridge",
    "0",
    "--solver",
    "faulty",
]
SOLVED += [
    "--batches",
    "4",
    "--batch-size",
    "20",
    "--epochs",
    "1",
    "--postprocess",
    "none",
    "--quiet",
]
"""A run in which the solver is asked for everything: in every batch for the weights of three
neurons, which is for workers."""

AFTER = 3
"""Calls of a worker after which it goes wrong in such a run: after the first batch, and before the
last."""

SMALL = [
    "train",
    "--data",
    "digits",
    "--net",
    "64-4-10",
    "--batches",
    "3",
    "--epochs",
    "1",
    "--jobs",
    "1",
    "--quiet",
]
"""A run of a second."""

LAST = [*SMALL, "--objective", "l1"]
"""The solver is asked for the last layer alone."""

INTEGER = [
    "train",
    "--method",
    "integer",
    "--data",
    "digits",
    "--samples",
    "40",
    "--hidden",
    "3",
    "--jobs",
    "1",
    "--quiet",
]
HYBRID = [
    "train",
    "--method",
    "hybrid",
    "--data",
    "digits",
    "--samples",
    "200",
    "--hidden",
    "4",
    "--rounds",
    "2",
    "--quiet",
]
HYBRID += ["--epochs", "2"]


def refused(code: int, error: str, *words: str) -> None:
    """Check for exit code 2 and one line on stderr that holds the words."""
    lines = [line for line in error.splitlines() if not line.startswith("data: ")]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("layermilp: "), error
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put the faulty solver among the others; the call says what it does, and after how many
    calls."""

    def be(mode: str, after: int = 0, every: int = 1, name: str = "faulty") -> None:
        monkeypatch.setitem(SOLVERS, name, faulty.Faulty())
        monkeypatch.setenv("FAULTY_EVERY", str(every))
        monkeypatch.setattr(faulty.Faulty, "calls", 0)
        monkeypatch.setenv("FAULTY_MODE", mode)
        monkeypatch.setenv("FAULTY_AFTER", str(after))

    return be


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of a run in which nothing goes wrong."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = faulty.run(*SOLVED, "--jobs", "1", "--out", str(out), after=10**9)
    assert done.returncode == 0, done.stderr
    return (out / "model.npz").read_bytes()


def _goes_on(out: Path, whole: bytes) -> None:
    """Check that a run that was cut short keeps its weights, and ends with those of an undisturbed
    run when it is resumed."""
    done = {json.loads(line)["batch"] for line in (out / "history.jsonl").read_text().splitlines()}
    assert done and max(done) < 4
    assert load_model(out / "model.npz").notation == "64-3-10"
    again = faulty.run("train", "--resume", str(out), after=10**9)
    assert again.returncode == 0, again.stderr
    assert (out / "model.npz").read_bytes() == whole


GARBAGE = {
    "raise": r"Faulty failed: RuntimeError: the licence",
    "none": "Faulty failed: AttributeError",
    "words": "Faulty failed: ValueError",
    "ragged": "Faulty failed: ValueError",
    "short": "violates the program by inf",
    "scalar": "violates the program by inf",
    "nan": "violates the program by inf",
    "infeasible": "violates the program by",
    "status": "Faulty failed: ValueError",
}


@pytest.mark.parametrize("mode", GARBAGE)
def test_garbage_is_an_error_and_no_point(mode: str, sick: Callable[..., None]) -> None:
    sick(mode)
    program = Program(np.ones(2), np.ones((1, 2)), np.ones(1), np.ones(1), np.zeros(2), np.ones(2))
    result = SOLVERS["faulty"].solve(program)
    assert result.status is Status.ERROR and result.x is None and np.isnan(result.objective)
    assert result.bound == -np.inf
    assert re.search(GARBAGE[mode], result.message)


def test_a_bound_above_the_objective_proves_nothing(sick: Callable[..., None]) -> None:
    sick("above")
    ends = np.zeros(2), np.ones(2)
    program = Program(
        np.ones(2), np.ones((1, 2)), np.ones(1), np.full(1, np.inf), *ends, np.ones(2, dtype=bool)
    )
    result = SOLVERS["faulty"].solve(program)
    assert result.status is Status.ERROR and result.x is not None
    assert result.objective == 1.0 and result.bound == -np.inf
    assert "the bound 1e+06 is above the objective 1" in result.message


def test_a_fit_keeps_the_best_point_known(sick: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    X, y, start = rng.random((12, 3)), rng.random(12), rng.uniform(-1.0, 1.0, 4)
    sick("raise")
    fit = fit_relu_neuron(X, y, -1.0, 1.0, start=start, solver="faulty", formulation="paper")
    losses = [
        np.abs(np.maximum(X @ theta[:3] + theta[3], 0.0) - y).sum()
        for theta in (fit.parameters, start)
    ]
    assert fit.objective == pytest.approx(losses[0]) and losses[0] <= losses[1] + 1e-9
    assert fit.bound <= fit.objective and fit.status is Status.ERROR


@pytest.mark.parametrize("mode", ["above", "start", "nan", "infeasible"])
def test_a_fit_whose_solver_contradicts_itself_gets_the_answer_of_another(
    mode: str, sick: Callable[..., None]
) -> None:
    rng = np.random.default_rng(0)
    X, y, start = rng.random((12, 3)), rng.random(12), rng.uniform(-1.0, 1.0, 4)
    right = fit_relu_neuron(X, y, -1.0, 1.0, start=start, formulation="paper")
    sick(mode)
    fit = fit_relu_neuron(X, y, -1.0, 1.0, start=start, solver="faulty", formulation="paper")
    assert fit.status is Status.OPTIMAL and fit.objective == pytest.approx(right.objective)
    assert "faulty" not in fit.solver_calls or mode == "start"


def test_programs_that_fail_are_counted_and_training_goes_on(
    tmp_path: Path, sick: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Every second call fails, so that every sweep has some of both."""
    sick("raise", every=2)
    assert main([*SOLVED, "--jobs", "1", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["programs_failed"] < summary["programs_solved"]
    assert f"{summary['programs_failed']} failed" in capfd.readouterr().out


@pytest.mark.parametrize(
    "words", [SOLVED, LAST, INTEGER, HYBRID], ids=["layers", "last", "integer", "hybrid"]
)
def test_a_run_whose_programs_all_fail_ends_with_an_error(
    words: list[str], tmp_path: Path, sick: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where only the last layer is left to the solver; an earlier model stays unless something
    new was learned."""
    sick("raise")
    out = tmp_path / "run"
    out.mkdir()
    Network.dense([64, 10], seed=0).save(out / "model.npz")
    before = (out / "model.npz").read_bytes()
    alone = [] if "hybrid" in words or "--jobs" in words else ["--jobs", "1"]
    code = main([*words, *alone, "--solver", "faulty", "--out", str(out)])
    refused(code, capfd.readouterr().err, "failed")
    if "hybrid" in words:
        assert (out / "history.jsonl").read_text().count('"status": "error"') == 2
    elif "integer" in words:
        load_model(out / "model.npz")
    else:
        assert (out / "model.npz").read_bytes() == before


def test_post_processing_whose_programs_all_fail_says_so(
    tmp_path: Path, sick: Callable[..., None], capfd: Any
) -> None:
    sick("raise")
    Network.dense([64, 4, 10], seed=0).save(tmp_path / "model.npz")
    words = [
        "postprocess",
        str(tmp_path / "model.npz"),
        "--data",
        "digits",
        "--solver",
        "faulty",
        "--jobs",
        "1",
    ]
    refused(
        main([*words, "--out", str(tmp_path / "new.npz")]),
        capfd.readouterr().err,
        "programs of the last layer failed",
    )
    assert not (tmp_path / "new.npz").exists()


@pytest.mark.parametrize("mode", ["segfault", "kill"])
def test_a_worker_that_is_killed_ends_the_run_and_keeps_what_was_learned(
    mode: str, tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "run"
    done = faulty.run(*SOLVED, "--jobs", "2", "--out", str(out), mode=mode, after=AFTER)
    number = {"segfault": "SIGSEGV(-11)", "kill": "SIGKILL(-9)"}[mode]
    refused(
        done.returncode,
        done.stderr,
        "a worker process was killed",
        number,
        f"train --resume {out}` goes on",
    )
    _goes_on(out, whole)


def test_a_worker_that_hangs_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [*SOLVED, "--jobs", "2", "--time-limit", "0.05", "--out", str(out)]
    # With a time limit a batch's single programs are for workers too: five a batch.
    done = faulty.run(*words, mode="hang", after=6, grace=30.0)
    refused(
        done.returncode,
        done.stderr,
        "did not keep the time limit",
        f"train --resume {out}` goes on",
    )
    again = faulty.run("train", "--resume", str(out), after=10**9)
    assert again.returncode == 0, again.stderr


def test_a_committee_keeps_the_members_that_were_done(tmp_path: Path) -> None:
    words = [
        *SOLVED[:5],
        "--committee",
        "4",
        "--batches",
        "1",
        "--batch-size",
        "20",
        "--epochs",
        "1",
        "--solver",
        "faulty",
    ]
    words += ["--objective", "l1", "--postprocess", "none", "--quiet", "--jobs", "2"]
    done = faulty.run(*words, "--out", str(tmp_path / "whole"), after=10**9)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    calls = sum(summary["solver_calls"].values())
    out = tmp_path / "run"
    # One worker has at least half of the members, so it makes as many calls as a member and a half.
    done = faulty.run(*words, "--out", str(out), mode="kill", after=3 * calls // 8)
    refused(done.returncode, done.stderr, "a worker process was killed")
    command = (
        ["train", "--resume", str(out)]
        if (out / "run.json").exists()
        else [*words, "--out", str(out)]
    )
    again = faulty.run(*command, after=10**9)
    assert again.returncode == 0, again.stderr
    assert (out / "model.npz").read_bytes() == (tmp_path / "whole" / "model.npz").read_bytes()


def test_workers_are_there_again_after_one_was_killed() -> None:
    with pytest.raises(SolverError, match="a worker process was killed"), Workers(2) as workers:
        list(workers.map(_killed, range(4)))
    with Workers(2) as workers:
        assert list(workers.map(abs, range(-3, 0))) == [3, 2, 1]


def _killed(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


@pytest.mark.parametrize(
    ("answer", "words"), [((-11, b""), "exit code -11"), ((0, b"no pickle"), "no answer")]
)
def test_a_crash_of_z3_ends_the_run(
    answer: tuple[int, bytes],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    done = subprocess.CompletedProcess([], answer[0], answer[1], b"")
    monkeypatch.setattr(process, "is_available", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda *given, **options: done)
    command = ["train", "--method", "smt", "--data", "digits", "--net", "64-1-10"]
    command += ["--samples", "30", "--stages", "random,formula", "--out", str(tmp_path), "--quiet"]
    refused(main(command), capfd.readouterr().err, "the process of Z3", words)
    later = Run.resume(tmp_path)
    with pytest.raises(SolverError, match="the process of Z3"):
        later.follow()
    (state,) = later.states
    assert isinstance(state, Tried)
    assert [stage.name for stage in state.records] == ["samples", "random"]


class _Disk:
    """Files on a disk that has room for some more bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def fdopen(self, handle: int, mode: str) -> Any:
        disk = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                disk.room -= memoryview(data).nbytes
                if disk.room < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

        return io.BufferedRandom(File(handle, "r+"), 64)


KEPT = {
    "checkpoint.npz",
    "checkpoint-before.npz",
    "run.json",
    "history.jsonl",
    "model.npz",
    "summary.json",
}


def _is_whole(out: Path) -> None:
    """Check that every file of a run can be read, and nothing else lies around."""
    assert {path.name for path in out.iterdir()} <= KEPT
    load_model(out / "model.npz")
    for path in out.glob("checkpoint*"):
        assert read_model_file(path).format == "layermilp.checkpoint"
    for line in (out / "history.jsonl").read_text().splitlines():
        json.loads(line)
    for name in ("summary.json", "run.json"):
        json.loads((out / name).read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The directory of a finished run, and the models that it and another run with other options
    end with."""
    place = tmp_path_factory.mktemp("runs")
    for seed in ("0", "1"):
        assert main([*SMALL, "--seed", seed, "--out", str(place / seed)]) == 0
    return place / "0", {seed: (place / seed / "model.npz").read_bytes() for seed in ("0", "1")}


def _resumed(out: Path, models: dict[str, bytes]) -> None:
    """Check that whichever run the directory is of goes on, and ends as if nothing had happened."""
    seed = json.loads((out / "run.json").read_text())["options"]["seed"]
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "model.npz").read_bytes() == models[str(seed)]


@pytest.mark.parametrize("share", np.linspace(0.0, 0.97, 16).round(2))
def test_a_disk_that_fills_up_at_any_point_leaves_whole_files(
    share: float,
    runs: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Into the directory of a finished run another one is written; the disk is full after a share
    of what it writes."""
    monkeypatch.setattr(keeping, "MOST_SHARE", math.inf)  # every checkpoint is written
    everything = _Disk(10**9)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", everything.fdopen)
        assert main([*SMALL, "--seed", "1", "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "run"
    shutil.copytree(runs[0], out)
    capfd.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", _Disk(int(share * (10**9 - everything.room))).fdopen)
        code = main([*SMALL, "--seed", "1", "--out", str(out)])
    refused(code, capfd.readouterr().err, "cannot write", "No space left on device")
    _is_whole(out)
    _resumed(out, runs[1])


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(
    runs: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """The kernel itself refuses to write on."""
    out = tmp_path / "run"
    shutil.copytree(runs[0], out)
    done = faulty.run(*SMALL, "--seed", "1", "--out", str(out), limits={"RLIMIT_FSIZE": 2048})
    refused(done.returncode, done.stderr, "cannot write", "File too large")
    _is_whole(out)
    _resumed(out, runs[1])


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    place = tmp_path / "tiny"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("A REAL FULL DISK IS NOT TESTED: it takes root to mount a small one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_that_is_full(
    tiny: Path, runs: tuple[Path, dict[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    out = tiny / "run"
    shutil.copytree(runs[0], out)
    with (tiny / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    refused(
        main([*SMALL, "--seed", "1", "--out", str(out)]),
        capfd.readouterr().err,
        "cannot write",
        "No space left on device",
    )
    _is_whole(out)
    (tiny / "filling").unlink()
    _resumed(out, runs[1])


NOWHERE = Path("/proc/self")
"""A directory in which not even root can make a file."""


@pytest.mark.skipif(not NOWHERE.is_dir(), reason="there is no /proc")
def test_a_directory_that_takes_no_files_is_refused_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Network.dense([64, 4, 10], seed=0).save(tmp_path / "model.npz")
    model, table = str(tmp_path / "model.npz"), tmp_path / "table.csv"
    table.write_text(",".join(f"p{i}" for i in range(64)) + "\n" + ",".join(["0"] * 64) + "\n")
    for method in (
        SMALL,
        INTEGER,
        HYBRID,
        ["train", "--method", "smt", "--data", "digits", "--quiet"],
    ):
        refused(
            main([*method, "--out", str(NOWHERE)]),
            capfd.readouterr().err,
            f"cannot write {NOWHERE}",
        )
        refused(
            main([*method, "--out", str(NOWHERE / "run")]),
            capfd.readouterr().err,
            "cannot make the directory",
        )
    words = ["postprocess", model, "--data", "digits", "--out", str(NOWHERE / "model.npz")]
    refused(main(words), capfd.readouterr().err, f"cannot write {NOWHERE}")
    code = main(["predict", model, str(table), "--out", str(NOWHERE / "y")])
    refused(code, capfd.readouterr().err, f"cannot write {NOWHERE}")


@pytest.mark.parametrize("files_first", [1, 3, 5])
def test_a_directory_that_becomes_read_only_keeps_its_files(
    files_first: int,
    runs: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, made, make = tmp_path / "run", [0], tempfile.mkstemp
    shutil.copytree(runs[0], out)

    def refuse(*given: Any, **options: Any) -> Any:
        made[0] += 1
        if made[0] > files_first:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return make(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        refused(
            main([*SMALL, "--seed", "1", "--out", str(out)]),
            capfd.readouterr().err,
            "Read-only file system",
        )
    _is_whole(out)
    _resumed(out, runs[1])


MANY = "1" + 12 * "0"

OPTIONS = [
    ["--net", "784-999999999-10"],
    ["--net", "64-999999999999999999-10"],
    ["--net", "64x99999999-conv3-10"],
    ["--net", "-".join(["64", *["1"] * 40_000, "10"])],
    *(
        ["--net", "64-8-10", f"--{name}", MANY]
        for name in ("batch-size", "batches", "epochs", "max-sweeps", "committee")
    ),
    ["--net", "64-8-10", "--init-trials", MANY],
    ["--net", "64-8-10", "--batches", "2000000000", "--batch-size", "2000000000"],
    ["--net", "64-5000-10", "--committee", "10000"],
    ["--net", "64-8-10", "--jobs", "1000000"],
    ["--net", "64-8-10", "--node-limit", MANY],
    *(
        ["--method", "integer", f"--{name}", MANY]
        for name in ("hidden", "bound", "samples", "batch-size", "epochs", "jobs")
    ),
    ["--method", "integer", "--hidden", "-".join(["1"] * 40_000)],
    ["--method", "integer", "--hidden", "999999999"],
    *(
        ["--method", "hybrid", f"--{name}", MANY]
        for name in ("hidden", "samples", "rounds", "epochs", "patience", "seed")
    ),
    *(
        ["--method", "hybrid", f"--{name}", MANY]
        for name in ("batch-size", "solver-samples", "keep")
    ),
    ["--method", "hybrid", "--hidden", "-".join(["1"] * 40_000)],
    ["--method", "hybrid", "--hidden", "999999999"],
    ["--method", "smt", "--net", "64-999999999-10"],
    ["--method", "smt", "--net", "-".join(["64", *["1"] * 40_000, "10"])],
    *(["--method", "smt", f"--{name}", MANY] for name in ("samples", "rounds", "seed")),
]
"""What asks for more than there is, of every method."""

LIMIT = 4 * 2**30

PROBE = """
import contextlib, io, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from layermilp.cli import main
for words in json.load(sys.stdin):
    began, said = time.perf_counter(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
    # Not that of getrusage, which a process inherits from the one that started it.
    status = open("/proc/self/status", encoding="utf-8").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps([code, said.getvalue(), peak, time.perf_counter() - began]), flush=True)
"""
"""Runs commands one after the other in a process with limited memory; says how each ended and how
much was taken so far."""


def _probed(commands: list[list[str]]) -> list[tuple[int, str, int, float]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(LIMIT)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(answers) == len(commands), (
        commands[len(answers)],
        done.stderr,
    )
    return answers


def test_absurd_options_are_refused_before_memory_is_taken() -> None:
    commands = [["train", "--data", "digits", "--quiet", *words] for words in OPTIONS]
    for words, (code, error, peak, _) in zip(commands, _probed(commands), strict=True):
        refused(code, error)
        assert peak < 2**30, (words, peak)


def test_absurd_files_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    model, table = tmp_path / "model.npz", tmp_path / "wide.csv"
    network = Network.dense([64, 4, 10], seed=0)
    network.save(model)
    arrays = dict(read_model_file(model).arrays)
    commands = []
    for name, change in {
        "blocks": {"n_blocks": np.array(10**9)},
        "members": {
            "format": np.array("layermilp.committee"),
            "version": np.array(1),
            "n_networks": np.array(10**9),
        },
        "layers": {
            "format": np.array("layermilp.integer"),
            "version": np.array(1),
            "bound": np.array(1),
        }
        | {f"theta{i}": np.zeros((1, 2), dtype=np.int8) for i in range(2000)}
        | {"classes": np.array([0])},
        "decision": {"decision": np.array("x" * 10**6)},
        "shape": {"weights_0": np.zeros((0, 10**12))},
    }.items():
        changed: dict[str, Any] = {**arrays, **change}
        np.savez_compressed(tmp_path / f"{name}.npz", **changed)
        commands += _uses(tmp_path / f"{name}.npz")
    _archive(tmp_path / "claim.npz", _header((10**12, 64)))
    _archive(tmp_path / "empty.npz", _header((10**12, 64), "<V0"))
    _archive(tmp_path / "bomb.npz", _header((400 * 2**20, 1), "|u1"), 400 * 2**20)
    for name in ("claim", "empty", "bomb"):
        commands += _uses(tmp_path / f"{name}.npz")
        commands.append(["predict", str(model), str(tmp_path / f"{name}.npz")])
        commands += [
            ["train", "--method", method, "--data", str(tmp_path / f"{name}.npz"), "--quiet"]
            for method in METHODS
        ]
    table.write_text(
        ",".join([*(f"c{i}" for i in range(500_000)), "label"])
        + "\n"
        + 2 * (500_000 * "0," + "1\n")
    )
    commands += [
        ["evaluate", str(model), "--data", str(table)],
        ["predict", str(model), str(table)],
    ]
    commands.append(
        ["train", "--method", "integer", "--hidden", "2000", "--data", str(table), "--quiet"]
    )
    long = tmp_path / "labels.csv"
    long.write_text("a,label\n1," + "x" * 100_000 + "\n" + "1,y\n" * 20_000)
    commands.append(["data", str(long)])
    for name, header in {
        "claims": (2**32 - 1, 2**32 - 1, 2**32 - 1),
        "many": (2**20, 28, 28),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in idx.FILE_NAMES:
            with gzip.open(folder / f"{file}.gz", "wb", compresslevel=1) as content:
                sides = header if "images" in file else header[:1]
                content.write(
                    bytes([0, 0, 8, len(sides)])
                    + struct.pack(f">{len(sides)}I", *sides)
                    + bytes(2**20)
                )
        commands += [["data", str(folder)], ["evaluate", str(model), "--data", str(folder)]]
    for words, (code, error, peak, _) in zip(commands, _probed(commands), strict=True):
        assert (
            code == 2
            and "Traceback" not in error
            and error.splitlines()[-1].startswith("layermilp: ")
        ), (words, error)
        assert peak < 2**30, (words, peak)


METHODS = ("layerwise", "integer", "hybrid", "smt")


def _uses(model: Path) -> list[list[str]]:
    """Return every command that reads a model."""
    others = [["evaluate"], ["verify"], ["postprocess", "--out", str(model.with_name("new.npz"))]]
    return [
        ["predict", str(model), str(model)],
        *([name, str(model), "--data", "digits", *rest] for name, *rest in others),
    ]


def _header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _archive(path: Path, header: bytes, zeros: int = 0) -> None:
    """Write an archive of arrays X, y and format with a header, and zeros after it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("X.npy", "y.npy", "format.npy"):
            with archive.open(name, "w") as member:
                member.write(header)
                for _ in range(zeros // 2**20):
                    member.write(bytes(2**20))


TABLE = ROOT / "docs" / "faults.md"


def _tests_of(path: Path) -> set[str]:
    return {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("300000000\n")
    none.write_text("max\n")
    whole = memory_bytes()
    for places, memory in (
        ((none, tmp_path / "missing"), whole),
        ((none, limit), min(whole, 300_000_000)),
    ):
        monkeypatch.setattr(checks, "CONTAINER_LIMITS", tuple(map(str, places)))
        assert memory_bytes() == memory
    with pytest.raises(NetworkError, match="memory"):
        Network.dense([784, 10_000, 10])


def test_every_fault_has_a_test_and_every_test_a_row() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE.read_text())
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10 and all(re.search(r"`tests/[\w/]+\.py::test_\w+`", row) for row in rows)
    for file, test in named:
        assert test in _tests_of(ROOT / file), (file, test)
    for file in ("tests/test_faults.py", "tests/test_fuzz.py"):
        tests = {test for test in _tests_of(ROOT / file) if test.startswith("test_")}
        assert tests - {test for where, test in named if where == file} == set()
