"""The layerwise method as a run knows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from layermilp.algorithms.statistics import Phase, Statistics
from layermilp.datasets.dataset import Dataset
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.objective import OBJECTIVES
from layermilp.layerwise.options import PRESETS, Sweeps
from layermilp.layerwise.schedule import WeightAverage, sample_order
from layermilp.layerwise.sweep import Step, SweepCallback
from layermilp.layerwise.trainer import Record, State, training
from layermilp.layerwise.trials import choose_initialization
from layermilp.method import Listener, Method, accuracies, derived_seed, output_classes
from layermilp.method import State as MethodState
from layermilp.networks.committee import Committee
from layermilp.networks.files import Arrays
from layermilp.networks.initialization import INITIALIZERS
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.networks.parameters import check_size
from layermilp.options import option
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray
from layermilp.solvers import SOLVERS

PLAIN = ("batch", "batch_accuracy", "seen_accuracy", "test_accuracy")
"""Fields of a state that are numbers."""


@dataclass(frozen=True, eq=False)
class Trained(MethodState):
    """Where the training of one network is.

    Parameters
    ----------
    at : State
        The state of the trainer.
    is_last : bool
        Whether it is the end of the last batch.
    """

    at: State
    is_last: bool = False

    @property
    def is_resumable(self) -> bool:  # type: ignore[override]
        """Whether a batch is over."""
        return self.at.batch_ended

    @property
    def model(self) -> Network:
        """The average of the weights, see `layermilp.layerwise.trainer.State`."""
        return self.at.network

    @property
    def records(self) -> Sequence[Record]:
        """The sweeps so far."""
        return self.at.records

    @property
    def score(self) -> float:
        """Accuracy on the samples seen."""
        return self.at.seen_accuracy

    @property
    def batches_done(self) -> int:
        """Batches that are over."""
        return self.at.batch if self.at.batch_ended else self.at.batch - 1

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        state = self.at
        arrays = {
            f"{name}_{i}": theta
            for name, thetas in _weights(state).items()
            for i, theta in enumerate(thetas)
        }
        return {
            **{name: getattr(state, name) for name in PLAIN},
            "total": state.mean.total,
            "factor": state.mean.factor,
            "averaged": len(state.mean.sums),
            "records": [asdict(record) for record in state.records],
            "tally": vars(state.tally),
        }, arrays


@dataclass(kw_only=True)
class Layerwise(Sweeps, Method):
    """Goebbels' backward sweep, with the network that it trains."""

    name: ClassVar[str] = "layerwise"

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
        "NAME",
        choices=PRESETS,
        decides=False,
    )
    init: str = option("he", "initial weights", metavar="RULE", choices=INITIALIZERS)
    init_seed: int | None = option(
        None,
        "seed of the initial weights (default: the seed)",
        least=0,
        most=float("inf"),
        is_flag=False,
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
        TrainingData.of(self._network(data), *labelled(data))

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Trained | None = None
    ) -> Iterator[Trained]:
        """Train in batches; yield every sweep and the end of every batch."""
        network = self._network(data)
        checked = _outputs(network, data)
        told = _Told(self, listener, 0 if begin is None else begin.at.batch)
        at = None if begin is None else begin.at
        for state in training(network, checked, self, workers, told, at):
            told.on_state(state)
            yield Trained(state, state.batch_ended and state.batch == self.total_batches)

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> Trained:
        """Return the state of which a checkpoint holds the content."""
        network = self._network(data)
        decision = OBJECTIVES[self.objective].decision
        return Trained(_state(content, arrays, network.with_decision(decision)))

    def member(self, number: int) -> Self:
        """Return the method of a member: its own seed, and images that begin where those before it
        end."""
        first = self.first_sample + number * self.batches * self.batch_size
        return replace(self, seed=derived_seed(self.seed, number), first_sample=first)

    def trial(self, number: int) -> Self:
        """Return the method with other initial weights; everything else has the seed."""
        return replace(self, init_seed=derived_seed(self.seed, number))

    def trials(
        self, count: int, data: Dataset, workers: Workers, listener: Listener
    ) -> tuple[float, ...]:
        """Judge initial networks by the first batch, see `choose_initialization`."""
        networks = [self.trial(number)._network(data) for number in range(count)]
        trials = choose_initialization(
            networks,
            _outputs(networks[0], data),
            self,
            workers,
            lambda number, score: listener.note(
                f"initialization {number}/{count}: accuracy {score:.3f}"
            ),
        )
        return trials.scores

    def told(self, states: Sequence[MethodState]) -> str:
        """Return where a run goes on, in words."""
        return f"goes on after batch {sum(state.at.batch for state in _trained(states))}"

    def settled(self) -> dict[str, Any]:
        """Return the options, with the epochs and the weight decay that the batches decide."""
        hidden = ("first_sample", "init_seed")
        found = {name: value for name, value in super().settled().items() if name not in hidden}
        settled = {"epochs": self.n_epochs, "weight_decay": self.decay, "preset": self.preset}
        return found | settled

    def results(
        self, model: Model | None, states: Sequence[MethodState], data: Dataset
    ) -> dict[str, Any]:
        """Return accuracies, and what was solved."""
        assert model is not None  # every sweep has a network
        members = list(_trained(states))
        tally = sum((member.at.tally for member in members), Statistics())
        calls = dict(sorted(tally.solver_calls.items()))
        found = accuracies(model, data)
        return {
            "batches_done": sum(member.batches_done for member in members),
            "sweeps": sum(len(member.records) for member in members),
            **self.claims(model, [member.records[-1].batch for member in members], data),
            "train_accuracy": found["train"],
            "test_accuracy": found["test"],
            "solver_version": ", ".join(
                f"{SOLVERS[name].title} {SOLVERS[name].version()}" for name in calls
            ),
            "solver_calls": calls,
            "programs_solved": tally.programs,
            "programs_optimal": tally.optimal,
            "programs_at_limit": tally.at_limit,
            "programs_failed": tally.failed,
            "largest_gap": tally.largest_gap,
        }

    def claims(self, model: Model, last_batches: Sequence[int], data: Dataset) -> dict[str, float]:
        """Return the mean accuracy of the members on their last batches, counted from 1, and that
        of the model on all samples that any member has seen."""
        batches, seen = self.used_samples(len(data.X_train), last_batches)
        members = model.networks if isinstance(model, Committee) else (model,)

        def share(network: Model, part: IntArray) -> float:
            return network.accuracy(data.X_train[part], data.classes[data.y_train[part]])

        own = [share(member, batch) for member, batch in zip(members, batches, strict=True)]
        return {"batch_accuracy": float(np.mean(own)), "seen_accuracy": share(model, seen)}

    def used_samples(
        self, n_samples: int, last_batches: Sequence[int]
    ) -> tuple[list[IntArray], IntArray]:
        """Return the samples of every member's last batch, and all that any member has seen.

        Parameters
        ----------
        n_samples : int
            Training samples there are.
        last_batches : sequence of int
            Last batch of every member, from 1.
        """
        size, batches, seen = self.batch_size, [], []
        for number, last in enumerate(last_batches):
            order = sample_order(n_samples, self.member(number))
            batches.append(order[size * (last - 1) : size * last])
            seen.append(order[: size * last])
        return batches, np.unique(np.concatenate(seen))

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
            f"solver calls    {calls or 'none'}",
            f"wall time       {summary['wall_seconds']:.1f} s, {summary['sweeps']} sweeps in "
            f"{summary['batches_done']} batches",
        ]
        if self.time_limit is not None and summary["programs_at_limit"]:
            lines.append(
                "repeatable      not for certain: programs were stopped, and a time limit was set"
            )
        return lines

    def _network(self, data: Dataset) -> Network:
        network = self.initial()
        return network.with_classes(output_classes(network, data))


class _Told(SweepCallback):
    """Puts into words where a training is."""

    def __init__(self, method: Layerwise, listener: Listener, done: int) -> None:
        self.total, self.listener, self.done = method.total_batches, listener, done
        self.state: State | None = None

    def on_step(self, step: Step) -> None:
        """Show where training is."""
        programs, accuracy = step.done, ""
        if self.state is not None:
            programs += self.state.tally.programs
            accuracy = f" · accuracy {self.state.batch_accuracy:.3f}"
        where = f"sweep {step.sweep} · layer {step.layer} {step.kind}" if step.sweep else step.kind
        self.listener.show(
            f"batch {step.batch}/{self.total} · {where} {step.done}/{step.total} · {programs:,} "
            f"programs{accuracy}"
        )

    def on_state(self, state: State) -> None:
        """Take note of a sweep or the end of a batch."""
        self.state = state
        if not state.batch_ended:
            record = state.records[-1]
            losses = " ".join(f"{loss:.2f}" for loss in record.objectives)
            self.listener.detail(
                f"batch {record.batch} sweep {record.sweep}: accuracy "
                f"{record.batch_accuracy:.3f}, losses by layer {losses}, {record.programs} "
                f"programs ({record.at_limit} at limit), {record.seconds:.1f} s"
            )
            return
        test = "" if state.test_accuracy is None else f", test {state.test_accuracy:.3f}"
        self.listener.ended(
            f"batch {state.batch}/{self.total}: accuracy {state.batch_accuracy:.3f}, seen "
            f"{state.seen_accuracy:.3f}{test}, {state.tally.programs:,} programs",
            (state.batch - self.done) / (self.total - self.done),
        )


def labelled(data: Dataset) -> tuple[Any, ...]:
    """Return samples and labels, of the training part and of the test part where there is one."""
    train = data.X_train, data.classes[data.y_train]
    if data.X_test is None or data.y_test is None:
        return train
    return (*train, data.X_test, data.classes[data.y_test])


def _outputs(network: Network, data: Dataset) -> TrainingData:
    """Return data that are checked, with the outputs that stand for their labels."""
    outputs = network.class_indices(data.classes)
    test = None if data.y_test is None else outputs[data.y_test]
    return TrainingData(data.X_train, outputs[data.y_train], data.X_test, test)


def _trained(states: Sequence[MethodState]) -> Iterator[Trained]:
    for state in states:
        assert isinstance(state, Trained)
        yield state


def _weights(state: State) -> dict[str, tuple[FloatArray, ...]]:
    return {
        "network": tuple(block.theta for block in state.network.blocks),
        "iterate": tuple(block.theta for block in state.iterate.blocks),
        "sums": state.mean.sums,
    }


def _state(content: Mapping[str, Any], arrays: Arrays, network: Network) -> State:
    def weights(name: str, count: int) -> list[FloatArray]:
        found = [np.asarray(arrays[f"{name}_{i}"], dtype=np.float64) for i in range(count)]
        for theta, block in zip(found, network.blocks, strict=True):
            if theta.shape != block.theta.shape or not np.all(np.isfinite(theta)):
                raise ValueError(f"{name} has shape {theta.shape} or holds NaN")
        return found

    def built(name: str) -> Network:
        whole = network
        for i, theta in enumerate(weights(name, len(network.blocks))):
            whole = whole.with_block(i, whole.blocks[i].with_theta(theta))
        return whole

    sums = tuple(weights("sums", len(network.blocks))) if content["averaged"] else ()
    calls = Counter(content["tally"]["solver_calls"])
    return State(
        network=built("network"),
        iterate=built("iterate"),
        batch_ended=True,
        mean=WeightAverage(float(content["factor"]), float(content["total"]), sums),
        records=tuple(_record(record) for record in content["records"]),
        tally=Statistics(**{**content["tally"], "solver_calls": calls}),
        **{name: content[name] for name in PLAIN},
    )


def _record(entry: Mapping[str, Any]) -> Record:
    tuples = {name: tuple(entry[name]) for name in ("objectives", "start_objectives")}
    phases = tuple(Phase(**phase) for phase in entry["phases"])
    return Record(**{**entry, **tuples, "phases": phases})
