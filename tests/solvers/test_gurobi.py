"""Licences and editions of Gurobi."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from layermilp import solvers
from layermilp.errors import ProgramTooLarge, SolverNotAvailable
from layermilp.solvers import SOLVERS, gurobi
from tests.conformance.problems import (
    knapsack,
    missing,
    wide,
)


@pytest.fixture
def unlicensed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Gurobi find its licence expired."""
    gurobipy = pytest.importorskip("gurobipy", reason="Gurobi is not installed: needs gurobipy")

    class Environment(gurobipy.Env):  # type: ignore[misc, name-defined]
        def start(self) -> None:
            raise gurobipy.GurobiError(gurobipy.GRB.Error.NO_LICENSE, "License expired\n2020-01-01")

    gurobi._is_restricted.cache_clear()
    monkeypatch.setattr(gurobipy, "Env", Environment)
    yield
    gurobi._is_restricted.cache_clear()


@pytest.mark.usefixtures("unlicensed")
def test_an_expired_licence_of_gurobi_is_named() -> None:
    with pytest.raises(SolverNotAvailable, match="License expired 2020-01-01"):
        SOLVERS["gurobi"].solve(knapsack())
    assert "License expired" in SOLVERS["gurobi"].version()
    assert solvers.solve(knapsack()).solver != "gurobi"


def test_edition_of_gurobi_is_found_out() -> None:
    why = missing("gurobi")
    if why is not None:
        pytest.skip(why)
    solver, inside, outside = SOLVERS["gurobi"], wide(2000), wide(2001)
    # A row with two bounds is one column more for Gurobi.
    ranged = replace(inside, row_upper=np.array([1500.0]))
    assert solver.size_limit(inside) is None and solver.solve(inside).objective == pytest.approx(
        1.0
    )
    if solver.size_limit(outside) is None:
        assert "full edition" in solver.version() and solver.solve(
            outside
        ).objective == pytest.approx(1.0)
        return
    assert "restricted edition" in solver.version()
    for program in (outside, ranged):
        with pytest.raises(ProgramTooLarge, match=r"at most 2,000 columns.*restricted edition"):
            solver.solve(program)
