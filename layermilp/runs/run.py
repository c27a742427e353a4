"""A training run: members, trials, checkpoints, limits and callbacks, the same for every method."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from layermilp.datasets.dataset import Dataset, from_arrays
from layermilp.datasets.parts import Sharing
from layermilp.datasets.source import DataSource
from layermilp.errors import LayermilpError, ModelFileError, SharedSamplesWarning
from layermilp.method import Listener, Method, State, accuracies
from layermilp.networks.committee import Committee
from layermilp.networks.load import Model
from layermilp.options import option
from layermilp.parallel import WorkerOptions, Workers
from layermilp.runs.callbacks import Callback
from layermilp.runs.checkpoint import Checkpoint, digest_of
from layermilp.runs.configuration import Configuration
from layermilp.runs.directory import RunDirectory
from layermilp.runs.keeping import Keeping
from layermilp.version import __version__

MOST_MEMBERS = 10_000
"""Of a committee, and most initializations to try."""


@dataclass(kw_only=True)
class RunOptions(WorkerOptions):
    """The options of a run, whatever its method."""

    committee: int = option(
        1,
        "members, each on images and a seed of its own",
        "Members, each with a seed and samples of its own, which vote. Where there are too few "
        "samples for that, a `SharedSamplesWarning` says which members share how many.",
        "N",
        least=1,
        most=MOST_MEMBERS,
    )
    init_trials: int = option(
        1,
        "initializations of which the beginning of training chooses",
        "Initializations of which the beginning of training chooses: the first batch by its "
        "accuracy on the training images that it does not hold (layerwise), or the first state "
        "by its score. Test data are not looked at.",
        "N",
        least=1,
        most=MOST_MEMBERS,
    )
    max_seconds: float | None = option(
        None,
        "limit of the whole run, which keeps what it has learned and can be resumed",
        "Seconds after which the run ends with what it has learned so far; it can be resumed.",
        "SECONDS",
        above=0.0,
        decides=False,
    )


@dataclass(eq=False)
class Run(RunOptions, Listener):
    """A training run: a network or a committee, by any method.

        run = layermilp.Run(Layerwise(net="64-8-10"), "digits", "runs/first", committee=3)
        run.follow()
        print(run.summary()["test_accuracy"], run.model.predict(X))

    Parameters
    ----------
    method : Method
        What trains, with its options: `Layerwise`, `Integer`, `Hybrid` or `SMT`.
    data : DataSource, str, Dataset or tuple of arrays
        A name or path, as for `layermilp.datasets.load`; or ``(X, y)``, or
        ``(X, y, X_test, y_test)``.
    directory : path, optional
        Where model, history, summary and checkpoints are written, so that the run can be resumed.
    callbacks : sequence of Callback
        Are told what happens.

    Attributes
    ----------
    states : list of State
        Where the members are that have begun; of a committee those that are done.
    scores : list of tuple of float
        Scores of the initializations that were tried, for every member.
    is_over : bool
        Whether all members are done.
    is_out_of_time : bool
        Whether the run was ended by its limit.
    """

    method: Method
    data: DataSource | str | Dataset | Sequence[Any] = "auto"
    directory: str | Path | None = None
    callbacks: Sequence[Callback] = ()
    is_resumed: bool = False
    states: list[State] = field(default_factory=list, init=False)
    scores: list[tuple[float, ...]] = field(default_factory=list, init=False)
    is_over: bool = field(default=False, init=False)
    is_out_of_time: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.method.check_memory(max(self.committee, self.init_trials))
        self._workers = self.workers()
        self._began = time.perf_counter()
        self._end = self._began + (math.inf if self.max_seconds is None else self.max_seconds)
        self._judged: tuple[tuple[State, ...], dict[str, Any]] | None = None
        self._source = DataSource(data=self.data) if isinstance(self.data, str) else self.data
        self._keeping = None if self.directory is None else Keeping(RunDirectory(self.directory))
        self._listeners = [*self.callbacks, *([self._keeping] if self._keeping else [])]

    @classmethod
    def resume(
        cls,
        directory: str | Path,
        callbacks: Sequence[Callback] = (),
        *,
        data: Any = None,
        n_jobs: int | None = None,
        max_seconds: float | None = None,
    ) -> Run:
        """Return the run that a directory is of, to be followed from its last checkpoint on.

        Parameters
        ----------
        directory, callbacks
            As for a new run.
        data : optional
            The same data, where they have no name that the run has written down.
        n_jobs : int, optional
            Worker processes; by default as before.
        max_seconds : float, optional
            Limit from now on; by default none.

        Raises
        ------
        ModelFileError
            If it is not the directory of a run, or its options are damaged.
        """
        kept = Configuration.read(directory, RunOptions)
        data = kept.source if data is None else data
        if data is None:
            raise ModelFileError(
                f"the run of {directory} was trained on arrays; give them again, as data=(X, y)"
            )
        n_jobs = kept.run["n_jobs"] if n_jobs is None else n_jobs
        options = {**kept.run, "n_jobs": n_jobs, "max_seconds": max_seconds}
        return cls(kept.method, data, directory, callbacks, True, **options)

    @cached_property
    def dataset(self) -> Dataset:
        """The data; they are loaded when they are first asked for."""
        source = self._source
        if isinstance(source, DataSource):
            return source.load(self.method.n_inputs, self.note)
        return source if isinstance(source, Dataset) else from_arrays(*source)

    @cached_property
    def sharing(self) -> Sharing:
        """The samples that more than one member is trained on."""
        data, method = self.dataset, self.method
        samples = len(data.X_train)
        return Sharing.of(lambda number: method.member(number).used(data), self.committee, samples)

    @property
    def model(self) -> Model | None:
        """What was learned so far: the network, or the committee of the members so far."""
        models: list[Any] = [state.model for state in self.states if state.model is not None]
        if self.committee == 1:
            return next(iter(models), None)
        return Committee(models) if models else None

    @property
    def is_ending(self) -> bool:
        """Whether it is known that nothing follows the newest state."""
        return len(self.states) == self.committee and self.states[-1].is_last

    @property
    def seconds(self) -> float:
        """Wall seconds so far, with those before it was resumed."""
        return time.perf_counter() - self._began

    @property
    def configuration(self) -> Configuration:
        """What the run was asked for."""
        source = self._source
        named = source.resolved(self.dataset) if isinstance(source, DataSource) else None
        return Configuration(self.method, RunOptions.of(self).values(), named)

    def checkpoint(self) -> Checkpoint:
        """Return where the run is."""
        return Checkpoint(self._digest, tuple(self.states), tuple(self.scores), self.seconds)

    def history(self) -> Iterator[dict[str, Any]]:
        """Yield the records so far, as the lines of ``history.jsonl``."""
        for number, state in enumerate(self.states, start=1):
            for record in state.records:
                yield ({"member": number} if self.committee > 1 else {}) | asdict(record)

    def summary(self) -> dict[str, Any]:
        """Return the content of ``summary.json``: data, options, outcome and time."""
        named, model = self.configuration.source, self.model
        return {
            "method": self.method.name,
            "data": self.dataset.name,
            "data_source": self.dataset.source,
            "data_options": None if named is None else named.values(),
            "committee": self.committee,
            "members_done": len(self.states),
            "shared_samples": list(self.sharing.counts),
            "init_trials": self.init_trials,
            "init_scores": self.scores,
            **self.method.settled(),
            **self._results(),
            **({} if model is None else {"net": model.notation}),
            "wall_seconds": round(self.seconds, 3),
            "interrupted": not self.is_over,
            "layermilp_version": __version__,
        }

    def _results(self) -> dict[str, Any]:
        """Return what the method says of the outcome. It is asked once for the same states,
        because it evaluates all samples."""
        states = tuple(self.states)
        if self._judged is None or self._judged[0] != states:
            self._judged = (states, self.method.results(self.model, states, self.dataset))
        return self._judged[1]

    def report(self) -> str:
        """Return what is said of the run at its end, in lines."""
        lines = self.method.report(self.summary())
        if self.sharing:
            lines.append(f"shared samples  {self._sharing_words}")
        if self._keeping is not None and self.model is not None:
            kept = "model.npz, history.jsonl, summary.json"
            lines.append(f"written         {self._keeping.directory.path}/: {kept}")
        if not self.is_over:
            why = "stopped by its limit" if self.is_out_of_time else "interrupted"
            lines.append(f"{why}: {self.method.kept_words}")
        return "\n".join(lines)

    def follow(self) -> Self:
        """Train to the end, or until Ctrl-C, SIGTERM or the limit; what was learned is kept.

        Raises
        ------
        LayermilpError
            If data or options do not fit, or a solver fails; what was learned is written before.

        Warns
        -----
        SharedSamplesWarning
            If members of a committee have samples in common.
        """
        try:
            members = self._begin()
            with terminated_like_interrupted(), self._workers as workers:
                self._train(members, workers)
            self.is_over = True
            self._tell(lambda each: each.on_end(self))
        except (KeyboardInterrupt, TimeIsOver) as end:
            self.is_out_of_time = isinstance(end, TimeIsOver)
            self._tell(lambda each: each.on_end(self))
        except (LayermilpError, MemoryError, OSError) as error:
            self._fail(error)
            raise
        finally:
            if self._keeping is not None:
                self._keeping.directory.release()
        return self

    def _begin(self) -> list[Method]:
        """Load and check the data, and take up the checkpoint of a resumed run; return the methods
        of the members."""
        self.note(f"data: {self.dataset.source}")
        self.method.check(self.dataset)
        members = [self.method.member(number) for number in range(self.committee)]
        if self.sharing:
            self.note(self._sharing_words)
            # The caller of `follow`.
            warnings.warn(self._sharing_words, SharedSamplesWarning, stacklevel=3)
        self._digest = digest_of(members, self.dataset)
        if self.is_resumed:
            self._restore(members)
        self._tell(lambda each: each.on_begin(self))
        return members

    @property
    def _sharing_words(self) -> str:
        return self.sharing.words(self.method.size_name)

    def _restore(self, members: list[Method]) -> None:
        assert self._keeping is not None  # a resumed run has a directory
        found = self._keeping.directory.restored(members, self.dataset, self.note)
        if found is None:
            self.note("there is no checkpoint yet; the run begins anew")
            return
        if found.digest != self._digest:
            raise ModelFileError(
                "the checkpoint is of a run with other options or data; train anew, into another "
                "directory"
            )
        self.states, self.scores = list(found.states), list(found.scores)
        self._began -= found.seconds
        self.note(self.method.told(self.states))

    def _train(self, members: list[Method], workers: Workers) -> None:
        if self.committee > 1:
            self._train_members(members, workers)
            return
        begin = self.states[0] if self.states else None
        method, data = self._chosen(0, members[0], workers)
        for state in method.training(data, workers, self, begin):
            self.states = [state]
            self._tell_state()

    def _train_members(self, members: list[Method], workers: Workers) -> None:
        """Train the members that are not done, each in one worker process."""
        done, count = len(self.states), len(members)
        tasks = [self._chosen(number, members[number], workers) for number in range(done, count)]
        self.note(f"{count} members, {min(workers.n_jobs, count)} at a time")
        self.show(f"member {done + 1}/{count}")
        for number, state in enumerate(workers.map(_trained, tasks), start=done + 1):
            self.states.append(state)
            self._tell_state()
            judged = {} if state.model is None else accuracies(state.model, self.dataset)
            shown = [f"{part} {share:.3f}" for part, share in judged.items() if share is not None]
            self.note(", ".join([f"member {number}/{count}", *shown]))
            self.show(f"member {min(number + 1, count)}/{count}", (number - done) / (count - done))

    def _chosen(self, number: int, member: Method, workers: Workers) -> tuple[Method, Dataset]:
        """Return the method of a member with the initialization that trials choose, of equal ones
        the first, if these are asked for; and the member's data."""
        data = member.prepared(self.dataset)
        if self.init_trials == 1:
            return member, data
        if number == len(self.scores):
            self.scores.append(member.trials(self.init_trials, data, workers, self))
        scores = self.scores[number]
        chosen = scores.index(max(scores))
        self.note(f"initialization {chosen + 1} of {len(scores)} goes on")
        return member.trial(chosen), data

    def _tell(self, hook: Callable[[Callback], None]) -> None:
        for listener in self._listeners:
            hook(listener)

    def _tell_state(self) -> None:
        self._tell(lambda each: each.on_state(self))
        self._check_time()

    def _fail(self, error: Exception) -> None:
        """Keep what was learned, and say in a note to the error what is left."""
        # What cannot be written, on a full disk for instance, may be the error itself.
        with suppress(LayermilpError, MemoryError, OSError):
            self._tell(lambda each: each.on_end(self))
        if self._keeping is not None and self._keeping.has_checkpoint:
            resume = f"layermilp train --resume {self._keeping.directory.path}"
            error.add_note(f"`{resume}` goes on after the last checkpoint")
        elif self._keeping is not None and self.model is not None:
            error.add_note(f"{self._keeping.directory.model} holds what was learned so far")
        elif self.model is not None:
            error.add_note("without --out nothing is kept")

    def _check_time(self) -> None:
        if time.perf_counter() >= self._end:
            raise TimeIsOver

    def show(self, text: str, share: float = 0.0) -> None:
        """Tell the callbacks; end the run where its time is over."""
        self._tell(lambda each: each.show(text, share))
        self._check_time()

    def note(self, text: str) -> None:
        """Tell the callbacks."""
        self._tell(lambda each: each.note(text))

    def detail(self, text: str) -> None:
        """Tell the callbacks."""
        self._tell(lambda each: each.detail(text))

    def ended(self, text: str, share: float) -> None:
        """Tell the callbacks."""
        self._tell(lambda each: each.ended(text, share))


class TimeIsOver(Exception):
    """The limit of a run is reached."""


def _trained(member: tuple[Method, Dataset]) -> State:
    """Train a member of a committee to its end, in a worker. It is judged once, there, and not
    after every step, hence without test data."""
    method, data = member
    alone = replace(data, X_test=None, y_test=None)
    with Workers(1) as workers:
        return deque(method.training(alone, workers, Listener()), maxlen=1).pop()


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into a KeyboardInterrupt, in the main thread, where alone that is possible."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
