"""Which samples a batch has, the box around its start, and the average of the batches' weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block, Network, train
from layermilp.errors import DataError
from layermilp.layerwise.schedule import WeightAverage, sample_order, trust_box
from layermilp.layerwise.trainer import share_right
from tests.layerwise.samples import bars, blobs, fast, objectives, states, tiny, weights


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
