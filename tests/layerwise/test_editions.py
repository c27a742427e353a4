"""What an edition does not take is found out before the first program, and what it says it takes it
does take."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from layermilp import Network, train
from layermilp.algorithms.statistics import Statistics
from layermilp.errors import ProgramTooLarge
from layermilp.layerwise.editions import check_edition
from layermilp.layerwise.options import Sweeps
from layermilp.program import Program
from layermilp.solvers import SOLVERS
from layermilp.solvers.highs import Highs


class Small(Highs):
    """HiGHS with an edition."""

    name, title = "small", "Small"
    largest: int = 150

    def size_limit(self, program: Program) -> str | None:
        """Return the limit, if it is exceeded."""
        is_larger = max(program.n_columns, program.n_rows) > self.largest
        return f"at most {self.largest} columns and rows" if is_larger else None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> type[Small]:
    """Register the solver."""
    monkeypatch.setitem(SOLVERS, "small", Small())
    return Small


def trained(classes: int = 3, **options: Any) -> tuple[Statistics, dict[str, Statistics]]:
    """Train a small network; return what was solved."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 6)), np.arange(60) % classes
    given: dict[str, Any] = {"batches": 2, "epochs": 1, "n_jobs": 1, "seed": 0, "solver": "small"}
    network = Network.dense([6, 4, 4, classes], seed=0)
    found = train(network, X, y, **given | options)
    return found.tally, dict(found.purposes)


def test_a_run_whose_programs_are_too_large_is_refused_before_the_first(
    small: type[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Small, "_solve", None)  # never called
    with pytest.raises(ProgramTooLarge) as refused:
        trained(batch_size=30)
    words = str(refused.value)
    assert "the programs of layer 1 have up to" in words and "at most 150 columns" in words
    assert "batches of at most" in words and "'auto'" in words


@pytest.mark.parametrize("options", [{}, {"proximity": 0.0}, {"formulation": "paper"}])
def test_the_batch_that_is_named_is_the_largest_that_is_taken(
    options: dict[str, Any], small: type[Small]
) -> None:
    with pytest.raises(ProgramTooLarge) as refused:
        trained(batch_size=60, batches=1, **options)
    (size,) = map(int, re.findall(r"at most (\d+) samples", str(refused.value)))
    tally, purposes = trained(batch_size=size, node_limit=2, **options)
    assert tally.failed == 0 and purposes["hidden weights"].programs == 16
    assert set(purposes["hidden weights"].solver_calls) <= {"small", "daqp"}
    with pytest.raises(ProgramTooLarge):
        trained(batch_size=size + 1, **options)


def test_linear_programs_of_the_last_layer_go_to_another_solver(small: type[Small]) -> None:
    """With nine classes they have 8 rows a sample, more than a hidden layer's programs."""
    network = Network.dense([6, 4, 4, 9], seed=0)
    settings = Sweeps(solver="small", batch_size=30, proximity=0.0)
    handed_over = check_edition(network, settings, settings.objective_for(network, np.arange(9)))
    assert handed_over is not None and "240 rows, go to" in handed_over
    assert "Small takes at most 150 columns and rows" in handed_over
    tally, purposes = trained(9, batch_size=30, proximity=0.0, node_limit=2)
    assert tally.failed == 0 and purposes["last layer"].programs == 2
    assert "small" not in purposes["last layer"].solver_calls
    assert set(purposes["hidden weights"].solver_calls) <= {"small", "daqp"}
    # Proposals for fewer samples at a time fit.
    assert set(purposes["last inputs"].solver_calls) == {"small"}


def test_where_no_solver_is_named_nothing_is_refused() -> None:
    network = Network.dense([6, 4, 3], seed=0)
    settings = Sweeps(batch_size=100_000)
    assert check_edition(network, settings, settings.objective_for(network, np.arange(3))) is None
