"""The command ``train``: one network, or the members of a committee."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.statistics import Statistics
from layermilp.checks import check_whole
from layermilp.cli.models import accuracies
from layermilp.cli.sources import labelled, load, origin
from layermilp.datasets import Dataset
from layermilp.errors import LayermilpError, NetworkError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.members import derived_seed, member_settings, train_members
from layermilp.layerwise.options import Settings
from layermilp.layerwise.schedule import WeightAverage, sample_order
from layermilp.layerwise.trainer import Record, State, Trained, training
from layermilp.layerwise.trials import choose_initialization
from layermilp.networks.committee import Committee
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.networks.parameters import check_size
from layermilp.parallel import Workers
from layermilp.program import IntArray, Limits
from layermilp.runs.checkpoint import FORMAT as CHECKPOINT
from layermilp.runs.checkpoint import VERSION as CHECKPOINT_VERSION
from layermilp.runs.checkpoint import Checkpoint, digest_of
from layermilp.runs.directory import RunDirectory
from layermilp.runs.progress import Progress
from layermilp.solvers import SOLVERS
from layermilp.version import __version__

INTERRUPTED = 130

MOST_MEMBERS = 10_000
"""Of a committee, and most initializations to try."""

SECONDS_BETWEEN_WRITES = 2.0
"""What a run that is killed may lose: a summary takes the accuracy on all images, longer than many
a batch."""

OPTIONS = tuple(
    entry.name for entry in fields(Settings) if entry.name not in ("setup", "first_sample")
)
"""Settings that are options of the command line under their own names."""


def train(arguments: argparse.Namespace) -> int:
    """Train and write what was learned."""
    settings = settings_of(arguments)
    for option in ("committee", "init_trials"):
        check_whole(option, getattr(arguments, option), 1, MOST_MEMBERS)
    network = Network.from_notation(arguments.net, init=arguments.init, seed=settings.seed)
    n_weights = sum(block.parameters.index.size for block in network.blocks)
    check_size(
        len(network.blocks),
        n_weights * max(arguments.committee, arguments.init_trials),
        "the committee",
    )
    workers = Workers(arguments.jobs, arguments.backend, arguments.address)
    directory = RunDirectory(arguments.out) if arguments.out is not None else None
    with Progress(
        settings.total_batches, quiet=arguments.quiet, verbose=arguments.verbose
    ) as progress:
        data = load(arguments, network.n_inputs, progress.note)
        progress.note(f"data: {data.source}")
        classes = output_classes(network, data)
        checked = TrainingData.of(network.with_classes(classes), *labelled(data))
        run = _Run(arguments, settings, data, classes, directory, progress)
        run.restore(checked)
        with keeping(run):
            interrupted = run.follow(checked, workers)
            run.write(interrupted)
    if not run.members:
        print("layermilp: interrupted before anything was learned", file=sys.stderr)
        return INTERRUPTED
    print(run.report(interrupted))
    return INTERRUPTED if interrupted else 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the arguments ask for."""
    limits = Limits(arguments.time_limit, arguments.gap, arguments.node_limit)
    setup = SolveOptions(
        formulation=arguments.formulation,
        solver=arguments.solver,
        limits=limits,
        options=dict(arguments.solver_option),
        tie_break=arguments.tie_break,
        target_gap=arguments.target_gap,
    )
    return Settings(setup=setup, **{name: getattr(arguments, name) for name in OPTIONS})


@dataclass(frozen=True, eq=False)
class _Member:
    """What is known of one network of the run."""

    network: Network
    records: tuple[Record, ...]
    tally: Statistics
    batches_done: int

    @classmethod
    def of(cls, state: State) -> _Member:
        """Return the member at the end of a batch."""
        return cls(state.network, state.records, state.tally, state.batch)


class _Run:
    """A training run from the command line: its members so far, and what is written of them."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        data: Dataset,
        classes: Any,
        directory: RunDirectory | None,
        progress: Progress,
    ) -> None:
        self.arguments, self.settings, self.data, self.classes = arguments, settings, data, classes
        self.directory, self.progress = directory, progress
        self.size: int = arguments.committee
        self.members: list[_Member] = []
        self.states: list[State] = []
        self.scores: list[tuple[float, ...]] = []
        self.digest, self.has_begun = "", False
        self.began = time.perf_counter()
        self.written = -math.inf

    def restore(self, data: TrainingData) -> None:
        """Take up the newest checkpoint of a resumed run."""
        if self.directory is None:
            return
        template = self._candidate(0).with_decision(
            self.settings.objective_for(self._candidate(0), data.y).decision
        )
        self.digest = digest_of(
            [member_settings(self.settings, i) for i in range(self.size)], template, data
        )
        if not self.arguments.is_resumed:
            return
        found = self.directory.restored(
            lambda file: Checkpoint.from_file(file, template), self.progress.note
        )
        if found is None:
            self.progress.note("no batch was over; the run begins anew")
            return
        found.check(self.digest)
        self.states, self.scores = list(found.states), list(found.scores[: len(found.states)])
        self.began -= found.seconds
        self.members = [_Member.of(state) for state in self.states]
        self.progress.note(f"goes on after batch {sum(state.batch for state in self.states)}")

    def _keep(self) -> None:
        """Write a checkpoint; the first one of a new run takes the place of what the directory
        had."""
        if self.directory is not None:
            seconds = time.perf_counter() - self.began
            checkpoint = Checkpoint(self.digest, tuple(self.states), tuple(self.scores), seconds)
            is_first = not self.arguments.is_resumed and not self.has_begun
            argv = self.arguments.argv if is_first else None
            self.directory.checkpoint(CHECKPOINT, CHECKPOINT_VERSION, checkpoint.arrays(), argv)
            self.has_begun = True

    def follow(self, data: TrainingData, workers: Workers) -> bool:
        """Train to the end or until interrupted; return whether it was."""
        try:
            with terminated_like_interrupted(), workers:
                if self.size == 1:
                    self._train_one(data, workers)
                else:
                    self._train_members(data, workers)
        except KeyboardInterrupt:
            return True
        return False

    def _initial(self, member: int, data: TrainingData, workers: Workers) -> Network:
        """Return the initial network of a member, chosen among trials if these are asked for."""
        settings, n_trials = member_settings(self.settings, member), self.arguments.init_trials
        candidates = [
            self._candidate(derived_seed(settings.seed, trial)) for trial in range(n_trials)
        ]
        if n_trials == 1:
            return candidates[0]
        trials = choose_initialization(
            candidates,
            data,
            settings,
            workers,
            lambda number, score: self.progress.note(
                f"initialization {number}/{n_trials}: accuracy {score:.3f}"
            ),
        )
        self.scores.append(tuple(trials.scores))
        self.progress.note(f"initialization {trials.chosen + 1} of {n_trials} goes on")
        return trials.network

    def _candidate(self, seed: int) -> Network:
        """Return an initial network."""
        return Network.from_notation(
            self.arguments.net, init=self.arguments.init, seed=seed
        ).with_classes(self.classes)

    def _train_one(self, data: TrainingData, workers: Workers) -> None:
        begin = self.states[0] if self.states else None
        network = self._initial(0, data, workers) if begin is None else begin.iterate
        for state in training(network, data, self.settings, workers, self.progress, begin):
            done = state.batch if state.batch_ended else state.batch - 1
            self.members = [_Member(state.network, state.records, state.tally, done)]
            self.progress.on_state(state)
            if state.batch_ended:
                self.states = [state]
                self._keep()
            if state.batch_ended and done < self.settings.total_batches and self.is_due:
                self.write(interrupted=True)

    def _train_members(self, data: TrainingData, workers: Workers) -> None:
        done = len(self.states)
        networks = [self._initial(member, data, workers) for member in range(done, self.size)]
        # The members are judged here, once, and not after every sweep of theirs.
        alone = replace(data, X_test=None, y_test=None)
        settings = [member_settings(self.settings, member) for member in range(done, self.size)]
        self.progress.note(f"{self.size} members, {min(workers.n_jobs, self.size)} at a time")
        self.progress.show(f"member {done + 1}/{self.size}")
        for trained in train_members(networks, alone, settings, workers):
            self.members.append(
                _Member(
                    trained.network, trained.history, trained.tally, self.settings.total_batches
                )
            )
            self.states.append(self._ended(trained))
            self._keep()
            scores = "".join(
                f", {part} {accuracy:.3f}"
                for part, accuracy in accuracies(trained.network, self.data).items()
                if accuracy is not None
            )
            ended = len(self.members)
            self.progress.note(f"member {ended}/{self.size}{scores}, {trained.seconds:.1f} s")
            self.progress.show(
                f"member {min(ended + 1, self.size)}/{self.size}",
                (ended - done) / (self.size - done),
            )
            if len(self.members) < self.size:
                self.write(interrupted=True)

    def _ended(self, trained: Trained) -> State:
        """Return the state at the end of a member's training."""
        last = trained.history[-1]
        accuracies = last.batch_accuracy, last.seen_accuracy, last.test_accuracy
        mean, total = WeightAverage(self.settings.average), self.settings.total_batches
        return State(
            trained.network,
            trained.network,
            total,
            True,
            mean,
            trained.history,
            trained.tally,
            *accuracies,
        )

    @property
    def model(self) -> Model:
        """The network, or the committee of the members so far."""
        if self.size == 1:
            return self.members[0].network
        return Committee([member.network for member in self.members])

    @property
    def is_due(self) -> bool:
        """Whether what a killed run keeps is old enough to be written again."""
        return time.perf_counter() - self.written >= SECONDS_BETWEEN_WRITES

    def write(self, interrupted: bool) -> None:
        """Write what was learned so far, if there is a directory for it."""
        self.written = time.perf_counter()
        if self.directory is not None and self.members:
            self.directory.write(self.model, self._history(), self.summary(interrupted))

    @property
    def kept(self) -> str:
        """What is left of the run, in words."""
        if self.directory is None or not (self.has_begun or self.arguments.is_resumed):
            return kept_model(self.directory, bool(self.members))
        return f"`layermilp train --resume {self.directory.path}` goes on after the last checkpoint"

    def _history(self) -> Iterator[dict[str, Any]]:
        for number, member in enumerate(self.members, start=1):
            for record in member.records:
                yield ({"member": number} if self.size > 1 else {}) | asdict(record)

    def _accuracy(self, model: Model, part: IntArray) -> float:
        """Return the accuracy on some training samples."""
        return model.accuracy(self.data.X_train[part], self.data.classes[self.data.y_train[part]])

    def summary(self, interrupted: bool) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        settings, setup = self.settings, self.settings.setup
        tally = sum((member.tally for member in self.members), Statistics())
        calls = dict(sorted(tally.solver_calls.items()))
        found = accuracies(self.model, self.data)
        last = [member.records[-1].batch for member in self.members]
        batches, seen = used_samples(len(self.data.X_train), settings, last)
        return {
            **origin(self.arguments, self.data),
            "net": self.model.notation,
            "committee": self.size,
            "members_done": len(self.members),
            "init": self.arguments.init,
            "init_trials": self.arguments.init_trials,
            "init_scores": self.scores,
            "preset": self.arguments.preset,
            **{name: getattr(settings, name) for name in OPTIONS},
            "epochs": settings.n_epochs,
            "weight_decay": settings.decay,
            "solver": setup.solver,
            "solver_version": ", ".join(
                f"{SOLVERS[name].title} {SOLVERS[name].version()}" for name in calls
            ),
            "solver_calls": calls,
            "formulation": setup.formulation,
            "tie_break": setup.tie_break,
            "gap": setup.limits.gap,
            "target_gap": setup.target_gap,
            "node_limit": setup.limits.node_limit,
            "time_limit": setup.limits.time_limit,
            "batches_done": sum(member.batches_done for member in self.members),
            "interrupted": interrupted,
            "sweeps": sum(len(member.records) for member in self.members),
            "batch_accuracy": float(
                np.mean(
                    [
                        self._accuracy(m.network, batch)
                        for m, batch in zip(self.members, batches, strict=True)
                    ]
                )
            ),
            "seen_accuracy": self._accuracy(self.model, seen),
            "train_accuracy": found["train"],
            "test_accuracy": found["test"],
            "wall_seconds": round(time.perf_counter() - self.began, 3),
            "programs_solved": tally.programs,
            "programs_optimal": tally.optimal,
            "programs_at_limit": tally.at_limit,
            "programs_failed": tally.failed,
            "largest_gap": tally.largest_gap,
            "layermilp_version": __version__,
        }

    def report(self, interrupted: bool) -> str:
        """Return what is printed at the end."""
        summary = self.summary(interrupted)
        test = "none" if summary["test_accuracy"] is None else f"{summary['test_accuracy']:.4f}"
        calls = (
            ", ".join(f"{name} {count:,}" for name, count in summary["solver_calls"].items())
            or "none"
        )
        lines = [
            f"net             {summary['net']} on {summary['data']}",
            f"train accuracy  {summary['train_accuracy']:.4f} (last batch "
            f"{summary['batch_accuracy']:.4f}, "
            f"all images seen {summary['seen_accuracy']:.4f})",
            f"test accuracy   {test}",
            f"programs        {summary['programs_solved']:,} solved: "
            f"{summary['programs_optimal']:,} optimal within the gap, "
            f"{summary['programs_at_limit']:,} at a limit, largest gap {summary['largest_gap']:.2g}"
            + (f", {summary['programs_failed']:,} failed" if summary["programs_failed"] else ""),
            f"solver calls    {calls}",
            f"wall time       {summary['wall_seconds']:.1f} s, {summary['sweeps']} sweeps in "
            f"{summary['batches_done']} batches",
        ]
        if self.settings.setup.limits.time_limit is not None and summary["programs_at_limit"]:
            lines.append(
                "repeatable      not for certain: programs were stopped, and a time limit was set"
            )
        if self.directory is not None:
            lines.append(
                f"written         {self.directory.path}/: model.npz, history.jsonl, summary.json"
            )
        if interrupted:
            lines.append("interrupted: these are the best weights so far")
        return "\n".join(lines)


class Keeper(Protocol):
    """A run that can be cut short."""

    def write(self, interrupted: bool) -> None:
        """Write what was learned so far, if there is something, and a directory for it."""

    @property
    def kept(self) -> str:
        """What is left of the run, in words."""


@contextmanager
def keeping(run: Keeper) -> Iterator[None]:
    """Where an error ends a run, write what was learned so far, and say in a note to the error what
    is left."""
    try:
        yield
    except (LayermilpError, MemoryError, OSError) as error:
        # What cannot be written, a full disk for instance, may be the error itself.
        with suppress(LayermilpError, MemoryError, OSError):
            run.write(interrupted=True)
        if run.kept:
            error.add_note(run.kept)
        raise


def kept_model(directory: RunDirectory | None, has_learned: bool) -> str:
    """Return what is left of a run without checkpoints, in words; nothing if nothing was
    learned."""
    if not has_learned:
        return ""
    return (
        "without --out nothing is kept"
        if directory is None
        else f"{directory.model} holds what was learned so far"
    )


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into a KeyboardInterrupt."""
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def used_samples(
    n_samples: int, settings: Settings, last_batches: Sequence[int]
) -> tuple[list[IntArray], IntArray]:
    """Return the samples of every member's last batch, and all that any member has seen.

    Parameters
    ----------
    n_samples : int
        Training samples there are.
    settings : Settings
        Of the run.
    last_batches : sequence of int
        Last batch of every member, from 1.
    """
    size, batches, seen = settings.batch_size, [], []
    for number, last in enumerate(last_batches):
        order = sample_order(n_samples, member_settings(settings, number))
        batches.append(order[size * (last - 1) : size * last])
        seen.append(order[: size * last])
    return batches, np.unique(np.concatenate(seen))


def output_classes(network: Network, data: Dataset) -> Any:
    """Return the labels of the network's outputs: 0, 1, ... where that holds all labels of the
    data, else these."""
    numbers = np.arange(network.n_outputs)
    if data.classes.dtype.kind in "iu" and np.isin(data.classes, numbers).all():
        return numbers
    if len(data.classes) != network.n_outputs:
        raise NetworkError(
            f"the net {network.notation} has {network.n_outputs} outputs, but {data.name} has "
            f"{len(data.classes)} classes; "
            f"end --net with {len(data.classes)}"
        )
    return data.classes
