"""The Community Edition of CPLEX."""

from __future__ import annotations

import pytest

from layermilp import solvers
from layermilp.errors import ProgramTooLarge
from layermilp.solvers import SOLVERS, cplex
from tests.conformance.problems import (
    wide,
)


@pytest.fixture
def community(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the community edition of CPLEX is installed, whatever is."""
    monkeypatch.setattr(cplex.Cplex, "is_available", classmethod(lambda cls: True))
    monkeypatch.setattr(cplex, "_is_community", lambda: True)


@pytest.mark.usefixtures("community")
def test_too_large_names_size_and_limit() -> None:
    with pytest.raises(ProgramTooLarge) as caught:
        SOLVERS["cplex"].solve(wide())
    for words in (
        "1001 columns",
        "1 rows",
        "at most 1,000 columns and 1,000 rows (community edition)",
        "highs",
    ):
        assert words in str(caught.value)
    assert SOLVERS["cplex"].size_limit(wide(1000)) is None


@pytest.mark.usefixtures("community")
def test_auto_takes_another_solver_for_a_large_program() -> None:
    if not SOLVERS["highs"].is_available():
        pytest.skip("HiGHS is not installed: needs highspy")
    result = solvers.solve(wide())
    assert result.solver == "highs"
    assert result.objective == pytest.approx(1.0)


def test_edition_is_found_out() -> None:
    if not SOLVERS["cplex"].is_available():
        pytest.skip("CPLEX is not installed: needs cplex")
    expected = "community" if cplex._is_community() else "full"
    assert f"({expected} edition)" in SOLVERS["cplex"].version()
    if expected == "full":
        assert SOLVERS["cplex"].solve(wide()).objective == pytest.approx(1.0)
    else:
        assert SOLVERS["cplex"].size_limit(wide()) is not None
