"""Runs in which something goes wrong."""

from __future__ import annotations

from shlex import split

SOLVED = split("train --data digits --net 64-3-10 --formulation paper --solver faulty")
SOLVED += split("--batches 4 --batch-size 20 --epochs 1 --postprocess none --quiet")
"""A run in which the solver is asked for everything: in every batch for the weights of three
neurons, which is for workers."""
SMALL = split("train --data digits --net 64-4-10 --batches 3 --epochs 1 --jobs 1 --quiet")
"""A run of a second."""
INTEGER = split("train --method integer --data digits --samples 40 --hidden 3 --jobs 1 --quiet")
HYBRID = split("train --method hybrid --data digits --samples 200 --hidden 4 --rounds 2 --quiet")
HYBRID += ["--epochs", "2"]


def refused(code: int, error: str, *words: str) -> None:
    """Check for exit code 2 and one line on stderr that holds the words."""
    lines = [line for line in error.splitlines() if not line.startswith("data: ")]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("layermilp: "), error
    for word in words:
        assert word in lines[0], lines[0]
