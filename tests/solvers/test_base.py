"""The choice of a solver, and limits that cannot be."""

from __future__ import annotations

import itertools
import math

import pytest

from layermilp import solvers
from layermilp.errors import OptionError, SolverNotAvailable
from layermilp.program import Limits
from layermilp.solvers import SOLVERS
from tests.conformance.problems import (
    knapsack,
)

SUBSETS = [
    some for some in itertools.product((0, 1), repeat=len(SOLVERS)) if 0 < sum(some) < len(some)
]


@pytest.mark.parametrize("installed", SUBSETS)
def test_auto_works_with_each_subset(
    installed: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name, there in zip(SOLVERS, installed, strict=True) if there]
    _install(names, monkeypatch)
    absent = [name for name in SOLVERS if name not in names]
    assert solvers.available() == names
    assert solvers.choose(knapsack()).name == names[0]
    with pytest.raises(SolverNotAvailable, match=absent[0]):
        solvers.choose(knapsack(), absent[0])
    with pytest.raises(SolverNotAvailable, match=absent[0]):
        SOLVERS[absent[0]].solve(knapsack())


def test_auto_without_any_solver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _install([], monkeypatch)
    with pytest.raises(SolverNotAvailable, match="pip install highspy"):
        solvers.solve(knapsack())


def _install(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, solver in SOLVERS.items():
        there = name in names
        monkeypatch.setattr(
            type(solver), "is_available", classmethod(lambda cls, there=there: there)
        )


def test_unknown_solver_is_named() -> None:
    with pytest.raises(OptionError, match="nope"):
        solvers.solve(knapsack(), "nope")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_limit", 0),
        ("time_limit", -1.0),
        ("time_limit", math.nan),
        ("time_limit", math.inf),
        ("time_limit", "3"),
        ("time_limit", True),
        ("gap", -0.1),
        ("gap", math.nan),
        ("node_limit", 0),
        ("node_limit", 1.5),
        ("seed", -1),
        ("seed", 2**31),
        ("threads", 0),
        ("threads", 2000),
    ],
)
def test_limits_are_validated(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]
