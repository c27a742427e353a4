"""Z3 in a process of its own, which is killed at the time limit: Z3's own limit is a soft one, and
it may stay past it."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layermilp.errors import SolverError, SolverNotAvailable
from layermilp.smt.problem import Problem

MODULES = ("pysmt", "z3")


@dataclass(frozen=True, eq=False)
class Reply:
    """What Z3 says: "sat" with weights of fractions, "unsat", "unknown", or "timeout"; with a
    reason where there is one."""

    answer: str
    weights: tuple[Any, ...] | None = None
    reason: str = ""


def is_available() -> bool:
    """Whether pySMT and Z3 are installed; imports nothing."""
    return all(importlib.util.find_spec(module) is not None for module in MODULES)


def ask(problem: Problem, kind: str, seed: int, seconds: float | None) -> Reply:
    """Ask Z3 whether a formula, by its name in `layermilp.smt.encoding.ENCODINGS`, is satisfiable.
    After so many seconds, in which the formula is built as well, the process is killed.

    Raises
    ------
    SolverNotAvailable
        If pySMT or Z3 is not installed.
    SolverError
        If the process fails.
    """
    if not is_available():
        raise SolverNotAvailable(
            "the SMT formula needs pySMT and Z3; `pip install 'layermilp[smt]'` brings them"
        )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    # On leaving the block by an interrupt, subprocess.run kills the process as well.
    try:
        done = subprocess.run(
            [sys.executable, "-m", "layermilp.smt.worker"],
            input=pickle.dumps((kind, problem, seed)),
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reply("timeout", None, "Z3 was stopped at the time limit")
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().split("\n")
        raise SolverError(
            f"the process of Z3 failed: {lines[-1] or f'exit code {done.returncode}'}"
        )
    try:
        return Reply(*pickle.loads(done.stdout))
    except Exception as error:  # pickle raises anything on bytes that are none of its own
        raise SolverError(f"the process of Z3 answered what is no answer: {error}") from error
