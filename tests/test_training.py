"""Training in batches on small data: what is kept, what is repeatable, what is refused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from layermilp import Block, Committee, Layerwise, Network, Run, Trained, preset, train
from layermilp.datasets.dataset import from_arrays
from layermilp.errors import DataError, NetworkError, OptionError, SolverError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import PRESETS, Sweeps
from layermilp.layerwise.schedule import WeightAverage, sample_order, trust_box
from layermilp.layerwise.state import State
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import run, share_right, training
from layermilp.method import Listener, derived_seed
from layermilp.parallel import Workers


def blobs(samples: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return non-negative samples of two classes, each with an input of its own, mixed."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    return np.eye(2)[y] + 0.2 * rng.random((samples, 2)), y


def bars(samples: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 4 x 4 images of a horizontal or a vertical bar with some noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    images = 0.1 * rng.random((samples, 4, 4))
    for image, label, place in zip(images, y, rng.integers(0, 4, samples), strict=True):
        image[(slice(None), place) if label else (place, slice(None))] += 0.9
    return images.reshape(samples, 16), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the first sixty handwritten digits."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels[:60] / 16.0, labels[:60]


FEW: dict[str, Any] = {
    "batches": 3,
    "batch_size": 8,
    "epochs": 1,
    "first_sample": 0,
    "seed": 0,
    "objective": "l1",
    "class_weight": None,
    "input_penalty": 0.02,
    "max_sweeps": 4,
    "box": 1.0,
    "trust_factor": 0.6,
    "trust_offset": 0.01,
    "average": 0.0,
    "postprocess": "none",
    "tolerance": 0.49,
}
"""Values of all settings for a run that takes a moment; no default decides what is tested here."""

REGULARIZED = {"ridge": 0.2, "weight_decay": 0.05}
"""The same for fits with more weights than targets."""


def tiny(**changes: Any) -> Sweeps:
    """Return settings of a run that takes a moment."""
    solving = {"node_limit": 50, "target_gap": 0.01, "tie_break": "l1"}
    return Sweeps(**FEW | REGULARIZED | solving | changes)


def fast(**changes: Any) -> dict[str, Any]:
    """Return options of `train` for the same in one process."""
    return (
        {**FEW, "target_gap": 0.01, "node_limit": 50, "tie_break": "l1", "n_jobs": 1}
        | REGULARIZED
        | changes
    )


def states(
    network: Network,
    X: np.ndarray,
    y: np.ndarray,
    settings: Sweeps,
    watch: list[Step] | None = None,
) -> list[State]:
    """Train in this process; return every state, and append every step to `watch`."""
    told = [] if watch is None else watch
    data = TrainingData.of(network, X, y)
    with Workers(1) as workers:
        return list(training(network, data, settings, workers, told.append))


def weights(network: Network) -> list[bytes]:
    """Return the parameters bit by bit."""
    return [block.theta.tobytes() for block in network.blocks]


def same_records(one: Trained, other: Trained) -> bool:
    """Whether two runs solved the same programs with the same results."""
    records, others = (
        [replace(record, seconds=0.0) for record in trained.history] for trained in (one, other)
    )
    return records == others


objectives = pytest.mark.parametrize("objective", ["l1", "margin"])


@pytest.fixture(scope="module", params=["l1", "margin"])
def on_digits(request: pytest.FixtureRequest) -> Trained:
    X, y = digits()
    options = fast(
        batches=2,
        batch_size=30,
        objective=request.param,
        postprocess="end",
        target_gap=0.05,
        node_limit=20,
    )
    return train(Network.dense([64, 4, 10], seed=1), X, y, **options)


def test_digits_are_learned_above_chance(on_digits: Trained) -> None:
    X, y = digits()
    first = [record for record in on_digits.history if record.batch == 1]
    assert max(record.batch_accuracy for record in first) > 0.3
    assert on_digits.network.notation == "64-4-10"
    assert np.mean(on_digits.network.predict(X[30:]) == y[30:]) > 0.2


def test_history_describes_every_sweep(on_digits: Trained) -> None:
    history = on_digits.history
    assert [record.batch for record in history] == sorted(record.batch for record in history)
    assert {record.batch for record in history} == {1, 2}
    for batch in (1, 2):
        sweeps = [record.sweep for record in history if record.batch == batch]
        assert sweeps == list(range(1, len(sweeps) + 1)) and len(sweeps) <= 4
    for record in history:
        assert 0.0 <= record.batch_accuracy <= 1.0 and 0.0 <= record.seen_accuracy <= 1.0
        assert record.test_accuracy is None
        assert len(record.objectives) == len(record.start_objectives) == 2
        # 4 weight programs, 10 of the last layer or one of all its outputs, and 30 input proposals.
        last = 1 if on_digits.network.decision == "argmax" else 10
        assert record.programs == 34 + last == record.optimal + record.at_limit + record.failed
        assert record.failed == 0
        assert sum(record.solver_calls.values()) > 0
        assert record.seconds > 0.0
        phases = record.phases[:3]
        assert [(phase.layer, phase.kind) for phase in phases] == [
            (2, "weights"),
            (2, "inputs"),
            (1, "weights"),
        ]
        assert [phase.programs for phase in phases] == [last, 30, 4]
        assert record.optimal == sum(phase.optimal for phase in phases)
        assert record.largest_gap == max(phase.largest_gap for phase in phases)
        assert 0.0 < sum(phase.seconds for phase in phases) <= record.seconds
    *others, final = history
    assert all(len(record.phases) == 3 for record in others)
    (after,) = final.phases[3:]
    assert (after.layer, after.kind, after.programs) == (
        2,
        "post-processing",
        last,
    ) and after.seconds > 0.0
    assert on_digits.tally.programs == (34 + last) * len(history) + last
    assert on_digits.seconds >= sum(record.seconds for record in history)


def test_no_layer_is_made_worse(on_digits: Trained) -> None:
    assert on_digits.history
    for record in on_digits.history:
        for before, after in zip(record.start_objectives, record.objectives, strict=True):
            assert after <= before + 1e-6


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


@pytest.mark.parametrize("make", [blobs, bars])
@objectives
def test_best_weights_of_a_batch_go_on(make: Any, objective: str) -> None:
    X, y = make()
    settings = tiny(objective=objective)
    found = states(Network.dense([X.shape[1], 3, 2], seed=2), X, y, settings)
    for state in found:
        records = [record for record in state.records if record.batch == state.batch]
        best = max(record.batch_accuracy for record in records)
        assert state.batch_accuracy == best
        part = sample_order(len(X), settings)[(state.batch - 1) * 8 : state.batch * 8]
        assert share_right(state.iterate, X[part], y[part]) == best
        assert weights(state.iterate) == weights(state.network)
        seen = slice(0, state.batch * 8)
        assert state.seen_accuracy == share_right(state.network, X[seen], y[seen])


def test_sweeps_go_on_while_the_accuracy_rises() -> None:
    X, y = digits()
    for state in states(Network.dense([64, 2, 10], seed=2), X, y, tiny(batches=2, batch_size=20)):
        if not state.batch_ended:
            continue
        shares = [0.0] + [
            record.batch_accuracy for record in state.records if record.batch == state.batch
        ]
        rises = [before < after for before, after in pairwise(shares)]
        assert all(rises[:-1])
        assert not rises[-1] or shares[-1] == 1.0 or len(rises) == 4


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
    programs = [state.tally.programs for state in found]
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


def test_convolutions_keep_their_ties_and_zeros() -> None:
    X, y = bars()
    network = Network([Block.conv2d(4, 4, 2, seed=1), Block.dense(9, 2, seed=2)])
    found = states(network, X, y, tiny(batches=2, batch_size=10, postprocess="batch"))
    last = found[-1].network
    assert weights(last) != weights(network)
    for state in found:
        block = state.network.blocks[0]
        assert block.parameters is network.blocks[0].parameters
        assert not block.bias.any()
        kernel = block.theta.reshape(2, 2)
        for neuron, row in enumerate(block.weights):
            top, left = divmod(neuron, 3)
            expected = np.zeros((4, 4))
            expected[top : top + 2, left : left + 2] = kernel
            assert row.tolist() == expected.reshape(-1).tolist()
    assert np.all(np.abs(last.blocks[0].theta) <= 1.0)
    assert max(record.batch_accuracy for record in found[-1].records) > 0.5


def test_first_batch_stays_in_the_box_and_later_ones_near_their_start() -> None:
    X, y = bars()
    for network in (
        Network.dense([16, 3, 2], seed=2),
        Network([Block.conv2d(4, 4, 2, seed=1), Block.dense(9, 2)]),
    ):
        before = network
        for state in states(
            network, X, y, tiny(postprocess="batch", trust_factor=0.6, trust_offset=0.01)
        ):
            for old, new in zip(before.blocks, state.network.blocks, strict=True):
                assert np.all(np.abs(new.theta) <= 1.0)
                if state.batch > 1:
                    assert np.all(
                        np.abs(new.theta - old.theta) <= 0.6 * np.abs(old.theta) + 0.01 + 1e-12
                    )
            if state.batch_ended:
                before = state.network


def test_smaller_boxes_are_kept() -> None:
    X, y = blobs()
    run = tiny(box=0.25, output_box=0.25, postprocess="end")
    for state in states(Network.dense([2, 2, 2], init="uniform", seed=2), X, y, run):
        for block in state.network.blocks:
            assert np.all(np.abs(block.theta) <= 0.25)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=5), st.floats(0.1, 2.0), st.booleans())
def test_trust_box_is_that_of_the_report(values: list[float], box: float, first: bool) -> None:
    theta = np.array(values)
    found = trust_box(theta, tiny(box=box), first=first)
    assert np.all(found.lower <= found.upper)
    for value, low, high in zip(values, found.lower, found.upper, strict=True):
        inside = min(max(value, -box), box)
        reach = np.inf if first else 0.6 * abs(inside) + 0.01
        assert low == pytest.approx(max(inside - reach, -box)) and high == pytest.approx(
            min(inside + reach, box)
        )
        assert low <= inside <= high


def _postprocessing(steps: list[Step]) -> list[int]:
    return [step.batch for step in steps if step.kind == "post-processing" and step.done == 0]


@objectives
@pytest.mark.parametrize("postprocess", ["batch", "end", "all", "none"])
def test_postprocessing_runs_when_it_is_asked_for(postprocess: str, objective: str) -> None:
    X, y = digits()
    steps: list[Step] = []
    settings = tiny(
        batches=3, batch_size=20, max_sweeps=1, postprocess=postprocess, objective=objective
    )
    found = states(Network.dense([64, 2, 10], seed=2), X, y, settings, steps)
    assert all(record.batch_accuracy < 1.0 for record in found[-1].records)
    assert (
        _postprocessing(steps)
        == {"batch": [1, 2, 3], "end": [3], "all": [3], "none": []}[postprocess]
    )
    extra = found[-1].tally.programs - sum(record.programs for record in found[-1].records)
    programs = 10 if objective == "l1" else 1
    assert extra == programs * len(_postprocessing(steps))
    sizes = {step.total for step in steps if step.kind == "post-processing"}
    assert sizes <= {programs}


def test_postprocessing_leaves_a_learned_batch_alone() -> None:
    X, y = blobs()
    steps: list[Step] = []
    found = states(
        Network.dense([2, 2, 2], seed=3), X, y, tiny(postprocess="batch", max_sweeps=10), steps
    )
    learned = {record.batch for record in found[-1].records if record.batch_accuracy == 1.0}
    assert learned
    assert not learned & set(_postprocessing(steps))


def test_postprocessing_lowers_the_loss_with_the_dead_zone() -> None:
    X, y = digits()
    settings = tiny(batches=2, batch_size=30, max_sweeps=1)
    before = states(Network.dense([64, 4, 10], seed=2), X, y, settings)[-1].network
    after = states(Network.dense([64, 4, 10], seed=2), X, y, replace(settings, postprocess="end"))[
        -1
    ].network
    assert weights(before)[0] == weights(after)[0]
    losses = []
    for network in (before, after):
        a = network.blocks[-1].preactivation(network.activations(X)[-2])
        deviation = np.where(np.eye(10)[y] > 0.5, np.abs(a - 1.0), a)
        losses.append(np.maximum(deviation - 0.49, 0.0).sum())
    assert losses[1] <= losses[0] + 1e-6


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 10), st.integers(1, 30), st.integers(0, 5))
def test_batches_take_the_samples_in_order_and_then_in_reshuffled_passes(
    samples: int, batches: int, batch_size: int, seed: int
) -> None:
    settings = tiny(batches=batches, batch_size=batch_size, seed=seed)
    if batch_size > samples:
        with pytest.raises(
            DataError, match=f"batch of {batch_size} needs more than the {samples} training samples"
        ):
            sample_order(samples, settings)
        return
    order = sample_order(samples, settings)
    assert order.size == batches * batch_size
    for first in range(0, order.size, samples):
        part = order[first : first + samples]
        assert np.unique(part).size == part.size and part.min() >= 0 and part.max() < samples
        if first == 0:
            assert part.tolist() == list(range(part.size))
    assert order.tolist() == sample_order(samples, settings).tolist()
    longer = sample_order(samples, replace(settings, batches=batches + 3))
    assert longer[: order.size].tolist() == order.tolist()


def test_passes_are_reshuffled() -> None:
    order = sample_order(20, tiny(batches=3, batch_size=20, seed=1)).reshape(3, 20)
    assert not np.array_equal(order[0], order[1]) and not np.array_equal(order[1], order[2])
    assert (
        order[1].tolist()
        != sample_order(20, tiny(batches=3, batch_size=20, seed=2))[20:40].tolist()
    )


def test_training_runs_on_into_another_pass() -> None:
    X, y = blobs(10)
    trained = train(Network.dense([2, 2, 2], seed=2), X, y, **fast(batches=4, batch_size=4))
    assert {record.batch for record in trained.history} == {1, 2, 3, 4}


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 30),
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 70),
    st.integers(0, 5),
)
def test_epochs_hold_the_same_samples_and_shift_with_the_first(
    samples: int, batches: int, batch_size: int, epochs: int, first: int, seed: int
) -> None:
    per_epoch = batches * batch_size
    if per_epoch > samples:
        samples = per_epoch
    options = tiny(
        batches=batches, batch_size=batch_size, epochs=epochs, first_sample=first, seed=seed
    )
    order = sample_order(samples, options)
    passes = order.reshape(epochs, per_epoch)
    assert passes[0].tolist() == [(first + k) % samples for k in range(per_epoch)]
    for later in passes[1:]:
        assert sorted(later) == sorted(passes[0])
    assert options.total_batches * batch_size == order.size
    unshifted = sample_order(samples, replace(options, first_sample=0))
    assert order.tolist() == [(k + first) % samples for k in unshifted]


def test_every_epoch_is_reshuffled_anew() -> None:
    passes = (
        sample_order(50, tiny(batches=4, batch_size=10, epochs=3, seed=1)).reshape(3, 40).tolist()
    )
    assert passes[0] == list(range(40))
    assert len({tuple(order) for order in passes}) == 3
    other = sample_order(50, tiny(batches=4, batch_size=10, epochs=3, seed=2)).tolist()
    assert other[40:] != passes[1] + passes[2]


def test_training_runs_through_all_epochs() -> None:
    X, y = blobs(20)
    trained = train(
        Network.dense([2, 2, 2], seed=2),
        X,
        y,
        **fast(batches=2, batch_size=6, epochs=3, first_sample=15),
    )
    assert [record.batch for record in trained.history] == sorted(
        record.batch for record in trained.history
    )
    assert {record.batch for record in trained.history} == {1, 2, 3, 4, 5, 6}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.floats(0.0, 0.99), st.integers(0, 2**32 - 1))
def test_average_is_the_sum_written_out(steps: int, factor: float, seed: int) -> None:
    network = Network.dense([2, 3, 2])
    rng = np.random.default_rng(seed)
    thetas = [
        [rng.uniform(-1, 1, block.theta.size) for block in network.blocks] for _ in range(steps)
    ]
    mean = WeightAverage(factor)
    for theta in thetas:
        iterate = network
        for i, values in enumerate(theta):
            iterate = iterate.with_block(i, iterate.blocks[i].with_theta(values))
        before, mean = mean, mean.with_weights(iterate)
        assert len(before.sums) in (0, 2)
    factors = [factor ** (steps - 1 - t) for t in range(steps)]
    found = mean.of(network)
    for i, block in enumerate(found.blocks):
        expected = sum(f * theta[i] for f, theta in zip(factors, thetas, strict=True)) / sum(
            factors
        )
        np.testing.assert_allclose(block.theta, expected, atol=1e-12)
        assert factor > 0.0 or block.theta.tobytes() == thetas[-1][i].tobytes()


@objectives
def test_average_is_returned_and_the_weights_go_on(objective: str) -> None:
    X, y = bars()
    network = Network.dense([16, 3, 2], seed=4)
    settings = tiny(batches=4, objective=objective)
    plain, averaged = (
        states(network, X, y, replace(settings, average=factor)) for factor in (0.0, 0.9)
    )
    assert len(plain) == len(averaged)
    for one, other in zip(plain, averaged, strict=True):
        assert weights(one.iterate) == weights(one.network) == weights(other.iterate)
        # Only the accuracies of what a run returns differ.
        of_one, of_other = (
            [replace(record, seconds=0.0, seen_accuracy=0.0) for record in state.records]
            for state in (one, other)
        )
        assert of_one == of_other
    ended = [state.iterate for state in plain if state.batch_ended]
    factors = [0.9**k for k in (3, 2, 1, 0)]
    for i, block in enumerate(averaged[-1].network.blocks):
        thetas = [iterate.blocks[i].theta for iterate in ended]
        expected = sum(f * theta for f, theta in zip(factors, thetas, strict=True)) / sum(factors)
        np.testing.assert_allclose(block.theta, expected, atol=1e-12)
    assert weights(averaged[-1].network) != weights(plain[-1].network)
    for state in averaged:
        part = sample_order(24, settings)[: 8 * state.batch]
        seen = np.unique(part)
        assert state.seen_accuracy == share_right(state.network, X[seen], y[seen])
        assert state.batch_accuracy == share_right(state.iterate, X[part[-8:]], y[part[-8:]])


def test_average_of_one_batch_is_its_weights() -> None:
    X, y = blobs()
    runs = [
        train(Network.dense([2, 2, 2], seed=3), X, y, **fast(batches=1, average=f))
        for f in (0.0, 0.7)
    ]
    for one, other in zip(runs[0].network.blocks, runs[1].network.blocks, strict=True):
        np.testing.assert_allclose(one.theta, other.theta, rtol=1e-15)


def tiles(samples: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 6 x 6 images with one bright third: upper, middle or lower."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 3
    images = 0.2 * rng.random((samples, 6, 6))
    for image, label in zip(images, y, strict=True):
        image[2 * label : 2 * label + 2] += 0.7
    return images.reshape(samples, 36), y


@objectives
@pytest.mark.parametrize("tie_break", ["l2", "none"])
@pytest.mark.parametrize(
    "notation", ["6x6-mean2-conv2-3", "6x6-mean2-conv2b-3", "6x6-conv3-mean2-3"]
)
def test_fixed_means_and_tied_kernels_are_kept_exactly(
    notation: str, tie_break: str, objective: str
) -> None:
    X, y = tiles()
    network = Network.from_notation(notation, init="positive", seed=3)
    solving = {"node_limit": 20, "target_gap": 0.01, "tie_break": tie_break}
    settings = tiny(
        batches=2, batch_size=12, objective=objective, **solving, max_sweeps=2, postprocess="end"
    )
    found = states(network, X, y, settings)
    for state in found:
        assert state.network.notation == notation
        for old, new in zip(network.blocks, state.network.blocks, strict=True):
            assert new.parameters is old.parameters
            index, fixed = old.parameters.index, old.parameters.fixed
            assert new.extended[index < 0].tobytes() == fixed[index < 0].tobytes()
            for parameter in range(old.parameters.n_parameters):
                assert len(set(new.extended[index == parameter])) == 1
    assert weights(found[-1].network) != weights(network)
    assert share_right(found[-1].network, X, y) > 0.5


@objectives
def test_fixed_blocks_below_the_first_trained_one_take_no_programs(objective: str) -> None:
    X, y = tiles()
    network = Network.from_notation("6x6-mean2-conv2-3", init="positive", seed=3)
    steps: list[Step] = []
    found = states(
        network, X, y, tiny(batches=1, batch_size=12, max_sweeps=1, objective=objective), steps
    )
    (record,) = found[-1].records
    # The last layer, the inputs of the last layer, the kernel.
    assert record.programs == (1 if objective == "margin" else 3) + 12 + 1
    assert len(record.objectives) == len(record.start_objectives) == 2
    seen = list(dict.fromkeys((step.layer, step.kind) for step in steps))
    assert seen == [(3, "weights"), (3, "inputs"), (2, "weights")]


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


def _trials(n_jobs: int = 1, **changes: Any) -> tuple[float, ...]:
    """Return the scores of three initializations, with test data that are no numbers."""
    X, y = digits()
    options = {"batches": 2, "batch_size": 20, "first_sample": 10, "average": 0.5, **changes}
    method = Layerwise.of(tiny(objective="margin", **options), net="64-3-10")
    data = replace(from_arrays(X, y), X_test=np.full((1, 64), np.nan), y_test=np.array([0]))
    with Workers(n_jobs) as workers:
        return method.trials(3, data, workers, Listener())


def test_trials_are_judged_by_samples_outside_the_first_batch() -> None:
    X, y = digits()
    rest = np.r_[0:10, 30:60]
    expected = []
    for trial in range(3):
        network = Network.from_notation("64-3-10", seed=derived_seed(0, trial))
        options = fast(batches=1, batch_size=20, first_sample=10, objective="margin")
        trained = train(network, X, y, **options).network
        expected.append(share_right(trained, X[rest], y[rest]))
    assert _trials() == _trials() == _trials(n_jobs=2) == tuple(expected)
    assert len(set(expected)) > 1


def test_trials_need_samples_to_judge_by() -> None:
    with pytest.raises(DataError, match="holds all training samples"):
        _trials(batch_size=60)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 9),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_members_have_images_and_a_seed_of_their_own(
    members: int, batches: int, batch_size: int, seed: int, first: int, epochs: int
) -> None:
    settings = Layerwise.of(
        tiny(batches=batches, batch_size=batch_size, seed=seed, first_sample=first, epochs=epochs)
    )
    found = [settings.member(member) for member in range(members)]
    assert found[0] == settings
    assert len({own.seed for own in found}) == members
    assert [replace(own, seed=seed, first_sample=first) for own in found] == [settings] * members
    samples = first + members * batches * batch_size
    seen = np.concatenate([np.unique(sample_order(samples, own)) for own in found])
    assert sorted(seen) == list(range(first, samples))
    assert derived_seed(seed, 0) == seed and derived_seed(seed, 1) == derived_seed(
        seed, 1
    ) != derived_seed(seed, 2)


@objectives
def test_members_are_runs_of_their_own(objective: str) -> None:
    X, y = bars(40)
    method = Layerwise.of(
        tiny(batches=1, batch_size=10, max_sweeps=2, objective=objective, average=0.5),
        net="16-2-2",
        postprocess="end",
    )
    found = [Run(method, (X, y), committee=3, n_jobs=n_jobs).follow() for n_jobs in (1, 2)]
    alone = []
    with Workers(1) as workers:
        for number in range(3):
            own = method.member(number)
            network = own.initial()
            alone.append(run(network, TrainingData.of(network, X, y), own, workers))
    for committee in found:
        assert isinstance(committee.model, Committee)
        members = [each for each in committee.model.networks if isinstance(each, Network)]
        assert [weights(member) for member in members] == [
            weights(member.network) for member in alone
        ]
        for state, other in zip(committee.states, alone, strict=True):
            assert [replace(record, seconds=0.0, phases=()) for record in state.records] == [
                replace(record, seconds=0.0, phases=()) for record in other.history
            ]
    assert len({b"".join(weights(member.network)) for member in alone}) == 3


def test_presets_are_options_of_training() -> None:
    X, y = blobs()
    chosen = preset("goebbels2021")
    options = {**dict(chosen.options), "batches": 2, "batch_size": 8, "n_jobs": 1, "node_limit": 50}
    trained = train(Network.dense([2, 2, 2], init=chosen.init, seed=3), X, y, **options)
    assert trained.network.decision == "closest_to_one" and {
        record.batch for record in trained.history
    } == {1, 2}
    assert chosen is PRESETS["goebbels2021"] and chosen.init == "uniform"
    expected = {
        "objective": "l1",
        "class_weight": None,
        "tie_break": "none",
        "average": 0.0,
        "postprocess": "batch",
    }
    expected |= {"ridge": 0.0, "weight_decay": 0.0, "trust_offset": 0.01}
    assert expected.items() <= chosen.options.items()


@pytest.mark.parametrize(
    ("batches", "epochs", "decay"),
    [(1, 20, 0.1), (10, 20, 0.1), (20, 10, 0.05), (150, 1, 0.01), (600, 1, 0.01)],
)
def test_the_number_of_batches_decides_epochs_and_decay(
    batches: int, epochs: int, decay: float
) -> None:
    settings = Sweeps(batches=batches)
    assert (settings.n_epochs, settings.total_batches) == (epochs, epochs * batches)
    assert settings.decay == settings.setup.weight_decay == pytest.approx(decay)
    assert Sweeps(batches=batches, ridge=0.0).decay == 0.0
    given = Sweeps(batches=batches, epochs=3, weight_decay=0.2)
    assert (given.n_epochs, given.total_batches, given.decay) == (3, 3 * batches, 0.2)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(OptionError, match="preset 'goebbels' is unknown; choose goebbels2021"):
        preset("goebbels")


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


def _with(X: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    changed = X.copy()
    changed[row, column] = value
    return changed


GOOD_X, GOOD_Y = blobs(8)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"X": _with(GOOD_X, 3, 1, np.nan)},
            DataError,
            "training sample 3 has the value nan at input 1",
        ),
        (
            {"X": _with(GOOD_X, 3, 1, np.inf)},
            DataError,
            "training sample 3 has the value inf at input 1",
        ),
        (
            {"X": _with(GOOD_X, 2, 0, -0.5)},
            DataError,
            r"training sample 2 has the value -0\.5 at input 0.*scale",
        ),
        (
            {"X": GOOD_X[:, :1]},
            DataError,
            r"takes 2 inputs, but the training data have shape \(8, 1\)",
        ),
        ({"X": GOOD_X[0]}, DataError, "takes 2 inputs"),
        ({"X": np.zeros((0, 2)), "y": []}, DataError, "0 training samples and 0 labels"),
        ({"X": []}, DataError, r"shape \(0,\)"),
        ({"X": GOOD_X[:5]}, DataError, "5 training samples and 8 labels"),
        (
            {"y": np.append(GOOD_Y[:-1], 7)},
            DataError,
            "label .*7.* is none of the network's 2 classes",
        ),
        ({"y": np.array(["0"] * 8)}, DataError, "label"),
        ({"X_test": GOOD_X}, DataError, "test data need both samples and labels"),
        ({"y_test": GOOD_Y}, DataError, "test data need both samples and labels"),
        ({"X_test": -GOOD_X, "y_test": GOOD_Y}, DataError, "test sample 0"),
        ({"X_test": GOOD_X, "y_test": GOOD_Y + 1}, DataError, "label"),
        ({"batch_size": 9}, DataError, "batch of 9 needs more than the 8 training samples"),
        ({"batches": 0}, OptionError, "batches is 0"),
        ({"batches": 1.5}, OptionError, r"batches is 1\.5"),
        ({"batches": True}, OptionError, "batches is True"),
        ({"batch_size": 0}, OptionError, "batch_size is 0"),
        ({"max_sweeps": 0}, OptionError, "max_sweeps is 0"),
        ({"n_jobs": 0}, OptionError, "n_jobs is 0"),
        ({"n_jobs": -2}, OptionError, "n_jobs is -2"),
        ({"n_jobs": "2"}, OptionError, "n_jobs is '2'"),
        ({"seed": -1}, OptionError, "seed is -1"),
        ({"box": 0.0}, OptionError, r"box is 0\.0"),
        ({"box": np.inf}, OptionError, "box is inf"),
        ({"trust_factor": -0.1}, OptionError, r"trust_factor is -0\.1"),
        ({"trust_offset": np.nan}, OptionError, "trust_offset is nan"),
        ({"tolerance": -1.0}, OptionError, r"tolerance is -1\.0"),
        (
            {"postprocess": "x"},
            OptionError,
            "postprocess 'x' is unknown; choose none, batch, end, all",
        ),
        (
            {"tie_break": "nearest"},
            OptionError,
            "tie_break 'nearest' is unknown; choose l2, l1, none",
        ),
        ({"objective": "hinge"}, OptionError, "objective 'hinge' is unknown; choose l1, margin"),
        ({"epochs": 0}, OptionError, "epochs is 0"),
        ({"epochs": True}, OptionError, "epochs is True"),
        ({"first_sample": -1}, OptionError, "first_sample is -1"),
        ({"first_sample": 0.5}, OptionError, r"first_sample is 0\.5"),
        (
            {"average": 1.0},
            OptionError,
            r"average is 1\.0; it must be .* at least 0 and below 1",
        ),
        ({"average": -0.5}, OptionError, r"average is -0\.5"),
        ({"average": np.nan}, OptionError, "average is nan"),
        ({"input_penalty": -1.0}, OptionError, r"input_penalty is -1\.0"),
        ({"input_penalty": np.inf}, OptionError, "input_penalty is inf"),
        ({"class_weight": 0.0}, OptionError, r"class_weight is 0\.0"),
        ({"class_weight": -2}, OptionError, "class_weight is -2"),
        ({"class_weight": np.nan}, OptionError, "class_weight is nan"),
        ({"class_weight": True}, OptionError, "class_weight is True"),
        ({"class_weight": "balance"}, OptionError, "class_weight is 'balance'"),
        ({"class_weight": {0: 1.0, 1: 0.0}}, OptionError, r"class_weight is 0\.0"),
        ({"class_weight": {0: "2"}}, OptionError, "class_weight is '2'"),
        ({"class_weight": {7: 2.0}}, DataError, "label .*7.* is none of the network's 2 classes"),
        (
            {"class_weight": "balanced", "objective": "margin"},
            OptionError,
            "class_weight is for the objective l1, not margin",
        ),
        (
            {"class_weight": 2.0, "objective": "margin"},
            OptionError,
            "class_weight is for the objective l1, not margin",
        ),
        ({"formulation": "tight"}, OptionError, "'tight' is unknown"),
        ({"solver": "scip"}, OptionError, "'scip' is unknown"),
        ({"time_limit": 0.0}, OptionError, "time_limit"),
        ({"gap": -1.0}, OptionError, "gap"),
        ({"node_limit": 0}, OptionError, "node_limit"),
        ({"target_gap": -1.0}, OptionError, r"target_gap is -1\.0"),
        ({"ridge": -0.1}, OptionError, r"ridge is -0\.1"),
        ({"ridge": float("nan")}, OptionError, "ridge is nan"),
        (
            {"weight_decay": 0.1, "ridge": 0.0},
            OptionError,
            r"weight_decay is 0\.1, but the ridge it belongs to is 0",
        ),
        (
            {"weight_decay": 1.5},
            OptionError,
            r"weight_decay is 1\.5; it must be a finite number from 0 to 1",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = fast(**{"X": GOOD_X, "y": GOOD_Y, "batches": 1, "batch_size": 4, **changes})
    with pytest.raises(error, match=words) as caught:
        train(Network.dense([2, 2, 2], seed=1), **arguments)  # type: ignore[call-arg]
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, SolverError)
