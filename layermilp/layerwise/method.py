"""The layerwise method as a run knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from typing import Any, ClassVar, Self

import numpy as np

from layermilp.algorithms.statistics import KINDS, NOT_NEEDED, OWN, Tally
from layermilp.datasets.dataset import Dataset
from layermilp.errors import DataError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.editions import check_edition
from layermilp.layerwise.objective import OBJECTIVES
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.presets import PRESETS
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.state import State
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import run, share_right, training
from layermilp.method import Listener, Method, accuracies, derived_seed, output_classes
from layermilp.networks.committee import Committee
from layermilp.networks.files import Arrays
from layermilp.networks.initialization import INITIALIZERS
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.networks.parameters import check_size
from layermilp.options import option
from layermilp.parallel import Workers
from layermilp.program import IntArray
from layermilp.solvers import version_of


@dataclass(kw_only=True)
class Layerwise(Sweeps, Method):
    """Goebbels' backward sweep, with the network that it trains."""

    name: ClassVar[str] = "layerwise"
    size_name: ClassVar[str] = "batches times batch size"

    net: str = option(
        "784-8-8-8-10",
        "inputs and layers: 784-8-8-8-10, or 28x28-mean4-conv3-10 with means of 4 x 4 regions and "
        "a 3 x 3 kernel",
        metavar="LAYERS",
    )
    preset: str | None = option(
        None,
        "options of a publication as defaults",
        "Name of the preset that the options are of, see `layermilp.preset`.",
        choices=PRESETS,
        decides=False,
    )
    init: str = option("he", "initial weights", metavar="RULE", choices=INITIALIZERS)
    init_seed: int | None = option(
        None, "seed of the initial weights (default: the seed)", least=0, most=inf, is_flag=False
    )

    def initial(self) -> Network:
        """Return the network that training starts from, with the outputs 0, 1, ... as classes."""
        seed = self.seed if self.init_seed is None else self.init_seed
        return Network.from_notation(self.net, init=self.init, seed=seed)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.initial().n_inputs

    def check_memory(self, networks: int) -> None:
        """Raise `NetworkError` if there is not enough memory for so many networks."""
        blocks = self.initial().blocks
        n_weights = sum(block.parameters.index.size for block in blocks)
        check_size(len(blocks), n_weights * networks, "the committee")

    def check(self, data: Dataset) -> None:
        """Raise an error if the data do not fit the network."""
        training_data(self.network_for(data), data)

    def used(self, data: Dataset) -> IntArray:
        """Return the training samples of an epoch, or of as many batches as take all."""
        return np.unique(sample_order(len(data.X_train), replace(self, epochs=1)))

    def network_for(self, data: Dataset) -> Network:
        """Return the network that training starts from, with the labels of the data as classes."""
        network = self.initial()
        return network.with_classes(output_classes(network, data))

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: State | None = None
    ) -> Iterator[State]:
        """Train in batches; yield every sweep and the end of every batch."""
        network = self.network_for(data)
        told = _Told(self, listener, 0 if begin is None else begin.batch)
        checked = training_data(network, data)
        handed_over = check_edition(network, self, self.objective_for(network, checked.y))
        if handed_over:
            listener.note(f"note: {handed_over}")
        for state in training(network, checked, self, workers, told.on_step, begin):
            told.on_state(state)
            yield state

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> State:
        """Return the state of which a checkpoint holds the content."""
        decision = OBJECTIVES[self.objective].decision
        return State.restored(content, arrays, self.network_for(data).with_decision(decision))

    def member(self, number: int) -> Self:
        """Return the method of a member: its own seed, and its own part of the samples."""
        return replace(super().member(number), part=self.part + number)

    def trial(self, number: int) -> Self:
        """Return the method with other initial weights; everything else has the seed."""
        return replace(self, init_seed=derived_seed(self.seed, number))

    def trials(
        self, count: int, data: Dataset, workers: Workers, listener: Listener
    ) -> tuple[float, ...]:
        """Train the first batch from every initialization, each in one worker process; return the
        accuracies on the training samples outside the batch (Goebbels 2021, section 3:
        "experimentally determine").

        Raises
        ------
        DataError
            If the batch holds all samples.
        """
        first = replace(
            self, batches=1, epochs=1, weight_decay=self.decay, average=0.0, postprocess="none"
        )
        rest = np.setdiff1d(np.arange(len(data.X_train)), sample_order(len(data.X_train), first))
        if not rest.size:
            raise DataError(
                "the first batch holds all training samples, so none are left to judge "
                "initializations by"
            )
        networks = [self.trial(number).network_for(data) for number in range(count)]
        checked = training_data(networks[0], replace(data, X_test=None, y_test=None))
        scores: list[float] = []
        for network in workers.map(partial(_trained, data=checked, settings=first), networks):
            scores.append(share_right(network, checked.X[rest], checked.y[rest]))
            listener.note(f"initialization {len(scores)}/{count}: accuracy {scores[-1]:.3f}")
        return tuple(scores)

    def told(self, states: Sequence[Any]) -> str:
        """Return where a run goes on, in words."""
        return f"goes on after batch {sum(state.batch for state in states)}"

    def settled(self) -> dict[str, Any]:
        """Return the options, with the epochs and the weight decay that the batches decide."""
        found = super().settled()
        del found["first_sample"], found["part"], found["init_seed"]
        decided = {
            "epochs": self.n_epochs,
            "proximity": self.price,
            "ridge": self.softness,
            "weight_decay": self.decay,
            "preset": self.preset,
        }
        return found | decided

    def results(self, model: Model | None, states: Sequence[Any], data: Dataset) -> dict[str, Any]:
        """Return accuracies, and what was solved."""
        assert model is not None  # every sweep has a network
        tally = sum((state.tally for state in states), Tally())
        total = tally.total
        found = accuracies(model, data)
        return {
            "batches_done": sum(state.batch - (not state.batch_ended) for state in states),
            "sweeps": sum(record.kind == "sweep" for state in states for record in state.records),
            **self.claims(model, [state.records[-1].batch for state in states], data),
            "train_accuracy": found["train"],
            "test_accuracy": found["test"],
            "solver_version": ", ".join(map(version_of, sorted(total.solver_calls))),
            "solver_calls": dict(sorted(total.solver_calls.items())),
            "programs_solved": total.programs,
            "programs_optimal": total.optimal,
            "programs_at_limit": total.at_limit,
            "programs_failed": total.failed,
            "programs_by_kind": {kind: total.kinds.get(kind, 0) for kind in KINDS},
            "branched": total.branched,
            "nodes": total.nodes,
            "largest_gap": total.largest_gap,
            "largest_relative_gap": total.largest_relative_gap,
            "purposes": {name: asdict(counts) for name, counts in tally.purposes.items()},
        }

    def claims(self, model: Model, last_batches: Sequence[int], data: Dataset) -> dict[str, float]:
        """Return the mean accuracy of the members on their last batches, counted from 1, and that
        of the model on all samples that any member has seen."""

        def share(network: Model, part: IntArray) -> float:
            return network.accuracy(data.X_train[part], data.classes[data.y_train[part]])

        members = model.networks if isinstance(model, Committee) else (model,)
        size, seen, shares = self.batch_size, [], []
        for number, (member, last) in enumerate(zip(members, last_batches, strict=True)):
            order = sample_order(len(data.X_train), self.member(number))[: size * last]
            seen.append(order)
            shares.append(share(member, order[size * (last - 1) :]))
        every = np.unique(np.concatenate(seen))
        return {"batch_accuracy": float(np.mean(shares)), "seen_accuracy": share(model, every)}

    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""
        test = summary["test_accuracy"]
        calls = ", ".join(f"{name} {count:,}" for name, count in summary["solver_calls"].items())
        failed = summary["programs_failed"]
        lines = [
            f"net             {summary['net']} on {summary['data']}",
            f"train accuracy  {summary['train_accuracy']:.4f} (last batch "
            f"{summary['batch_accuracy']:.4f}, all images seen {summary['seen_accuracy']:.4f})",
            f"test accuracy   {'none' if test is None else f'{test:.4f}'}",
            f"programs        {summary['programs_solved']:,} solved: "
            f"{summary['programs_optimal']:,} optimal within the gap, "
            f"{summary['programs_at_limit']:,} at a limit, largest gap "
            f"{summary['largest_gap']:.2g}" + (f", {failed:,} failed" if failed else ""),
            *(f"{name:15} {_in_words(counts)}" for name, counts in summary["purposes"].items()),
            f"solver calls    {calls or 'none'}",
            f"wall time       {summary['wall_seconds']:.1f} s, {summary['sweeps']} sweeps in "
            f"{summary['batches_done']} batches",
        ]
        if self.time_limit is not None and summary["programs_at_limit"]:
            lines.append(
                "repeatable      not for certain: programs were stopped, and a time limit was set"
            )
        return lines


_WORDS = {
    "milp": "MILPs",
    "lp": "LPs",
    "qp": "QPs",
    "closed_form": "in closed form",
    NOT_NEEDED: "not needed",
}
"""Kinds of programs."""


def _in_words(counts: Mapping[str, Any]) -> str:
    """Return what the programs of a purpose were, and how near they came to their bounds."""
    kinds = counts["kinds"]
    parts = [
        f"{kinds[kind]:,} {words[:-1] if kinds[kind] == 1 and words.endswith('s') else words}"
        for kind, words in _WORDS.items()
        if kinds.get(kind)
    ]
    if counts["branched"]:
        parts.append(f"{counts['branched']:,} branched, {counts['nodes']:,} nodes")
    gap, relative = counts["largest_gap"], counts["largest_relative_gap"]
    if relative:
        parts.append(f"gap {gap:.2g} of the targets, {relative:.2g} of the objective")
    names = sorted(counts["solver_calls"], key=lambda name: name != OWN)
    return ", ".join(parts) + (f", by {' and '.join(names)}" if names else "")


class _Told:
    """Puts into words where a training is."""

    def __init__(self, method: Layerwise, listener: Listener, done: int) -> None:
        self.total, self.listener, self.done = method.total_batches, listener, done
        self.state: State | None = None

    def on_step(self, step: Step) -> None:
        """Show where training is."""
        programs, accuracy = step.done, ""
        if self.state is not None:
            programs += self.state.tally.total.programs
            accuracy = f" · accuracy {self.state.batch_accuracy:.3f}"
        where = f"sweep {step.sweep} · layer {step.layer} {step.kind}" if step.sweep else step.kind
        self.listener.show(
            f"batch {step.batch}/{self.total} · {where} {step.done}/{step.total} · {programs:,} "
            f"programs{accuracy}"
        )

    def on_state(self, state: State) -> None:
        """Take note of a sweep or the end of a batch."""
        self.state, record = state, state.records[-1]
        programs = (
            f"{record.programs} programs ({record.at_limit} at limit), {record.seconds:.1f} s"
        )
        if not state.batch_ended:
            losses = " ".join(f"{loss:.2f}" for loss in record.objectives)
            self.listener.detail(
                f"batch {record.batch} sweep {record.sweep}: accuracy "
                f"{record.batch_accuracy:.3f}{'' if record.taken else ', not taken'}, losses by "
                f"layer {losses}, {programs}"
            )
            return
        if record.kind == "end":
            work = f", {record.phases[0].kind} {programs}" if record.phases else ""
            self.listener.detail(f"batch {record.batch}: sweep {record.sweep} goes on{work}")
        test = "" if state.test_accuracy is None else f", test {state.test_accuracy:.3f}"
        self.listener.ended(
            f"batch {state.batch}/{self.total}: accuracy {state.batch_accuracy:.3f}, seen "
            f"{state.seen_accuracy:.3f}{test}, {state.tally.total.programs:,} programs",
            (state.batch - self.done) / (self.total - self.done),
        )


def training_data(network: Network, data: Dataset) -> TrainingData:
    """Return data as they are trained on, checked against the network."""
    test = None if data.y_test is None else data.classes[data.y_test]
    return TrainingData.of(network, data.X_train, data.classes[data.y_train], data.X_test, test)


def _trained(network: Network, data: TrainingData, settings: Sweeps) -> Network:
    """Train in this process."""
    with Workers(1) as workers:
        return run(network, data, settings, workers).network
