"""Training in batches on small data: what is kept, and what is repeatable."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from layermilp import Network, Trained, train
from layermilp.errors import NetworkError, OptionError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.state import State
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import training
from layermilp.parallel import Workers
from tests.layerwise.samples import bars, blobs, digits, fast, objectives, states, tiny, weights


def same_records(one: Trained, other: Trained) -> bool:
    """Whether two runs solved the same programs with the same results."""
    records, others = (
        [replace(record, seconds=0.0) for record in trained.history] for trained in (one, other)
    )
    return records == others


def test_digits_are_learned_above_chance(on_digits: Trained) -> None:
    X, y = digits()
    first = [record for record in on_digits.history if record.batch == 1]
    assert max(record.batch_accuracy for record in first) > 0.3
    assert on_digits.network.notation == "64-4-10"
    assert np.mean(on_digits.network.predict(X[30:]) == y[30:]) > 0.2


def test_training_starts_from_a_network_it_does_not_change() -> None:
    X, y = blobs()
    network = Network.dense([2, 2, 2], seed=3)
    before = weights(network)
    trained = train(network, X, y, **fast(batches=1, batch_size=12))
    assert weights(network) == before != weights(trained.network)


@objectives
@pytest.mark.parametrize("formulation", ["reduced", "paper"])
def test_both_formulations_learn_separable_data(formulation: str, objective: str) -> None:
    X, y = blobs()
    options = fast(
        batches=1, batch_size=10, formulation=formulation, objective=objective, postprocess="end"
    )
    trained = train(Network.dense([2, 2, 2], seed=3), X, y, **options)
    assert trained.history[-1].failed == 0
    assert trained.network.accuracy(X, y) > 0.9


def test_labels_may_be_text_and_test_data_are_recorded() -> None:
    X, y = blobs()
    names = np.array(["left", "right"])
    network = Network.dense([2, 2, 2], seed=3).with_classes(names)
    options = fast(batches=2)
    with_test = train(network, X, names[y], X_test=X[:5], y_test=names[y[:5]], **options)
    without = train(network, X, names[y], **options)
    assert weights(with_test.network) == weights(without.network)
    assert all(record.test_accuracy is not None for record in with_test.history)
    assert with_test.network.accuracy(X[:8], names[y[:8]]) > 0.5


def test_a_state_per_sweep_and_one_per_batch() -> None:
    X, y = blobs()
    found = states(Network.dense([2, 2, 2], seed=2), X, y, tiny())
    assert sum(state.batch_ended for state in found) == 3
    assert len(found) == 3 + len(found[-1].records)
    assert [state.batch for state in found if state.batch_ended] == [1, 2, 3]
    assert [len(state.records) for state in found if not state.batch_ended] == list(
        range(1, len(found) - 2)
    )
    assert found[-1].batch_ended and found[-1].batch == 3
    programs = [state.tally.total.programs for state in found]
    assert programs == sorted(programs)
    assert programs[-1] == sum(record.programs for record in found[-1].records)


def test_interrupted_training_keeps_the_last_state() -> None:
    X, y = blobs()
    network, settings = Network.dense([2, 2, 2], seed=2), tiny()
    whole = states(network, X, y, settings)
    data = TrainingData.of(network, X, y)

    def interrupt(step: Step) -> None:
        if step.batch == 2:
            raise KeyboardInterrupt

    kept: list[State] = []
    with pytest.raises(KeyboardInterrupt), Workers(1) as workers:  # noqa: PT012
        for state in training(network, data, settings, workers, interrupt):
            kept.append(state)
    assert kept[-1].batch_ended and kept[-1].batch == 1
    assert [weights(state.network) for state in kept] == [
        weights(state.network) for state in whole[: len(kept)]
    ]
    with Workers(1) as workers:
        steps = training(network, data, settings, workers)
        assert isinstance(steps, Generator)
        first = next(steps)
        steps.close()
    assert weights(first.network) == weights(whole[0].network)


@pytest.mark.parametrize("make", [blobs, bars])
@pytest.mark.parametrize(("objective", "tie_break"), [("l1", "l1"), ("margin", "l2")])
def test_the_same_seed_gives_the_same_weights_for_any_number_of_workers(
    make: Any, objective: str, tie_break: str
) -> None:
    X, y = make()
    network = Network.dense([X.shape[1], 3, 2], seed=4)
    options = fast(
        batches=4,
        seed=5,
        max_sweeps=3,
        objective=objective,
        tie_break=tie_break,
        average=0.5,
        postprocess="end",
    )
    runs = [train(network, X, y, **options | {"n_jobs": n_jobs}) for n_jobs in (1, 1, 2)]
    for other in runs[1:]:
        assert weights(other.network) == weights(runs[0].network)
        assert same_records(runs[0], other)


def test_class_weights_decide_what_rare_classes_cost() -> None:
    rng = np.random.default_rng(1)
    y = (np.arange(60) % 10 == 0).astype(int)
    X = np.clip(rng.normal([0.4, 0.6], 0.12, (60, 2)) + 0.12 * y[:, None] * [1, -1], 0, None)
    network = Network.dense([2, 2], seed=0)
    plain, weighted = (
        train(
            network, X, y, **fast(batches=1, batch_size=60, max_sweeps=1, class_weight=class_weight)
        )
        for class_weight in (None, {1: 30.0})
    )
    assert weights(plain.network) != weights(weighted.network)
    a = [trained.network.blocks[0].preactivation(X)[y == 1, 1] for trained in (plain, weighted)]
    assert np.abs(a[1] - 1.0).sum() < np.abs(a[0] - 1.0).sum() - 1e-6


def test_class_weights_of_one_are_none() -> None:
    X, y = blobs()
    names = np.array(["left", "right"])
    network = Network.dense([2, 2, 2], seed=3).with_classes(names)
    runs = [
        train(network, X, names[y], **fast(batches=2, class_weight=class_weight))
        for class_weight in (None, 1.0, {"right": 1.0, "left": 1}, "balanced")
    ]
    # Both classes have as many samples, so a balanced weight is one.
    for other in runs[1:]:
        assert weights(other.network) == weights(runs[0].network)


def test_one_class_is_learned_by_l1_alone() -> None:
    X, _ = blobs()
    y = np.zeros(24, dtype=int)
    network = Network.dense([2, 2, 1], seed=3)
    assert train(network, X, y, **fast(objective="l1")).network.accuracy(X, y) == 1.0
    with pytest.raises(NetworkError, match="only one; use objective l1"):
        train(network, X, y, **fast(objective="margin"))


@objectives
def test_networks_decide_as_they_were_trained(objective: str) -> None:
    X, y = blobs()
    trained = train(
        Network.dense([2, 2, 2], seed=3), X, y, **fast(objective=objective, postprocess="end")
    )
    assert trained.network.decision == {"l1": "closest_to_one", "margin": "argmax"}[objective]
    assert trained.network.accuracy(X, y) > 0.9


def test_proximal_programs_learn_and_do_not_depend_on_the_workers() -> None:
    X, y = digits()
    options: dict[str, Any] = {"batches": 2, "batch_size": 30, "epochs": 2, "weight_fit": "milp"}
    runs = [
        train(Network.dense([64, 4, 10], seed=4), X, y, n_jobs=n_jobs, **options)
        for n_jobs in (1, 2)
    ]
    assert weights(runs[0].network) == weights(runs[1].network)
    assert runs[0].tally.failed == 0 and runs[0].network.accuracy(X, y) > 0.5


@pytest.mark.parametrize("fit", ["ridge", "milp"])
def test_the_price_of_a_change_is_that_of_the_fit(fit: str) -> None:
    settings = Sweeps(weight_fit=fit)
    assert (settings.setup.ridge, settings.setup.proximity) == (
        (0.3, 0.0) if fit == "ridge" else (0.0, 0.3)
    )
    with pytest.raises(OptionError, match="is for the weight fit"):
        replace(settings, proximity=0.3, ridge=0.3)


def test_without_a_price_nothing_decays() -> None:
    plain = Sweeps(proximity=0.0)
    assert plain.setup.ridge == plain.setup.proximity == plain.decay == 0.0
    with pytest.raises(OptionError, match="leave it out"):
        replace(plain, weight_decay=0.1)
