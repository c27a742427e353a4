"""Training in batches on small data: what is kept, what is repeatable, what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from layermilp import Block, Network, Trained, train
from layermilp.errors import DataError, LayermilpError, OptionError, SolverError
from layermilp.layerwise.solve import Setup
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import Settings, State, TrainingData, sample_order, share_right, training, trust_box
from layermilp.parallel import Workers
from layermilp.program import Limits


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


def tiny(**changes: Any) -> Settings:
    """Return settings of a run that takes a moment."""
    setup = Setup(limits=Limits(node_limit=50), target_gap=0.01)
    return replace(Settings(batches=3, batch_size=8, setup=setup, max_sweeps=4, postprocess="none"), **changes)


def states(
    network: Network, X: np.ndarray, y: np.ndarray, run: Settings, watch: list[Step] | None = None
) -> list[State]:
    """Train in this process; return every state, and append every step to `watch`."""
    seen: list[Step] = [] if watch is None else watch
    with Workers(1) as workers:
        return list(training(network, TrainingData.of(network, X, y), run, workers, seen.append))


def weights(network: Network) -> list[bytes]:
    """Return the parameters bit by bit."""
    return [block.theta.tobytes() for block in network.blocks]


@pytest.fixture(scope="module")
def on_digits() -> Trained:
    X, y = digits()
    return train(
        Network.dense([64, 4, 10], seed=1), X, y, batches=2, batch_size=30, n_jobs=1, node_limit=20, max_sweeps=4
    )


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
        # 4 + 10 weight programs and 30 input proposals.
        assert record.programs == 44 == record.optimal + record.at_limit + record.failed
        assert record.failed == 0
        assert sum(record.solver_calls.values()) > 0
        assert record.seconds > 0.0
    assert on_digits.tally.programs >= 44 * len(history)
    assert on_digits.seconds >= sum(record.seconds for record in history)


def test_no_layer_is_made_worse(on_digits: Trained) -> None:
    for record in on_digits.history:
        for before, after in zip(record.start_objectives, record.objectives, strict=True):
            assert after <= before + 1e-6


def test_training_starts_from_a_network_it_does_not_change() -> None:
    X, y = blobs()
    network = Network.dense([2, 2, 2], seed=3)
    before = weights(network)
    trained = train(network, X, y, batches=1, batch_size=12, n_jobs=1)
    assert weights(network) == before != weights(trained.network)


@pytest.mark.parametrize("formulation", ["reduced", "paper"])
def test_both_formulations_learn_separable_data(formulation: str) -> None:
    X, y = blobs()
    trained = train(Network.dense([2, 2, 2], seed=3), X, y, batches=1, batch_size=10, n_jobs=1, formulation=formulation)
    assert trained.history[-1].failed == 0
    assert trained.network.accuracy(X, y) > 0.9


def test_labels_may_be_text_and_test_data_are_recorded() -> None:
    X, y = blobs()
    names = np.array(["left", "right"])
    network = Network.dense([2, 2, 2], seed=3).with_classes(names)
    options: dict[str, Any] = {"batches": 2, "batch_size": 8, "n_jobs": 1}
    with_test = train(network, X, names[y], X_test=X[:5], y_test=names[y[:5]], **options)
    without = train(network, X, names[y], **options)
    assert weights(with_test.network) == weights(without.network)
    assert all(record.test_accuracy is not None for record in with_test.history)
    assert with_test.network.accuracy(X[:8], names[y[:8]]) > 0.5


@pytest.mark.parametrize("make", [blobs, bars])
def test_best_weights_of_a_batch_go_on(make: Any) -> None:
    X, y = make()
    run = tiny()
    found = states(Network.dense([X.shape[1], 3, 2], seed=2), X, y, run)
    for state in found:
        records = [record for record in state.records if record.batch == state.batch]
        best = max(record.batch_accuracy for record in records)
        assert state.batch_accuracy == best
        part = sample_order(len(X), run)[(state.batch - 1) * 8 : state.batch * 8]
        assert share_right(state.network, X[part], y[part]) == best
        seen = slice(0, state.batch * 8)
        assert state.seen_accuracy == share_right(state.network, X[seen], y[seen])


def test_sweeps_go_on_while_the_accuracy_rises() -> None:
    X, y = digits()
    for state in states(Network.dense([64, 2, 10], seed=2), X, y, tiny(batches=2, batch_size=20)):
        if not state.batch_ended:
            continue
        shares = [0.0] + [record.batch_accuracy for record in state.records if record.batch == state.batch]
        rises = [before < after for before, after in pairwise(shares)]
        assert all(rises[:-1])
        assert not rises[-1] or shares[-1] == 1.0 or len(rises) == 4


def test_a_state_per_sweep_and_one_per_batch() -> None:
    X, y = blobs()
    found = states(Network.dense([2, 2, 2], seed=2), X, y, tiny())
    assert sum(state.batch_ended for state in found) == 3
    assert len(found) == 3 + len(found[-1].records)
    assert [state.batch for state in found if state.batch_ended] == [1, 2, 3]
    assert [len(state.records) for state in found if not state.batch_ended] == list(range(1, len(found) - 2))
    assert found[-1].batch_ended and found[-1].batch == 3
    programs = [state.tally.programs for state in found]
    assert programs == sorted(programs)
    assert programs[-1] == sum(record.programs for record in found[-1].records)


def test_interrupted_training_keeps_the_last_state() -> None:
    X, y = blobs()
    network, run = Network.dense([2, 2, 2], seed=2), tiny()
    whole = states(network, X, y, run)
    data = TrainingData.of(network, X, y)

    def watch(step: Step) -> None:
        if step.batch == 2:
            raise KeyboardInterrupt

    kept: list[State] = []
    with pytest.raises(KeyboardInterrupt), Workers(1) as workers:
        for state in training(network, data, run, workers, watch):
            kept.append(state)
    assert kept[-1].batch_ended and kept[-1].batch == 1
    assert [weights(state.network) for state in kept] == [weights(state.network) for state in whole[: len(kept)]]
    with Workers(1) as workers:
        steps = training(network, data, run, workers)
        first = next(steps)
        steps.close()
    assert weights(first.network) == weights(whole[0].network)


@pytest.mark.parametrize("make", [blobs, bars])
def test_the_same_seed_gives_the_same_weights_for_any_number_of_workers(make: Any) -> None:
    X, y = make()
    network = Network.dense([X.shape[1], 3, 2], seed=4)
    runs = [
        train(network, X, y, batches=4, batch_size=8, seed=5, n_jobs=n_jobs, node_limit=50, max_sweeps=3)
        for n_jobs in (1, 1, 2)
    ]
    for other in runs[1:]:
        assert weights(other.network) == weights(runs[0].network)
        for one, same in zip(runs[0].history, other.history, strict=True):
            assert replace(one, seconds=0.0) == replace(same, seconds=0.0)


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
    for network in (Network.dense([16, 3, 2], seed=2), Network([Block.conv2d(4, 4, 2, seed=1), Block.dense(9, 2)])):
        before = network
        run = tiny(postprocess="batch", trust_factor=0.6, trust_offset=0.01)
        for state in states(network, X, y, run):
            for old, new in zip(before.blocks, state.network.blocks, strict=True):
                assert np.all(np.abs(new.theta) <= 1.0)
                if state.batch > 1:
                    assert np.all(np.abs(new.theta - old.theta) <= 0.6 * np.abs(old.theta) + 0.01 + 1e-12)
            if state.batch_ended:
                before = state.network


def test_smaller_boxes_are_kept() -> None:
    X, y = blobs()
    for state in states(Network.dense([2, 2, 2], init="uniform", seed=2), X, y, tiny(box=0.25, postprocess="end")):
        for block in state.network.blocks:
            assert np.all(np.abs(block.theta) <= 0.25)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=5), st.floats(0.1, 2.0), st.booleans())
def test_trust_box_is_that_of_the_report(values: list[float], box: float, first: bool) -> None:
    theta = np.array(values)
    found = trust_box(theta, Settings(box=box), first=first)
    assert np.all(found.lower <= found.upper)
    for value, low, high in zip(values, found.lower, found.upper, strict=True):
        inside = min(max(value, -box), box)
        reach = np.inf if first else 0.6 * abs(inside) + 0.01
        assert low == pytest.approx(max(inside - reach, -box)) and high == pytest.approx(min(inside + reach, box))
        assert low <= inside <= high


def _postprocessing(steps: list[Step]) -> list[int]:
    return [step.batch for step in steps if step.kind == "post-processing" and step.done == 0]


@pytest.mark.parametrize("postprocess", ["batch", "end", "none"])
def test_postprocessing_runs_when_it_is_asked_for(postprocess: str) -> None:
    X, y = digits()
    steps: list[Step] = []
    run = tiny(batches=3, batch_size=20, max_sweeps=1, postprocess=postprocess)
    found = states(Network.dense([64, 2, 10], seed=2), X, y, run, steps)
    assert all(record.batch_accuracy < 1.0 for record in found[-1].records)
    assert _postprocessing(steps) == {"batch": [1, 2, 3], "end": [3], "none": []}[postprocess]
    extra = found[-1].tally.programs - sum(record.programs for record in found[-1].records)
    assert extra == 10 * len(_postprocessing(steps))
    sizes = {step.total for step in steps if step.kind == "post-processing"}
    assert sizes <= {10}


def test_postprocessing_leaves_a_learned_batch_alone() -> None:
    X, y = blobs()
    steps: list[Step] = []
    found = states(Network.dense([2, 2, 2], seed=3), X, y, tiny(postprocess="batch", max_sweeps=10), steps)
    learned = {record.batch for record in found[-1].records if record.batch_accuracy == 1.0}
    assert learned
    assert not learned & set(_postprocessing(steps))


def test_postprocessing_lowers_the_loss_with_the_dead_zone() -> None:
    X, y = digits()
    run = tiny(batches=2, batch_size=30, max_sweeps=1)
    before = states(Network.dense([64, 4, 10], seed=2), X, y, run)[-1].network
    after = states(Network.dense([64, 4, 10], seed=2), X, y, replace(run, postprocess="end"))[-1].network
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
    run = Settings(batches=batches, batch_size=batch_size, seed=seed)
    if batch_size > samples:
        with pytest.raises(DataError, match=f"batch of {batch_size} needs more than the {samples} training samples"):
            sample_order(samples, run)
        return
    order = sample_order(samples, run)
    assert order.size == batches * batch_size
    for first in range(0, order.size, samples):
        part = order[first : first + samples]
        assert np.unique(part).size == part.size and part.min() >= 0 and part.max() < samples
        if first == 0:
            assert part.tolist() == list(range(part.size))
    assert order.tolist() == sample_order(samples, run).tolist()
    longer = sample_order(samples, replace(run, batches=batches + 3))
    assert longer[: order.size].tolist() == order.tolist()


def test_passes_are_reshuffled() -> None:
    order = sample_order(20, Settings(batches=3, batch_size=20, seed=1)).reshape(3, 20)
    assert not np.array_equal(order[0], order[1]) and not np.array_equal(order[1], order[2])
    assert order[1].tolist() != sample_order(20, Settings(batches=3, batch_size=20, seed=2))[20:40].tolist()


def test_training_runs_on_into_another_pass() -> None:
    X, y = blobs(10)
    trained = train(Network.dense([2, 2, 2], seed=2), X, y, batches=4, batch_size=4, n_jobs=1)
    assert {record.batch for record in trained.history} == {1, 2, 3, 4}


def _with(X: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    changed = X.copy()
    changed[row, column] = value
    return changed


GOOD_X, GOOD_Y = blobs(8)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"X": _with(GOOD_X, 3, 1, np.nan)}, DataError, "training sample 3 has the value nan at input 1"),
        ({"X": _with(GOOD_X, 3, 1, np.inf)}, DataError, "training sample 3 has the value inf at input 1"),
        ({"X": _with(GOOD_X, 2, 0, -0.5)}, DataError, r"training sample 2 has the value -0\.5 at input 0.*scale"),
        ({"X": GOOD_X[:, :1]}, DataError, r"takes 2 inputs, but the training data have shape \(8, 1\)"),
        ({"X": GOOD_X[0]}, DataError, "takes 2 inputs"),
        ({"X": np.zeros((0, 2)), "y": []}, DataError, "0 training samples and 0 labels"),
        ({"X": []}, DataError, r"shape \(0,\)"),
        ({"X": GOOD_X[:5]}, DataError, "5 training samples and 8 labels"),
        ({"y": np.append(GOOD_Y[:-1], 7)}, DataError, "label .*7.* is none of the network's 2 classes"),
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
        ({"postprocess": "x"}, OptionError, "postprocess is 'x'; choose batch, end, none"),
        ({"formulation": "tight"}, OptionError, "'tight' is unknown"),
        ({"solver": "gurobi"}, OptionError, "'gurobi' is unknown"),
        ({"time_limit": 0.0}, OptionError, "time_limit"),
        ({"gap": -1.0}, OptionError, "gap"),
        ({"node_limit": 0}, OptionError, "node_limit"),
        ({"target_gap": -1.0}, OptionError, r"target_gap is -1\.0"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], error: type[LayermilpError], words: str) -> None:
    arguments: dict[str, Any] = {"X": GOOD_X, "y": GOOD_Y, "batches": 1, "batch_size": 4, "n_jobs": 1, **changes}
    with pytest.raises(error, match=words) as caught:
        train(Network.dense([2, 2, 2], seed=1), **arguments)
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, SolverError)
