"""Every solver, the same proposals of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Status, propose_inputs
from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.options import SolveOptions
from layermilp.errors import DataError, LayermilpError, OptionError
from layermilp.formulations import (
    MarginRegression,
)
from layermilp.formulations.l1 import hinge_of_inputs
from layermilp.formulations.margin import Margin
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import IntArray, Limits, Program, Result
from tests.conformance.optima import (
    NAN,
    X,
    formulations,
    hinge_optimum,
    margin_loss,
    margin_optimum,
    relu_optimum,
)


def _layer(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights, bias = rng.uniform(-1, 1, (5, 3)), rng.uniform(-0.5, 0.5, 5)
    inputs = np.where(rng.random((12, 3)) < 0.2, 0.0, 2.0 * rng.random((12, 3)))
    targets = np.where(rng.random((12, 5)) < 0.4, 0.0, rng.random((12, 5)))
    return weights, bias, inputs, targets


@pytest.mark.parametrize(
    ("status", "failed", "at_limit"),
    [(Status.NO_SOLUTION_AT_LIMIT, 0, 12), (Status.ERROR, 12, 0)],
)
def test_a_proposal_that_ran_out_of_time_has_not_failed(
    monkeypatch: pytest.MonkeyPatch, status: Status, failed: int, at_limit: int
) -> None:
    def solve(program: Program, solver: str, limits: Limits, options: dict[str, Any]) -> Result:
        return Result(status, solver=solver)

    weights, bias, inputs, targets = _layer(0)
    monkeypatch.setattr("layermilp.algorithms.search.solve", solve)
    proposals = propose(
        inputs,
        lambda part: ReluL1().of_inputs(weights, bias, inputs[part], targets[part]),
        SolveOptions(solver="cbc"),
    )
    found = proposals.statistics
    assert (found.failed, found.at_limit, found.programs) == (failed, at_limit, 12)
    np.testing.assert_array_equal(proposals.inputs, _layer(0)[2])


@formulations
@pytest.mark.parametrize("seed", [0, 1])
def test_hidden_proposals_agree(solver: str, formulation: str, seed: int) -> None:
    weights, bias, inputs, targets = _layer(seed)
    proposed = propose_inputs(
        weights, bias, inputs, targets, formulation=formulation, solver=solver
    )
    assert np.all(proposed >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        proposed <= 1.1 * inputs + 0.1
    )
    found = np.abs(np.maximum(proposed @ weights.T + bias, 0.0) - targets).sum(axis=1)
    alone = [
        ReluL1().of_inputs(weights, bias, inputs[k : k + 1], targets[k : k + 1])
        for k in range(len(inputs))
    ]
    expected = [relu_optimum(problem) for problem in alone]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_last_proposals_agree(solver: str) -> None:
    weights, bias, inputs, _ = _layer(2)
    targets = np.eye(5)[np.arange(12) % 5]
    proposed = propose_inputs(weights, bias, inputs, targets, last_layer=True, solver=solver)
    assert np.all(proposed >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        proposed <= 1.1 * inputs + 0.1
    )
    for k in range(len(inputs)):
        problem = hinge_of_inputs(weights, bias, inputs[k : k + 1], targets[k : k + 1] > 0.5)
        assert problem.loss(proposed[k]) == pytest.approx(
            hinge_optimum(problem), rel=1e-6, abs=1e-6
        )


@pytest.mark.parametrize("last_layer", [False, True], ids=["hidden", "last"])
def test_good_inputs_are_kept(solver: str, last_layer: bool) -> None:
    weights, bias, inputs, _ = _layer(3)
    targets = (
        np.eye(5)[:, :2][np.arange(12) % 2]
        if last_layer
        else np.maximum(inputs @ weights.T + bias, 0.0)
    )
    if last_layer:
        weights, bias, inputs = np.eye(2), np.zeros(2), targets
    proposed = propose_inputs(weights, bias, inputs, targets, last_layer=last_layer, solver=solver)
    np.testing.assert_array_equal(proposed, inputs)


@formulations
@pytest.mark.parametrize("last_layer", [False, True], ids=["hidden", "last"])
def test_proposals_at_a_limit_are_never_worse(
    solver: str, formulation: str, last_layer: bool
) -> None:
    weights, bias, inputs, targets = _layer(4)
    goals = np.eye(5)[np.arange(12) % 5] if last_layer else targets
    proposed = propose_inputs(
        weights,
        bias,
        inputs,
        goals,
        last_layer=last_layer,
        formulation=formulation,
        solver=solver,
        time_limit=1e-6,
    )
    problem = (
        hinge_of_inputs(weights, bias, inputs, goals > 0.5)
        if last_layer
        else ReluL1().of_inputs(weights, bias, inputs, goals)
    )
    before, after = (
        problem.losses(x.reshape(-1)).reshape(12, -1).sum(axis=1) for x in (inputs, proposed)
    )
    assert np.all(after <= before + 1e-9)


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("copies", [1, 10], ids=["one program", "too large for an edition"])
def test_margin_proposals_agree(solver: str, penalty: float, copies: int) -> None:
    weights, bias, inputs, _ = (
        np.tile(part, (copies, 1)) if k == 2 else part for k, part in enumerate(_layer(2))
    )
    labels = np.arange(len(inputs)) % 5
    objective = Margin(penalty)

    def problem_of(part: slice | IntArray) -> MarginRegression:
        return objective.of_inputs(weights, bias, inputs[part], labels[part])

    proposals = propose(inputs, problem_of, SolveOptions(solver=solver))
    proposed = proposals.inputs
    assert proposals.statistics.programs == proposals.statistics.optimal == 12 * copies
    assert np.all(proposed >= np.maximum(0.0, 0.9 * inputs - 0.1)) and np.all(
        proposed <= 1.1 * inputs + 0.1
    )
    for k in range(len(inputs)):
        alone = slice(k, k + 1)
        found = margin_loss(proposed[alone] @ weights.T + bias, labels[alone])
        found += penalty * np.abs(proposed[k] - inputs[k]).sum()
        assert found == pytest.approx(margin_optimum(problem_of(alone)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"inputs": -X}, DataError, r"smallest input is -0\.5"),
        ({"inputs": NAN}, DataError, r"inputs\[1, 1\] is nan"),
        ({"inputs": X[:, :1]}, DataError, r"\(4, 2\), inputs \(3, 1\).*do not fit"),
        ({"targets": np.full((3, 4), -1.0)}, DataError, "smallest target is -1"),
        ({"targets": np.zeros((3, 3))}, DataError, "do not fit"),
        ({"weights": np.full((4, 2), np.nan)}, DataError, r"weights\[0, 0\] is nan"),
        ({"bias": np.zeros(3)}, DataError, r"bias must have shape \(4,\)"),
        ({"bias": np.full(4, np.inf)}, DataError, r"bias\[0\] is inf"),
        ({"last_layer": True, "targets": np.full((3, 4), 0.5)}, DataError, "must be 0 or 1"),
        ({"formulation": "tight"}, OptionError, "tight"),
        ({"solver": "scip"}, OptionError, "scip"),
        ({"time_limit": -1}, OptionError, "time_limit is -1"),
    ],
)
def test_proposals_refuse_bad_input(
    changes: dict[str, Any], error: type[LayermilpError], words: str
) -> None:
    arguments: dict[str, Any] = {"weights": np.eye(4)[:, :2], "bias": np.zeros(4), "inputs": X}
    arguments["targets"] = np.ones((3, 4))
    with pytest.raises(error, match=words) as caught:
        propose_inputs(**{**arguments, **changes})
    assert isinstance(caught.value, ValueError)
