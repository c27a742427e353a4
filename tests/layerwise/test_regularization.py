"""Noise on targets and dropout in training, and inputs that serve the network's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Network, train
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.regularization import Dropout
from layermilp.layerwise.sweep import InputTask, NetworkInputTask, Step
from layermilp.layerwise.trainer import training
from layermilp.parallel import Workers
from tests.layerwise.samples import bars, digits, fast, objectives, states, tiny, weights

REGULARIZED: dict[str, dict[str, Any]] = {
    "noise": {"target_noise": 0.3},
    "dropout": {"dropout": 0.4},
    "network": {"input_proposals": "network"},
    "all": {"target_noise": 0.3, "dropout": 0.4, "input_proposals": "network"},
}
regularized = pytest.mark.parametrize("name", REGULARIZED)
SIZES = [64, 3, 3, 10]


def few(**changes: Any) -> dict[str, Any]:
    return {"batches": 2, "batch_size": 12, "max_sweeps": 1, "tie_break": "l2", **changes}


@regularized
@objectives
def test_any_number_of_workers_gives_the_same_weights(name: str, objective: str) -> None:
    X, y = digits()
    options = fast(**few(objective=objective, **REGULARIZED[name]))
    one, two = (
        train(Network.dense(SIZES, seed=1), X, y, **{**options, "n_jobs": n_jobs})
        for n_jobs in (1, 2)
    )
    assert weights(one.network) == weights(two.network)
    assert one.tally.failed == 0
    plain = train(Network.dense(SIZES, seed=1), X, y, **fast(**few(objective=objective)))
    assert weights(one.network) != weights(plain.network)
    assert one.tally.programs / len(one.history) == plain.tally.programs / len(plain.history)


@regularized
def test_a_run_goes_on_as_if_it_had_not_been_interrupted(name: str) -> None:
    X, y = digits()
    settings = tiny(**few(**REGULARIZED[name]))
    network = Network.dense(SIZES, seed=1)
    found = states(network, X, y, settings)
    middle = next(state for state in found if state.batch_ended)
    with Workers(1) as workers:
        data = TrainingData.of(network, X, y)
        *_, end = training(network, data, settings, workers, begin=middle)
    assert weights(end.network) == weights(found[-1].network)


def test_what_is_dropped_is_drawn_anew_for_every_sweep_and_not_of_the_networks_inputs() -> None:
    network = Network.from_notation("6x6-mean2-conv2-5-3", seed=1)
    settings = Sweeps(dropout=0.3)
    one, same, other = (
        Dropout.drawn(network, 400, settings, 1, sweep).factors for sweep in (1, 1, 2)
    )
    assert one[0] is None and one[1] is None
    for i in (2, 3):
        factors = one[i]
        assert factors is not None and same[i] is not None
        assert factors.tobytes() == np.asarray(same[i]).tobytes() != np.asarray(other[i]).tobytes()
        assert set(np.unique(factors)) == {0.0, 1.0 / 0.7}
        assert np.mean(factors == 0.0) == pytest.approx(0.3, abs=0.05)
        assert factors.mean() == pytest.approx(1.0, abs=0.05)


def test_a_neuron_is_not_asked_for_what_is_left_out() -> None:
    X, y = bars()
    steps: list[Step] = []
    settings = tiny(batches=1, max_sweeps=1, dropout=0.5)
    network = Network.dense([16, 3, 2], seed=2)
    states(network, X, y, settings, steps)
    (task,) = next(step for step in steps if step.kind == "inputs").tasks
    first = next(step for step in steps if step.kind == "weights" and step.layer == 1).tasks[0]
    assert isinstance(task, InputTask) and task.stays is not None
    outputs, left_out = network.activations(X[:8])[1], task.stays
    assert left_out.any() and not left_out.all()
    np.testing.assert_array_equal(task.inputs, np.where(left_out, 0.0, 2.0 * outputs))
    proposed = task.solve().inputs
    assert not proposed[left_out].any()
    np.testing.assert_array_equal(first.targets, np.where(left_out, outputs, proposed / 2.0))


@objectives
def test_inputs_for_the_network_serve_its_outputs(objective: str) -> None:
    """No proposal makes the loss of the network worse, and some make it better."""
    X, y = digits()
    steps: list[Step] = []
    changes = few(batches=1, max_sweeps=1, batch_size=30, target_gap=0.0, node_limit=None)
    settings = tiny(objective=objective, input_proposals="network", **changes)
    states(Network.dense(SIZES, seed=1), X, y, settings, steps)
    (task,) = next(step for step in steps if step.kind == "inputs" and step.layer == 2).tasks
    assert isinstance(task, NetworkInputTask) and len(task.blocks) == 2
    proposed, problems = task.solve().inputs, list(task.problems())
    before = np.array([problem.loss(problem.start) for problem in problems])
    after = np.array([problem.loss(x) for problem, x in zip(problems, proposed, strict=True)])
    assert np.all(after <= before) and np.any(after < before - 1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target_noise": 0.5}, r"target_noise is 0\.5; it must be .* at least 0 and below 0\.5"),
        ({"target_noise": -0.1}, r"target_noise is -0\.1"),
        ({"dropout": 1.0}, r"dropout is 1\.0; it must be .* at least 0 and below 1"),
        ({"input_proposals": "all"}, "input_proposals 'all' is unknown; choose layer, network"),
    ],
)
def test_bad_options_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sweeps(**changes)
