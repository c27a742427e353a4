"""Counts of what was solved: they add up, by kind, purpose and solver, whoever solves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layermilp import Network, Trained, train
from layermilp.algorithms.statistics import KINDS, PURPOSES, Phase, Statistics, Tally
from tests.conformance.problems import missing
from tests.layerwise.samples import digits

COUNTS = st.integers(0, 9)
NAMES = st.dictionaries(st.sampled_from(KINDS), st.integers(1, 9))


@st.composite
def statistics(draw: st.DrawFn) -> Statistics:
    """Draw counts."""
    programs, nodes, gap = draw(COUNTS), draw(COUNTS), draw(st.floats(0.0, 1.0))
    return Statistics(programs=programs, nodes=nodes, largest_gap=gap, kinds=draw(NAMES))


@given(statistics(), statistics())
def test_sums_add_counts_and_take_the_largest_gap(one: Statistics, other: Statistics) -> None:
    both = one + other
    assert both.programs == one.programs + other.programs
    assert both.largest_gap == max(one.largest_gap, other.largest_gap)
    for kind in KINDS:
        counts = [each.kinds.get(kind, 0) for each in (one, other, both)]
        assert counts[2] == counts[0] + counts[1]
    assert one + Statistics() == one


@given(st.lists(st.tuples(st.sampled_from(PURPOSES), statistics())))
def test_a_tally_has_the_phases_by_purpose(found: list[tuple[str, Statistics]]) -> None:
    phases = [
        Phase(layer=1, kind="", purpose=purpose, seconds=1.0, **vars(each))
        for purpose, each in found
    ]
    tally = Tally().with_phases(phases)
    assert tally.total.programs == sum(each.programs for _, each in found)
    assert list(tally.purposes) == [name for name in PURPOSES if name in dict(found)]
    for name, counts in tally.purposes.items():
        assert counts.nodes == sum(each.nodes for purpose, each in found if purpose == name)


def trained(**options: Any) -> Trained:
    """Train two hidden layers on a batch of digits, twice."""
    X, y = digits()
    network = Network.dense([64, 4, 4, 10], init="he", seed=1)
    given: dict[str, Any] = {"batches": 2, "batch_size": 20, "epochs": 1, "n_jobs": 1}
    return train(network, X, y, **given | options)


SOLVERS = ["auto", *(name for name in ("highs", "gurobi", "cbc") if missing(name) is None)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_did_the_work_is_said(solver: str) -> None:
    """Every program has a kind, and the solver that is named solves the weight programs."""
    found = trained(solver=solver, node_limit=3)
    assert list(found.purposes) == list(PURPOSES)
    for counts in (*found.purposes.values(), found.tally):
        assert sum(counts.kinds.values()) == counts.programs and set(counts.kinds) <= set(KINDS)
        assert counts.optimal + counts.at_limit + counts.failed == counts.programs
        assert counts.branched <= counts.programs and counts.branched <= counts.nodes
    weights = found.purposes["hidden weights"]
    assert weights.programs == 16 and weights.kinds["milp"] >= 12
    if solver == "auto":
        assert weights.solver_calls["layermilp"] >= weights.kinds["milp"]
        assert set(weights.solver_calls) <= {"layermilp", "highs", "daqp"}
    else:
        assert weights.solver_calls[solver] >= weights.kinds["milp"]
        assert set(weights.solver_calls) <= {solver, "daqp"}
        assert set(found.purposes["hidden inputs"].solver_calls) == {solver, "layermilp"}
    assert found.purposes["last layer"].kinds == {"lp": 2}
    assert set(found.purposes["last inputs"].kinds) <= {"lp", "not_needed"}
    assert found.purposes["post-processing"].kinds == {"lp": 1}


def test_ridge_regressions_are_no_mixed_integer_programs() -> None:
    weights = trained(weight_fit="ridge").purposes["hidden weights"]
    assert set(weights.kinds) <= {"qp", "not_needed"} and weights.kinds["qp"] > 0
    assert set(weights.solver_calls) == {"daqp"} and weights.nodes == 0


def test_without_a_price_targets_that_can_be_met_take_a_projection() -> None:
    weights = trained(proximity=0.0, tie_break="l2").purposes["hidden weights"]
    assert weights.kinds["qp"] > 0 and weights.solver_calls["daqp"] >= weights.kinds["qp"]


def test_targets_that_are_met_need_no_program() -> None:
    X, y = np.zeros((20, 3)), np.zeros(20, dtype=int)
    network = Network.dense([3, 2, 2], init="he", seed=0)
    settled = network.with_block(1, network.blocks[1].with_theta([0, 0, 2.0, 0, 0, 0.0]))
    found = train(settled, X, y, batches=1, batch_size=20, epochs=1, n_jobs=1, postprocess="none")
    assert found.purposes["last layer"].kinds == {"not_needed": 1}
    assert found.purposes["last inputs"].kinds == {"not_needed": 20}
    assert not found.purposes["last layer"].solver_calls
