"""CBC's process: crashes, limits, damaged answers."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from layermilp import fit_relu_neuron
from layermilp.errors import SolverNotAvailable
from layermilp.program import Limits, Status
from layermilp.solvers import SOLVERS, cbc
from tests.common import PATIENCE
from tests.conformance.problems import (
    knapsack,
)

needs_shell = pytest.mark.skipif(
    sys.platform == "win32", reason="the stand-in for CBC is a shell script"
)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a shell script in CBC's place and returns the folder for
    temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(cbc, "GRACE", 0.2)

    def install(script: str) -> Path:
        path = tmp_path / "cbc"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.setattr(cbc, "_find_executable", lambda: path)
        return temporary

    return install


@needs_shell
def test_crash_of_cbc_is_an_error(stand_in: Callable[[str], Path]) -> None:
    temporary = stand_in("echo out of luck; exit 3")
    result = SOLVERS["cbc"].solve(knapsack())
    assert result.status is Status.ERROR and result.x is None
    assert "exit code 3" in result.message and "out of luck" in result.message
    assert list(temporary.iterdir()) == []


@needs_shell
@pytest.mark.parametrize("written", ["", "Optimal - objective value 0"], ids=["nothing", "half"])
@pytest.mark.parametrize(
    ("limit", "status"),
    [
        (None, Status.ERROR),
        (PATIENCE, Status.ERROR),
        (0.2, Status.NO_SOLUTION_AT_LIMIT),
        (1e-6, Status.NO_SOLUTION_AT_LIMIT),
    ],
)
def test_a_crash_of_cbc_after_its_time_limit_is_the_limit(
    stand_in: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    limit: float | None,
    status: Status,
) -> None:
    """At very short limits CBC ends by a segmentation fault when its time is up."""
    monkeypatch.setattr(cbc, "GRACE", PATIENCE)
    temporary = stand_in(
        f"echo {written} > solution.txt; sleep 0.25; echo time is up; kill -SEGV $$"
    )
    result = SOLVERS["cbc"].solve(knapsack(), Limits(time_limit=limit))
    assert result.status is status and result.x is None, result
    assert written or ("exit code -11" in result.message and "time is up" in result.message)
    assert list(temporary.iterdir()) == []


@needs_shell
def test_a_fit_whose_solver_crashes_at_the_time_limit_has_not_failed(
    stand_in: Callable[[str], Path],
) -> None:
    stand_in("sleep 0.1; kill -SEGV $$")
    x, t = np.random.default_rng(0).random((2, 9, 2))
    for formulation in ("reduced", "paper"):
        fit = fit_relu_neuron(
            x, t[:, 0], -1, 1, solver="cbc", formulation=formulation, time_limit=1e-6
        )
        assert fit.status is Status.FEASIBLE_AT_LIMIT and fit.message == "", fit


@needs_shell
def test_cbc_that_does_not_stop_is_killed(stand_in: Callable[[str], Path]) -> None:
    temporary = stand_in("trap '' INT; while :; do sleep 0.05; done")
    result = SOLVERS["cbc"].solve(knapsack(), Limits(time_limit=0.1))
    assert result.status is Status.NO_SOLUTION_AT_LIMIT and result.x is None
    # A shell that was not there yet does not know that it is to ignore interruptions.
    assert re.search("(killed|interrupted) after its time limit", result.message)
    assert list(temporary.iterdir()) == []


@needs_shell
@pytest.mark.parametrize(
    ("limit", "status"),
    [(PATIENCE, Status.INFEASIBLE), (0.3, Status.NO_SOLUTION_AT_LIMIT)],
    ids=["early", "late"],
)
def test_infeasible_near_the_limit_is_not_believed(
    stand_in: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    limit: float,
    status: Status,
) -> None:
    monkeypatch.setattr(cbc, "GRACE", PATIENCE)
    stand_in("sleep 0.2; echo 'Integer infeasible - objective value 0' > solution.txt")
    assert SOLVERS["cbc"].solve(knapsack(), Limits(time_limit=limit)).status is status


@needs_shell
@pytest.mark.parametrize("content", ["", "short", "x" * 500])
def test_damaged_solution_of_cbc_is_an_error(stand_in: Callable[[str], Path], content: str) -> None:
    stand_in(
        f"echo 'Optimal - objective value 0' > solution.txt; printf '{content}' > solution.bin"
    )
    result = SOLVERS["cbc"].solve(knapsack())
    assert result.status is Status.ERROR and result.x is None


def test_missing_cbc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cbc, "_find_executable", lambda: None)
    assert not SOLVERS["cbc"].is_available()
    with pytest.raises(SolverNotAvailable, match="cbc"):
        SOLVERS["cbc"].solve(knapsack())
    with pytest.raises(SolverNotAvailable, match="pulp<4"):
        SOLVERS["cbc"].version()
