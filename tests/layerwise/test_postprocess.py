"""Post-processing: the optimum of the last layer over many samples, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from layermilp import Block, Network, postprocess, train
from layermilp.errors import DataError, OptionError, SolverError
from layermilp.formulations.l1 import L1
from layermilp.formulations.loss import Box
from layermilp.formulations.margin import Margin
from layermilp.networks.layers import Tied
from layermilp.networks.parameters import ParameterMap
from layermilp.program import FloatArray, IntArray
from tests.layerwise.samples import SAMPLES, clusters


def _tied() -> Block:
    """Return a last layer with shared offsets, a weight shared by two outputs, and fixed
    entries."""
    index = np.array([[0, 1, 2, -1, 9], [3, 4, -1, 5, 9], [6, 7, 2, 8, -1]])
    fixed = np.zeros((3, 5))
    fixed[0, 3], fixed[1, 2], fixed[2, 4] = 0.25, -0.5, 0.125
    return Block(Tied(ParameterMap(index, fixed)), np.linspace(-0.5, 0.5, 10))


def _networks() -> dict[str, Network]:
    hidden = Block.dense(5, 4, seed=1)
    return {
        "dense": Network([hidden, Block.dense(4, 3, init="uniform", seed=2)]),
        "tied": Network([hidden, _tied()]),
        "one layer": Network.dense([5, 3], init="uniform", seed=3),
    }


networks = pytest.mark.parametrize("network", list(_networks().values()), ids=list(_networks()))


def _linear_outputs(network: Network, X: np.ndarray) -> np.ndarray:
    inputs = network.activations(X)[-2]
    return inputs @ network.blocks[-1].weights.T + network.blocks[-1].bias


def _l1_losses(
    network: Network, X: np.ndarray, y: np.ndarray, tolerance: float, ones: np.ndarray
) -> np.ndarray:
    """Return the loss of every output."""
    losses = np.zeros(network.n_outputs)
    for row, label in zip(_linear_outputs(network, X), y, strict=True):
        for j, a in enumerate(row):
            losses[j] += (
                ones[j] * max(0.0, abs(a - 1.0) - tolerance)
                if j == label
                else max(0.0, a - tolerance)
            )
    return losses


def _margin_loss(network: Network, X: np.ndarray, y: np.ndarray) -> float:
    outputs = _linear_outputs(network, X)
    own = outputs[np.arange(len(y)), y].copy()
    outputs[np.arange(len(y)), y] = -np.inf
    return float(np.maximum(1.0 - (own - outputs.max(axis=1)), 0.0).sum())


def _slopes(network: Network, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs at zero ``(m, n)``, and their slopes in every parameter ``(m, n, p)``."""
    last = len(network.blocks) - 1
    block = network.blocks[last]
    moved = [
        network.with_block(last, block.with_theta(theta))
        for theta in [0 * block.theta, *np.eye(block.theta.size)]
    ]
    at_zero, *units = (_linear_outputs(other, X) for other in moved)
    return at_zero, np.stack([unit - at_zero for unit in units], axis=2)


def _l1_optimum(
    network: Network, X: np.ndarray, y: np.ndarray, tolerance: float, ones: np.ndarray, box: float
) -> float:
    """Minimize the loss of all outputs together by one LP with an excess per pair of sample and
    output."""
    at_zero, slopes = _slopes(network, X)
    m, n, p = slopes.shape
    targets = np.eye(n)[y].reshape(-1)
    h, g = slopes.reshape(m * n, p), at_zero.reshape(-1)
    is_one = targets > 0.5
    eye = np.eye(m * n)
    left = np.block([[h, -eye], [-h[is_one], -eye[is_one]]])
    right = np.concatenate([targets + tolerance - g, g[is_one] - 1.0 + tolerance])
    costs = np.concatenate([np.zeros(p), np.where(is_one, np.tile(ones, m), 1.0)])
    answer = linprog(
        costs, left, right, bounds=[*[(-box, box)] * p, *[(0.0, None)] * (m * n)], method="highs"
    )
    assert answer.status == 0, answer.message
    return float(answer.fun)


def _margin_optimum(network: Network, X: np.ndarray, y: np.ndarray, box: float) -> float:
    """Minimize the loss by one LP with a slack per sample."""
    at_zero, slopes = _slopes(network, X)
    m, n, p = slopes.shape
    pairs = [(k, j) for k in range(m) for j in range(n) if j != y[k]]
    left = np.array(
        [np.concatenate([slopes[k, j] - slopes[k, y[k]], -np.eye(m)[k]]) for k, j in pairs]
    )
    right = np.array([at_zero[k, y[k]] - at_zero[k, j] - 1.0 for k, j in pairs])
    ends = [*[(-box, box)] * p, *[(0.0, None)] * m]
    answer = linprog(np.repeat([0.0, 1.0], [p, m]), left, right, bounds=ends, method="highs")
    assert answer.status == 0, answer.message
    return float(answer.fun)


def _last_alone_changed(before: Network, after: Network) -> None:
    assert len(before.blocks) == len(after.blocks)
    for one, other in zip(before.blocks[:-1], after.blocks[:-1], strict=True):
        assert one.theta.tobytes() == other.theta.tobytes()
    old, new = before.blocks[-1], after.blocks[-1]
    assert new.parameters is old.parameters and new.theta.tobytes() != old.theta.tobytes()
    index = old.parameters.index
    assert new.extended[index < 0].tobytes() == old.parameters.fixed[index < 0].tobytes()
    assert after.classes.tolist() == before.classes.tolist()


def _bytes(network: Network) -> list[bytes]:
    return [block.theta.tobytes() for block in network.blocks]


WEIGHTS: dict[str, tuple[Any, Callable[[IntArray], FloatArray]]] = {
    "none": (None, lambda y: np.ones(3)),
    "number": (4.0, lambda y: np.full(3, 4.0)),
    "balanced": (
        "balanced",
        lambda y: np.array([(len(y) - np.sum(y == j)) / np.sum(y == j) for j in range(3)]),
    ),
    "by label": ({0: 9.0, 2: 0.5}, lambda y: np.array([9.0, 1.0, 0.5])),
}


@networks
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("tolerance", [0.0, 0.49])
def test_l1_is_solved_to_its_optimum(network: Network, weights: str, tolerance: float) -> None:
    X, y = clusters()
    class_weight, ones_of = WEIGHTS[weights]
    ones = ones_of(y)
    found = postprocess(
        network,
        X,
        y,
        objective="l1",
        tolerance=tolerance,
        class_weight=class_weight,
        box=1.0,
        n_jobs=1,
    )
    _last_alone_changed(network, found)
    assert found.decision == "closest_to_one"
    assert np.all(np.abs(found.blocks[-1].theta) <= 1.0)
    before, after = (_l1_losses(other, X, y, tolerance, ones) for other in (network, found))
    assert after.sum() <= before.sum() + 1e-9
    assert after.sum() == pytest.approx(_l1_optimum(network, X, y, tolerance, ones, 1.0), rel=1e-6)


@networks
@pytest.mark.parametrize(("box", "samples"), [(1.0, SAMPLES), (5.0, SAMPLES), (1.0, 900)])
def test_margin_is_solved_to_its_optimum(network: Network, box: float, samples: int) -> None:
    X, y = clusters(samples)
    found = postprocess(network, X, y, objective="margin", box=box, n_jobs=1)
    _last_alone_changed(network, found)
    assert found.decision == "argmax"
    assert np.all(np.abs(found.blocks[-1].theta) <= box)
    assert _margin_loss(found, X, y) <= _margin_loss(network, X, y) + 1e-9
    assert _margin_loss(found, X, y) == pytest.approx(_margin_optimum(network, X, y, box), rel=1e-6)


def test_every_output_has_an_optimum_of_its_own() -> None:
    X, y = clusters()
    network = _networks()["dense"]
    found = postprocess(network, X, y, objective="l1", tolerance=0.49, n_jobs=1)
    losses, before = (_l1_losses(other, X, y, 0.49, np.ones(3)) for other in (found, network))
    assert np.all(losses <= before + 1e-9)
    # Only the outputs' sum is compared elsewhere; here any output with another's weights is no
    # better.
    for j in range(3):
        theta = found.blocks[-1].theta.reshape(3, 5).copy()
        for other in (network.blocks[-1].theta.reshape(3, 5)[j], 0.0 * theta[j], 0.9 * theta[j]):
            moved = theta.copy()
            moved[j] = other
            network_moved = found.with_block(1, found.blocks[1].with_theta(moved.reshape(-1)))
            assert _l1_losses(network_moved, X, y, 0.49, np.ones(3))[j] >= losses[j] - 1e-6


@pytest.mark.parametrize("objective", ["l1", "margin"])
def test_an_optimal_layer_is_no_worse_afterwards(objective: str) -> None:
    X, y = clusters()
    once = postprocess(_networks()["dense"], X, y, objective=objective, n_jobs=1)
    again = postprocess(once, X, y, objective=objective, n_jobs=1)
    losses = [
        _margin_loss(network, X, y)
        if objective == "margin"
        else float(_l1_losses(network, X, y, 0.49, np.ones(3)).sum())
        for network in (once, again)
    ]
    assert losses[1] <= losses[0] + 1e-9
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_smaller_boxes_are_kept() -> None:
    X, y = clusters()
    for objective in ("l1", "margin"):
        found = postprocess(_networks()["dense"], X, y, objective=objective, box=0.05, n_jobs=1)
        assert np.all(np.abs(found.blocks[-1].theta) <= 0.05)


def test_objective_follows_the_decision_of_the_network() -> None:
    X, y = clusters()
    network = _networks()["dense"]
    for decision, objective in (("closest_to_one", "l1"), ("argmax", "margin")):
        default, named = (
            postprocess(network.with_decision(decision), X, y, objective=name, n_jobs=1)
            for name in (None, objective)
        )
        assert default.decision == named.decision == decision
        assert _bytes(default) == _bytes(named)


@pytest.mark.parametrize("objective", ["l1", "margin"])
def test_the_same_bytes_for_any_number_of_workers(objective: str) -> None:
    X, y = clusters()
    found = [
        postprocess(_networks()["dense"], X, y, objective=objective, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    assert _bytes(found[0]) == _bytes(found[1])


@pytest.mark.parametrize("solver", ["highs", "cbc", "cplex"])
def test_solvers_agree(solver: str) -> None:
    X, y = clusters(120)
    network, ones = _networks()["dense"], np.ones(3)
    try:
        found = postprocess(network, X, y, objective="l1", solver=solver, box=1.0, n_jobs=1)
    except SolverError as error:
        pytest.skip(str(error))
    expected = _l1_optimum(network, X, y, 0.49, ones, 1.0)
    assert _l1_losses(found, X, y, 0.49, ones).sum() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("objective", ["l1", "margin"])
def test_training_ends_as_postprocessing_does(objective: str) -> None:
    X, y = clusters(100)
    names = np.array(["a", "b", "c"])
    network = Network.dense([5, 3, 3], seed=4).with_classes(names)
    options: dict[str, Any] = {
        "batches": 2,
        "batch_size": 20,
        "epochs": 1,
        "objective": objective,
        "max_sweeps": 2,
        "average": 0.0,
        "tolerance": 0.3,
        "output_box": 1.5,
        "class_weight": "balanced" if objective == "l1" else None,
        "n_jobs": 1,
        "gap": 1e-7,
    }
    plain, whole, seen = (
        train(network, X, names[y], postprocess=when, **options) for when in ("none", "all", "end")
    )
    shared = {
        name: options[name] for name in ("objective", "tolerance", "class_weight", "n_jobs", "gap")
    } | {"box": 1.5}
    by_hand = postprocess(plain.network, X, names[y], **shared)
    assert _bytes(whole.network) == _bytes(by_hand) != _bytes(plain.network)
    assert whole.network.decision == by_hand.decision
    assert _bytes(seen.network)[:-1] == _bytes(plain.network)[:-1]
    # Balanced weights are those of all samples, so only the margin can be compared on a part.
    if objective == "margin":
        by_hand = postprocess(plain.network, X[:40], names[y[:40]], **shared)
        assert _bytes(seen.network) == _bytes(by_hand)


def test_a_layer_without_parameters_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    network = Network([Block.dense(3, 4, seed=1), Block.mean2d(2, 2, 1)])
    for objective in ("l1", "margin"):
        found = postprocess(
            network, rng.random((20, 3)), np.arange(20) % 4, objective=objective, n_jobs=1
        )
        assert _bytes(found) == _bytes(network)


def test_labels_may_be_text_and_classes_missing() -> None:
    X, y = clusters(60)
    names = np.array(["b", "c", "a", "never"])
    network = Network.dense([5, 4], init="uniform", seed=1)
    plain = postprocess(network, X, y, n_jobs=1, class_weight={0: 3.0})
    text = postprocess(network.with_classes(names), X, names[y], n_jobs=1, class_weight={"b": 3.0})
    assert _bytes(plain) == _bytes(text)
    assert text.classes.tolist() == names.tolist()
    for objective, class_weight in (("l1", "balanced"), ("margin", None)):
        found = postprocess(network, X, y, objective=objective, class_weight=class_weight, n_jobs=1)
        assert not np.any(found.predict(X) == 3)


def test_rare_classes_are_found_where_they_weigh_more() -> None:
    X, y = clusters()
    network = Network.dense([5, 3], init="uniform", seed=1)
    shares = []
    for class_weight in (None, "balanced"):
        found = postprocess(network, X, y, objective="l1", class_weight=class_weight, n_jobs=1)
        shares.append(np.mean(found.predict(X)[y == 0] == 0))
    assert shares[1] > shares[0]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"X": np.ones((4, 3))},
            DataError,
            r"takes 5 inputs, but the training data have shape \(4, 3\)",
        ),
        ({"X": -np.ones((4, 5))}, DataError, "training sample 0 has the value -1"),
        ({"X": np.full((4, 5), np.nan)}, DataError, "has the value nan"),
        ({"X": np.ones((3, 5))}, DataError, "3 training samples and 4 labels"),
        ({"X": np.zeros((0, 5)), "y": []}, DataError, "0 training samples and 0 labels"),
        ({"y": [0, 1, 2, 3]}, DataError, "label .*3.* is none of the network's 3 classes"),
        ({"y": list("abcd")}, DataError, "label 'a'"),
        ({"objective": "hinge"}, OptionError, "objective 'hinge' is unknown; choose l1, margin"),
        ({"tolerance": -0.1}, OptionError, r"tolerance is -0\.1"),
        ({"tolerance": np.nan}, OptionError, "tolerance is nan"),
        ({"box": 0.0}, OptionError, r"box is 0\.0"),
        ({"box": np.inf}, OptionError, "box is inf"),
        ({"class_weight": 0.0}, OptionError, r"class_weight is 0\.0"),
        ({"class_weight": {5: 1.0}}, DataError, "label .*5"),
        (
            {"class_weight": 2.0, "objective": "margin"},
            OptionError,
            "class_weight is for the objective l1, not margin",
        ),
        ({"solver": "scip"}, OptionError, "'scip' is unknown"),
        ({"gap": -1.0}, OptionError, r"gap is -1\.0"),
        ({"time_limit": 0.0}, OptionError, r"time_limit is 0\.0"),
        ({"n_jobs": 0}, OptionError, "n_jobs is 0"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {"X": np.ones((4, 5)), "y": [0, 1, 2, 0], "n_jobs": 1, **changes}
    with pytest.raises(error, match=words) as caught:
        postprocess(Network.dense([5, 3]), **arguments)  # type: ignore[call-arg]
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, SolverError)


@pytest.mark.parametrize("objective", ["l1", "margin"])
def test_a_time_limit_returns_weights_that_are_no_worse(objective: str) -> None:
    X, y = clusters()
    network = _networks()["dense"]
    found = postprocess(network, X, y, objective=objective, time_limit=1e-6, n_jobs=1)
    if objective == "margin":
        assert _margin_loss(found, X, y) <= _margin_loss(network, X, y) + 1e-9
    else:
        losses = [_l1_losses(other, X, y, 0.49, np.ones(3)).sum() for other in (found, network)]
        assert losses[0] <= losses[1] + 1e-9


def test_pieces_and_rows_have_the_same_loss() -> None:
    X, y = clusters(40)
    block = _tied()
    inputs = X[:, :4]
    ends = np.ones(block.theta.size)
    box = Box(-ends, ends)
    theta = np.random.default_rng(0).uniform(-1, 1, block.theta.size)
    for objective in (L1(np.array([3.0, 1.0, 0.5])), Margin(0.02)):
        for group in objective.groups(block):
            rows = objective.of_weights(block, group, inputs, y, box)
            pieces = objective.of_many(block, group, inputs, y, box)
            at = theta[group.parameters]
            assert pieces.loss(at) == pytest.approx(rows.loss(at), rel=1e-12)
            assert pieces.scale == pytest.approx(rows.scale)
