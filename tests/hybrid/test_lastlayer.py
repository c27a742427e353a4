"""The last layer's programs against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from layermilp import hybrid
from layermilp.algorithms.tolerances import ERROR_ROOM
from layermilp.errors import DataError, OptionError
from layermilp.hybrid.formulation import LastLayer, margin_count, regression
from layermilp.program import FloatArray, IntArray, Status
from layermilp.solvers import SOLVERS
from tests.conformance.problems import missing
from tests.hybrid.samples import small

EPSILON = 0.1


def fewest_wrong(layer: LastLayer, labels: IntArray) -> int:
    """Enumerate which samples are right; an LP of scipy's says whether they can be."""
    h, theta = layer.extended, layer.theta
    n, p = theta.shape
    box = list(
        zip((theta - layer.radius).reshape(-1), (theta + layer.radius).reshape(-1), strict=True)
    )

    def demands(t: int) -> list[FloatArray]:
        own, rows = np.zeros((n, p)), []
        if n == 1:
            own[0] = h[t] if labels[t] == 1 else -h[t]
            return [own.reshape(-1)]
        own[labels[t]] = h[t]
        for j in range(n):
            if j != labels[t]:
                row = own.copy()
                row[j] -= h[t]
                rows.append(row.reshape(-1))
        return [*rows, own.reshape(-1)] if layer.output == "relu" else rows

    for wrong in range(len(labels) + 1):
        for right in itertools.combinations(range(len(labels)), len(labels) - wrong):
            rows = [row for t in right for row in demands(t)]
            if not rows:
                return wrong
            found = linprog(
                np.zeros(n * p), -np.array(rows), np.full(len(rows), -EPSILON), bounds=box
            )
            if found.status == 0:
                return wrong
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("outputs", "output"),
    [(1, "identity"), (2, "identity"), (3, "identity"), (2, "relu"), (3, "relu")],
)
@pytest.mark.parametrize("seed", range(4))
def test_classification_finds_the_fewest_wrong(seed: int, outputs: int, output: str) -> None:
    h, w, b, labels = small(seed, outputs)
    layer = LastLayer(h, w, b, 0.5, output)
    fit = hybrid.fit_classification(h, w, b, labels, radius=0.5, epsilon=EPSILON, output=output)
    assert fit.status.is_optimal
    assert fit.objective == fit.bound == fewest_wrong(layer, labels) <= fit.start_objective
    assert (
        np.abs(fit.weights - w).max() <= 0.5 + 1e-12
        and np.abs(fit.offsets - b).max() <= 0.5 + 1e-12
    )


def test_the_descent_alone_gains_most_of_what_there_is_to_gain() -> None:
    gained = possible = 0.0
    for seed in range(20):
        h, w, b, labels = small(seed, 3, m=15)
        quick, exact = (
            hybrid.fit_classification(h, w, b, labels, radius=0.5, exact=exact)
            for exact in (False, True)
        )
        assert quick.bound <= exact.objective <= quick.objective <= quick.start_objective
        assert quick.status is (
            Status.OPTIMAL if quick.objective == quick.bound else Status.FEASIBLE_AT_LIMIT
        )
        gained += quick.start_objective - quick.objective
        possible += exact.start_objective - exact.objective
    assert gained >= 0.7 * possible > 0.0


@pytest.mark.parametrize("solver", [name for name in SOLVERS if missing(name) is None])
def test_solvers_agree_on_classification(solver: str) -> None:
    for seed in range(3):
        h, w, b, labels = small(seed, 3, m=12)
        fits = [
            hybrid.fit_classification(h, w, b, labels, radius=0.4, solver=name)
            for name in (solver, "highs")
        ]
        assert fits[0].objective == fits[1].objective


def test_present_weights_that_are_best_stay() -> None:
    """Of equally many samples the nearest weights are taken."""
    h, labels = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])
    fit = hybrid.fit_classification(h, np.eye(2), np.zeros(2), labels, radius=0.5, epsilon=EPSILON)
    assert fit.objective == fit.start_objective == 0.0
    np.testing.assert_allclose(fit.weights, np.eye(2), atol=1e-9)


def test_a_sample_that_is_right_only_at_the_end_of_the_box_is_found() -> None:
    fit = hybrid.fit_classification([[1.0]], [[-0.4]], [-0.4], [1], radius=0.46, epsilon=EPSILON)
    assert (fit.start_objective, fit.objective) == (1.0, 0.0)


def least_total(layer: LastLayer, y: FloatArray, each: bool) -> float:
    """Least sum of errors of a layer of one output: enumerate which ReLUs fire, with LPs of
    scipy's."""
    h, theta = layer.extended, layer.theta[0]
    m, p = h.shape
    errors = np.abs(layer.outputs(layer.theta)[:, 0] - y)
    best = np.inf
    patterns = (
        itertools.product([False, True], repeat=m) if layer.output == "relu" else [(True,) * m]
    )
    for pattern in patterns:
        fires = np.array(pattern)
        # Unknown theta and errors z; where it fires z >= |a - y|, elsewhere a <= 0 and z is |y|.
        rows, right = [], []
        for t in range(m):
            unit = np.zeros(m)
            unit[t] = -1.0
            if fires[t]:
                rows += [np.append(h[t], unit), np.append(-h[t], unit)]
                right += [y[t], -y[t]]
                if layer.output == "relu":
                    rows.append(np.append(-h[t], np.zeros(m)))
                    right.append(0.0)
            else:
                rows += [np.append(h[t], np.zeros(m)), np.append(np.zeros(p), unit)]
                right += [0.0, -abs(y[t])]
        box = [(value - layer.radius, value + layer.radius) for value in theta]
        rooms = ERROR_ROOM * np.maximum(1.0, np.abs(y) + errors)  # as in the program
        caps = [
            (0.0, error + room if each else None) for error, room in zip(errors, rooms, strict=True)
        ]
        found = linprog(
            np.repeat([0.0, 1.0], [p, m]), np.array(rows), np.array(right), bounds=box + caps
        )
        if found.status == 0:
            best = min(best, found.fun)
    return float(best)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), output=st.sampled_from(["identity", "relu"]), each=st.booleans()
)
def test_regression_finds_the_least_total_error(seed: int, output: str, each: bool) -> None:
    h, w, b, _ = small(seed, 1, m=4)
    y = np.random.default_rng((seed, 1)).normal(size=4)
    fit = hybrid.fit_regression(h, w, b, y, radius=0.5, each=each, output=output)
    layer = LastLayer(h, w, b, 0.5, output)
    expected = min(least_total(layer, y, each), fit.start_objective)
    assert fit.objective == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert fit.bound == pytest.approx(fit.objective, rel=1e-6, abs=1e-7)
    assert fit.status.is_optimal and fit.objective <= fit.start_objective


@pytest.mark.parametrize("goal", ["total", "feasible"])
@pytest.mark.parametrize("output", ["identity", "relu"])
def test_no_error_grows(goal: str, output: str) -> None:
    rng = np.random.default_rng(3)
    h, w, b, y = (
        rng.normal(size=(5, 8)),
        rng.normal(size=(2, 8)),
        rng.normal(size=2),
        rng.normal(size=(5, 2)),
    )
    fit = hybrid.fit_regression(h, w, b, y, radius=0.3, goal=goal, output=output)

    def errors(weights: FloatArray, offsets: FloatArray) -> FloatArray:
        sums = h @ weights.T + offsets
        return np.abs((np.maximum(sums, 0.0) if output == "relu" else sums) - y)

    before, after = errors(w, b), errors(fit.weights, fit.offsets)
    assert np.all(after <= before + 1e-5)
    assert fit.objective == pytest.approx(after.sum())
    assert (
        (fit.objective < 0.95 * before.sum())
        if goal == "total"
        else (fit.objective <= before.sum() + 1e-5)
    )


def test_hardly_any_binary_is_spent() -> None:
    rng = np.random.default_rng(0)
    layer = LastLayer(rng.normal(size=(50, 4)), rng.normal(size=(3, 4)), np.zeros(3), 0.01, "relu")
    labels = np.argmax(layer.outputs(layer.theta), axis=1)
    problem = margin_count(layer, labels, 1e-3)
    program = problem.program(problem.start)
    assert program.integrality.sum() < 15  # samples whose margins the box leaves open
    y = np.maximum(layer.outputs(layer.theta), 0.0)
    assert not regression(layer, y, 0, each=True, total=False).is_mip
    assert not regression(
        LastLayer(layer.features, layer.weights, layer.offsets, 0.01), y, 0, each=True, total=True
    ).is_mip


def test_a_limit_keeps_what_was_found() -> None:
    rng = np.random.default_rng(1)
    h, labels = rng.normal(size=(60, 5)), rng.integers(3, size=60)
    w, b = rng.normal(size=(3, 5)), np.zeros(3)
    fit = hybrid.fit_classification(h, w, b, labels, radius=1.0, node_limit=1, solver="highs")
    assert fit.status in (Status.FEASIBLE_AT_LIMIT, Status.OPTIMAL, Status.OPTIMAL_WITHIN_GAP)
    assert fit.bound <= fit.objective <= fit.start_objective


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"features": np.zeros((2, 3))}, DataError, r"features \(2, 3\)"),
        ({"weights": np.full((2, 2), np.nan)}, DataError, "weights hold NaN"),
        ({"labels": [0, 2]}, DataError, "from 0 to 1"),
        ({"labels": [0.0, 1.0]}, DataError, "whole numbers"),
        ({"radius": 0.0}, OptionError, "radius is 0.0"),
        ({"radius": True}, OptionError, "radius is True"),
        ({"epsilon": -1.0}, OptionError, "epsilon is -1.0"),
        ({"output": "tanh"}, OptionError, "'tanh'"),
        (
            {"output": "relu", "weights": np.zeros((1, 2)), "offsets": np.zeros(1)},
            OptionError,
            "by its sign",
        ),
        ({"solver": "gurobee"}, OptionError, "'gurobee'"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], error: type[Exception], words: str) -> None:
    given: dict[str, object] = {
        "features": np.zeros((2, 2)),
        "weights": np.zeros((2, 2)),
        "offsets": np.zeros(2),
        "labels": [0, 1],
        "radius": 1.0,
    } | change
    with pytest.raises(error, match=words):
        hybrid.fit_classification(**given)  # type: ignore[arg-type]


def test_bad_goals_are_named() -> None:
    common = ([[1.0]], [[1.0]], [0.0], [1.0])
    with pytest.raises(OptionError, match="'most'"):
        hybrid.fit_regression(*common, radius=1.0, goal="most")
    with pytest.raises(OptionError, match="asks for nothing"):
        hybrid.fit_regression(*common, radius=1.0, goal="feasible", each=False)
    with pytest.raises(DataError, match="targets have shape"):
        hybrid.fit_regression([[1.0]], [[1.0]], [0.0], [1.0, 2.0], radius=1.0)
