"""Members of a committee: samples and seeds of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Committee, Layerwise, Network, Run
from layermilp.datasets.dataset import from_arrays
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.trainer import run
from layermilp.method import Listener, derived_seed
from layermilp.parallel import Workers
from tests.layerwise.samples import bars, digits, objectives, tiny, weights


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
    assert [replace(own, seed=seed, part=0) for own in found] == [settings] * members
    samples = members * batches * batch_size
    seen = np.concatenate([np.unique(sample_order(samples, own)) for own in found])
    assert sorted(seen) == list(range(samples))
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


class Told(Listener):
    """Remembers lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def ended(self, text: str, share: float) -> None:
        self.lines.append(text)


def test_lines_say_what_goes_on() -> None:
    method = Layerwise.of(tiny(batch_size=20, postprocess="batch"), net="64-2-10", seed=2)
    told = Told()
    with Workers(1) as workers:
        *_, state = method.training(from_arrays(*digits()), workers, told)
    lines = iter(told.lines)
    for record in state.records:
        line = next(lines)
        if record.kind == "sweep":
            assert line.startswith(f"batch {record.batch} sweep {record.sweep}: accuracy ")
            assert (", not taken, " in line) is not record.taken
            continue
        assert line.startswith(f"batch {record.batch}: sweep {record.sweep} goes on")
        assert ("post-processing 10 programs" in line) is bool(record.phases)
        assert next(lines).startswith(
            f"batch {record.batch}/3: accuracy {record.batch_accuracy:.3f}, "
        )
    assert not list(lines)
    assert any(not record.taken for record in state.records)  # else this tests nothing
