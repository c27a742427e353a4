"""Sweeps: no layer is made worse, fixed and tied weights are kept, post-processing comes when it
is due."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from layermilp import Block, Network, Trained
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import share_right
from tests.layerwise.samples import bars, blobs, digits, objectives, states, tiny, weights


def test_history_describes_every_sweep(on_digits: Trained) -> None:
    history = on_digits.history
    swept = [record for record in history if record.kind == "sweep"]
    assert [record.batch for record in history] == sorted(record.batch for record in history)
    assert {record.batch for record in history} == {1, 2}
    for batch in (1, 2):
        sweeps = [record.sweep for record in swept if record.batch == batch]
        assert sweeps == list(range(1, len(sweeps) + 1)) and len(sweeps) <= 4
    for record in swept:
        assert 0.0 <= record.batch_accuracy <= 1.0 and 0.0 <= record.seen_accuracy <= 1.0
        assert record.test_accuracy is None
        assert len(record.objectives) == len(record.start_objectives) == 2
        # 4 weight programs, 10 of the last layer or one of all its outputs, and 30 input proposals.
        last = 1 if on_digits.network.decision == "argmax" else 10
        assert record.programs == 34 + last == record.optimal + record.at_limit + record.failed
        assert record.failed == 0
        assert sum(record.solver_calls.values()) > 0
        assert record.seconds > 0.0
        phases = record.phases
        assert [(phase.layer, phase.kind) for phase in phases] == [
            (2, "weights"),
            (2, "inputs"),
            (1, "weights"),
        ]
        assert [phase.programs for phase in phases] == [last, 30, 4]
        assert record.optimal == sum(phase.optimal for phase in phases)
        assert record.largest_gap == max(phase.largest_gap for phase in phases)
        assert 0.0 < sum(phase.seconds for phase in phases) <= record.seconds
    final = history[-1]
    (after,) = final.phases
    assert (final.kind, final.taken, final.programs) == ("end", True, last)
    assert (after.layer, after.kind, after.programs) == (2, "post-processing", last)
    assert 0.0 < after.seconds <= final.seconds
    assert on_digits.tally.programs == (34 + last) * len(swept) + last
    assert on_digits.seconds >= sum(record.seconds for record in history)


def test_no_layer_is_made_worse(on_digits: Trained) -> None:
    assert on_digits.history
    for record in on_digits.history:
        for before, after in zip(record.start_objectives, record.objectives, strict=True):
            assert after <= before + 1e-6


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
            record.batch_accuracy
            for record in state.records
            if record.batch == state.batch and record.kind == "sweep"
        ]
        rises = [before < after for before, after in pairwise(shares)]
        assert all(rises[:-1])
        assert not rises[-1] or shares[-1] == 1.0 or len(rises) == 4


@pytest.mark.parametrize("postprocess", ["none", "batch", "end"])
@pytest.mark.parametrize("average", [0.0, 0.5])
def test_the_last_record_of_a_batch_is_of_the_weights_that_go_on(
    postprocess: str, average: float
) -> None:
    X, y = digits()
    settings = tiny(batch_size=20, postprocess=postprocess, average=average)
    found = states(Network.dense([64, 2, 10], seed=2), X, y, settings)
    records = found[-1].records
    assert any(not record.taken for record in records)  # else this tests nothing
    for state in found:
        # In the middle of a batch as well, the last record taken says where training is.
        last = [record for record in state.records if record.taken][-1]
        assert (last.batch_accuracy, last.seen_accuracy, last.test_accuracy) == (
            state.batch_accuracy,
            state.seen_accuracy,
            state.test_accuracy,
        )
        assert state.tally.total.programs == sum(record.programs for record in state.records)
        if state.batch_ended:
            assert last is state.records[-1]
    for end in (record for record in records if record.kind == "end"):
        sweeps = [
            record for record in records if record.batch == end.batch and record.kind == "sweep"
        ]
        assert not sweeps[-1].taken or end.phases  # there is no end that says nothing
        best = max(record.batch_accuracy for record in sweeps)
        assert end.sweep == next(r.sweep for r in sweeps if r.batch_accuracy == best)
        if not end.phases:
            assert (end.batch_accuracy, end.programs, end.solver_calls) == (best, 0, {})
    if postprocess != "none":
        part = sample_order(len(X), settings)[40:]
        model = found[-1].iterate if postprocess == "batch" else found[-1].network
        assert records[-1].phases
        assert records[-1].batch_accuracy == share_right(model, X[part], y[part])


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
    records = found[-1].records
    assert all(record.batch_accuracy < 1.0 for record in records if record.kind == "sweep")
    assert (
        _postprocessing(steps)
        == {"batch": [1, 2, 3], "end": [3], "all": [3], "none": []}[postprocess]
    )
    ends = [record for record in records if record.kind == "end"]
    programs = 10 if objective == "l1" else 1
    assert [record.batch for record in ends] == _postprocessing(steps)
    assert all(record.programs == programs == record.phases[0].programs for record in ends)
    assert found[-1].tally.total.programs == sum(record.programs for record in records)
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


def test_without_a_limit_sweeps_end_when_the_accuracy_no_longer_rises() -> None:
    X, y = digits()
    network = Network.dense([64, 4, 10], init="uniform", seed=2)
    counts = []
    for most in (1, 2, 1000, None):
        settings = tiny(batches=2, batch_size=30, max_sweeps=most)
        found = states(network, X, y, settings)[-1].records
        records = [record for record in found if record.kind == "sweep"]
        counts.append(len(records))
        for batch in (1, 2):
            shares = [record.batch_accuracy for record in records if record.batch == batch]
            assert all(a < b for a, b in pairwise(shares[:-1]))
            if most is None:
                assert shares[-1] == 1.0 or shares[-1] <= shares[-2]
    assert counts[0] == 2 < counts[2] == counts[3]


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
