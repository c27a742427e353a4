"""Workers that are killed or hang."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from shlex import split

import pytest

from layermilp import load_model
from layermilp.errors import SolverError
from layermilp.parallel import Workers
from tests import faulty
from tests.faults.runs import SOLVED, refused

AFTER = 3
"""Calls of a worker after which it goes wrong in such a run: after the first batch, and before the
last."""


def _goes_on(out: Path, whole: bytes) -> None:
    """Check that a run that was cut short keeps its weights, and ends with those of an undisturbed
    run when it is resumed."""
    done = {json.loads(line)["batch"] for line in (out / "history.jsonl").read_text().splitlines()}
    assert done and max(done) < 4
    assert load_model(out / "model.npz").notation == "64-3-10"
    again = faulty.run("train", "--resume", str(out), after=10**9)
    assert again.returncode == 0, again.stderr
    assert (out / "model.npz").read_bytes() == whole


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
    done = faulty.run(*words, mode="hang", after=6, grace=15.0)
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
        *split("--committee 4 --batches 1 --batch-size 20 --epochs 1 --solver faulty"),
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
