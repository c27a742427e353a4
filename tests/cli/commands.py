"""Commands as a user types them, in a process of their own, and what a refusal looks like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shlex import split

from tests.common import PATIENCE

METHOD = split("--objective margin --epochs 1 --max-sweeps 2 --average 0.5 --tie-break l2")
"""Options given in full, so that no default decides what is tested here."""
SMALL = [
    "--net",
    "2-3-2",
    *METHOD,
    *split("--postprocess end --batches 3 --batch-size 10 --jobs 1"),
]
LONG = [*split("train --net 64-6-10 --data digits --batches 500 --batch-size 30"), *METHOD]
"""A run that ends because a test interrupts it."""
QUICK = {
    name: split(f"{line} --data digits --quiet")
    for name, line in {
        "dense": "--net 64-4-10 --batches 2 --epochs 2 --max-sweeps 2 --jobs 1",
        "conv": "--net 8x8-mean2-conv2-10 --init positive --batches 1 --epochs 1 --jobs 1",
        "committee": "--net 64-4-10 --batches 2 --epochs 1 --committee 2 --jobs 1",
        "bcd": "--method bcd --net 64-6-10 --samples 200 --sweeps 5 --committee 2 --jobs 1",
        "integer": "--method integer --samples 60 --hidden 3 --jobs 1",
        "hybrid": "--method hybrid --samples 80 --rounds 1 --epochs 2",
        "smt": "--method smt --samples 50 --net 64-8-10",
    }.items()
}
"""Options of a short run of every kind."""
FILES = {"checkpoint.npz", "run.json", "history.jsonl", "model.npz", "summary.json"}
"""What a run leaves in its directory, besides the checkpoint before the newest."""


def run(
    *words: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line; nothing of the user's environment decides where data come from."""
    env = {name: value for name, value in os.environ.items() if name != "LAYERMILP_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "layermilp", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env={**env, **environment},
        check=False,
    )


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check for one line on stderr that holds the words, nothing on stdout, and exit code 2."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("data: ")]
    assert len(lines) == 1 and lines[0].startswith("layermilp: "), done.stderr
    for word in words:
        assert word in lines[0]


def interrupted(words: list[str], out: Path, is_time: Callable[[], bool]) -> tuple[int, str, str]:
    """Interrupt a run when it is time; return its exit code and what it wrote on both streams."""
    with (out.parent / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "layermilp", *words, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not is_time() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does, to every process
        stdout, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout, (out.parent / "stderr").read_text()
